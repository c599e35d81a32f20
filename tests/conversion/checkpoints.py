"""Checkpoints of the authors' structure, made here."""

import dataclasses
import functools

import numpy as np

from tests.conversion import reference_flow
from tests.conversion import reference_state
from tests.conversion import torch_writer

# Data sets of which the authors' script fixes the image size are small here.
IMAGE_SIZE = 8
_TINY = {
    'imagesize': IMAGE_SIZE, 'nblocks': '1-1', 'idim': 3, 'fc_idim': 4,
    'cdim': 5, 'batchsize': 4, 'warmup_iters': 2}

# One per switch that changes the function, several at a time.
VARIANTS = {
    'grey': {'data': 'mnist', 'nblocks': '2-1'},
    'squeeze_first_5_bits': {
        'data': 'celebahq', 'nbits': 5, 'squeeze_first': True,
        'factor_out': True, 'act': 'elu', 'fc_end': False,
        'n_exact_terms': 8, 'update_freq': 5},
    'feature_act_norm': {
        'data': 'mnist', 'fc_actnorm': True, 'kernels': '3-3',
        'vnorms': '222'},
    'only_feature_act_norm': {
        'data': 'mnist', 'fc_actnorm': True, 'actnorm': False,
        'first_resblock': False, 'kernels': '3', 'vnorms': '22',
        'act': 'identity', 'fc_end': False},
    'fully_connected': {
        'data': 'mnist', 'fc': True, 'act': 'relu', 'nblocks': '1-1'},
    'no_preactivation': {
        'data': 'mnist', 'preact': False, 'logit_transform': False,
        'kernels': '5-1-1-3', 'vnorms': '22222', 'act': 'lcube',
        'fc_end': False},
    'hybrid': {'data': 'cifar10', 'task': 'hybrid'},
    'hybrid_factor_out': {
        'data': 'mnist', 'task': 'hybrid', 'factor_out': True,
        'scale_dim': True, 'fc_end': False},
    'classification_squeezed': {
        'data': 'cifar10', 'task': 'classification', 'squeeze_first': True,
        'nblocks': '1'},
    'linear': {
        'data': 'celeba_5bit', 'quadratic': True, 'factor_out': True,
        'act': 'softplus', 'coeff': 0.7, 'nblocks': '1-1-1'},
    'mixed': {'data': 'mnist', 'vnorms': 'f22f', 'squeeze_first': True},
    'mixed_columns': {
        'data': 'mnist', 'vnorms': '2112', 'nblocks': '1', 'fc_end': False},
    'not_closed': {
        'data': 'mnist', 'vnorms': '3133', 'fc': True, 'fc_end': False},
    'learned': {
        'data': 'mnist', 'learn_p': True, 'nblocks': '1', 'fc_end': False},
    'learned_dense': {
        'data': 'mnist', 'learn_p': True, 'nblocks': '1', 'fc': True},
    'coupling_linear': {
        'data': 'cifar10', 'block': 'coupling', 'quadratic': True,
        'factor_out': True, 'nblocks': '2-2-1'},
    'coupling_squeezed': {
        'data': 'mnist', 'block': 'coupling', 'squeeze_first': True,
        'act': 'elu', 'first_resblock': False, 'fc_actnorm': True,
        'actnorm': False},
    'coupling_fully_connected': {
        'data': 'svhn', 'block': 'coupling', 'quadratic': True, 'fc': True,
        'squeeze_first': True, 'logit_transform': False, 'nblocks': '2',
        'fc_end': False}}


@dataclasses.dataclass(frozen=True, eq=False)
class Made:
  """Arguments and state of a checkpoint, also with averaged parameters."""

  arguments: dict
  raw: dict
  ema: dict

  def expected(self, which, x):
    """Returns the oracle's results for one set of weights."""
    return reference_flow.evaluate(self.arguments, getattr(self, which), x)


@functools.cache
def make(name, **changes):
  """Returns the `Made` of a variant, with changed arguments."""
  arguments = reference_state.default_arguments(
      **{**_TINY, **VARIANTS[name], **changes})
  raw, other = (reference_flow.make_state(arguments, seed) for seed in (0, 1))
  names = reference_state.parameter_names(arguments)
  return Made(arguments, raw, {**raw, **{n: other[n] for n in names}})


def content(made):
  """Returns the object that the authors' script would save."""
  averages = {name: made.ema[name]
              for name in reference_state.parameter_names(made.arguments)}
  return {
      'state_dict': dict(made.raw),
      'optimizer_state_dict': {'state': {}, 'param_groups': []},
      'args': torch_writer.Instance(
          'argparse', 'Namespace', dict(made.arguments)),
      'ema': torch_writer.Instance(
          'lib.utils', 'ExponentialMovingAverage',
          {'decay': 0.999, 'shadow_params': averages}),
      'test_bpd': 3.25}


def write(path, name, legacy=False, **changes):
  """Writes the checkpoint of a variant; returns its `Made`."""
  made = make(name, **changes)
  save = torch_writer.write_legacy if legacy else torch_writer.write_zip
  save(path, *torch_writer.make_pickle(content(made), legacy))
  return made


def images(made, num_images=3):
  """Returns dequantised images for a variant, float64 in [0, 1)."""
  channels = 1 if made.arguments['data'] == 'mnist' else 3
  shape = [num_images, IMAGE_SIZE, IMAGE_SIZE, channels]
  return np.random.default_rng(0).uniform(size=shape)
