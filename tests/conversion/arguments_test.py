"""Training arguments become a configuration, or are refused by name."""

import math
import pathlib

from tests import testing
from tests.conversion import reference_state
from tf_resflow import configuration
from tf_resflow import datasets
from tf_resflow.configuration import flag_parsing as flags_lib
from tf_resflow.conversion import arguments as arguments_lib

_FLAGS = pathlib.Path(__file__).resolve().parents[2] / 'bin' / 'flags'


def convert(uncertified=False, **changes):
  """Returns the configuration and notes of changed arguments."""
  return arguments_lib.convert_arguments(
      reference_state.default_arguments(**changes), uncertified)


def config_of(**changes):
  return convert(**changes)[0]


# The commands of the authors' README, by the flagfile that describes each.
_HYBRID = {'task': 'hybrid', 'scale_dim': True}
_PUBLISHED = {
    'mnist': {'data': 'mnist', 'imagesize': 28},
    'cifar10': {'data': 'cifar10'},
    'imagenet32': {'data': 'imagenet32', 'nblocks': '32-32-32'},
    'imagenet64': {
        'data': 'imagenet64', 'imagesize': 64, 'nblocks': '32-32-32',
        'factor_out': True, 'squeeze_first': True},
    'celebahq256': {
        'data': 'celebahq', 'imagesize': 256, 'nbits': 5, 'act': 'elu',
        'batchsize': 8, 'update_freq': 5, 'n_exact_terms': 8, 'fc_end': False,
        'factor_out': True, 'squeeze_first': True,
        'nblocks': '16-16-16-16-16-16'},
    'mnist_hybrid': {'data': 'mnist', 'imagesize': 28, **_HYBRID},
    'svhn_hybrid': {'data': 'svhn', 'rcrop_pad_mode': 'constant', **_HYBRID},
    'cifar10_hybrid': {'data': 'cifar10', **_HYBRID}}


def test_published_models():
  """They are those of the flagfiles, but for what a run takes and shows."""
  for name, arguments in _PUBLISHED.items():
    flagfile = flags_lib.from_flagfile(_FLAGS / f'{name}.flags')
    (config, notes), values = convert(**arguments), flagfile.values()
    changes = {field: values[field] for field in (
        'num_steps', 'strategy', 'log_every', 'sample_every')}
    if name.endswith('hybrid'):  # They clip a loss in bits.
      changes['clip_norm'] = math.log(2.0)
    assert flagfile == config.replace(**changes), name
    # The script dequantises five bits in another way.
    assert len(notes) == (name == 'celebahq256')


def test_arguments_of_older_versions_may_be_missing():
  arguments = reference_state.default_arguments(data='mnist', imagesize=28)
  expected = arguments_lib.convert_arguments(arguments)
  del arguments['logit_transform'], arguments['cdim']
  assert arguments_lib.convert_arguments(arguments) == expected
  # The defaults are those of the authors.
  assert arguments_lib.convert_arguments({}) == convert()


def test_switches():
  config = config_of(
      data='svhn', imagesize=16, nblocks='3-2-1-7', idim=9, kernels='5-1-1-3',
      vnorms='22222', act='lcube', coeff=0.5, actnorm=False, fc_actnorm=True,
      preact=False, first_resblock=False, fc_idim=11, fc=True, n_exact_terms=4,
      n_dist='geometric', logit_transform=False, lr=0.25,
      warmup_iters=3)
  assert config == configuration.make_config(
      dataset='svhn_cropped', resize=16, num_blocks=(3, 2, 1),
      hidden_channels=9, kernel_sizes=(5, 1, 1, 3),
      activation='lipschitz_cube', lipschitz_coeff=0.5, act_norm=False,
      feature_act_norm=True, first_act_norm=False, preactivation=False,
      activate_first_block=True, fully_connected=True, dense_hidden_units=11,
      num_dense_hidden_layers=3, preprocessing='none', learning_rate=0.25,
      warmup_steps=3, estimator='roulette:geometric:0.5,exact=4')
  for name in ('softplus', 'identity'):
    assert config_of(act=name).model.activation == name


def test_norms():
  for change, expected in (
      ({'vnorms': 'f2ff'}, {'norms': ('inf', '2', 'inf', 'inf')}),
      ({'vnorms': '33', 'kernels': '3'}, {
          'norms': ('3',), 'kernel_sizes': (3, 3),
          'num_dense_hidden_layers': 0}),
      ({'vnorms': '122f'}, {
          'norms': ('1', '2', '2', 'inf'), 'uncertified': True}),
      ({'learn_p': True}, {'norms': ('learned',), 'order_gradient': 'norm'})):
    config, notes = convert('uncertified' in expected, **change)
    assert config == config_of().replace(
        norm_bound='released', **expected), change
    assert 'estimates that may be too low' in notes[0]


def test_couplings():
  """Arguments about norms and log-determinants have no effect on them."""
  expected = configuration.make_config(
      dataset='mnist', logit_alpha=1e-6, block='coupling', activation='relu',
      kernel_sizes=(3, 1, 1, 3), num_dense_hidden_layers=3)
  arguments = {'data': 'mnist', 'imagesize': 28, 'block': 'coupling',
               'act': 'relu', 'kernels': '3-1-1-3'}
  for changes in (
      {}, {'vnorms': '222f'}, {'learn_p': True}, {'coeff': 7.0},
      {'n_exact_terms': 8, 'n_dist': 'geometric', 'n_power_series': 5,
       'n_samples': 3, 'neumann_grad': False}):
    assert convert(**arguments, **changes) == (expected, ())
  linear = config_of(**arguments, quadratic=True)
  assert linear == expected.replace(invertible_linear='free')
  # With residual blocks, too.
  assert config_of(quadratic=True) == configuration.make_config(
      dataset='cifar10', flip=True, invertible_linear='free')


def test_switches_of_training():
  for optimizer in ('adamax', 'rmsprop', 'sgd'):
    assert config_of(optimizer=optimizer).optimizer.optimizer == optimizer
  config = config_of(n_samples=3, annealing_iters=12, update_freq=5)
  assert config.model.estimator == 'roulette:poisson:2,exact=2,samples=3'
  # Counted in updates.
  assert config.objective.annealing_steps == 3
  plain = config_of(task='classification', annealing_iters=12).objective
  assert (plain.annealing_steps, plain.nll_weight) == (0, 0.0)
  hybrid = config_of(task='hybrid', cdim=7)
  assert hybrid.objective.hybrid and hybrid.objective.nll_weight == 1.0
  model = hybrid.model
  assert (model.head_channels, model.mean, model.std) == (
      7, reference_state.CIFAR10_MEAN, reference_state.CIFAR10_STD)


def test_what_is_done_to_the_data():
  for change, crop_padding in (
      ({}, 0), ({'data': 'svhn'}, 4), ({'task': 'classification'}, 4)):
    data = config_of(**change).data
    assert (data.crop_padding, data.crop_mode) == (crop_padding, 'reflect')
  # The script reduces bits for two data sets alone.
  assert config_of(data='cifar10', nbits=5).data.num_bits == 8
  faces = config_of(data='celeba_5bit', imagesize=64).data
  assert (faces.num_bits, faces.flip, faces.resize) == (5, True, None)
  assert faces.dataset in datasets.names()


def test_what_cannot_be_converted_is_named():
  fields = ': expected arguments of a valid model. '
  testing.check_refusals(lambda changes: convert(**changes), [
      (change, f'checkpoint.args{message}') for change, message in (
          ({'block': 'glow'}, ".block='glow': expected one of resblock, coup"),
          ({'vnorms': '122f'}, ".vnorms='122f' does not prove that blocks are "
           'invertible: its last norm is above the first. --uncertified'),
          ({'vnorms': '2i22'}, ".vnorms='2i22': expected digits from 1, and f"),
          ({'vnorms': '2022'}, ".vnorms='2022': expected digits from 1, and f"),
          ({'vnorms': 'f2', 'kernels': '3'}, ".kernels='3' cannot be used with "
           'mixed or learned norms'),
          ({'vnorms': 'ffff', 'kernels': '3-3-9', 'imagesize': 32},
           ".kernels='3-3-9' cannot be used with norms other than 2 for im"),
          ({'vnorms': 'ffff', 'kernels': '3-3-5', 'squeeze_first': True},
           ".kernels='3-3-5' cannot be used with norms other than 2 for images "
           'of 4 x 4, the smallest'),
          ({'vnorms': '222'}, ".vnorms='222': expected 4 norms, one more than"),
          ({'learn_p': True, 'vnorms': '22', 'kernels': '3'},
           ".kernels='3' cannot be used with mixed or learned "),
          ({'batchnorm': True}, '.batchnorm=True: expected False. Batch norma'),
          ({'dropout': 0.5}, '.dropout=0.5: expected 0.0. Dropout inside'),
          ({'block': 'coupling', 'dropout': 0.5}, '.dropout=0.5: expected 0.0'),
          ({'padding': 3}, '.padding=3: expected 0. Padded channels cannot be'),
          ({'data': 'lsun'}, ".data='lsun': expected one of mnist, cifar10"),
          ({'n_samples': 0}, '.n_samples=0: expected a number >= 1'),
          ({'kernels': '3-2-3'}, f'=...{fields}kernel_sizes=3,2,3: expected o'),
          ({'kernels': 'big'}, ".kernels='big': expected integers joined by"),
          ({'imagesize': 2}, '.imagesize=2: expected a size that leaves a'),
          ({'imagesize': 257}, '.imagesize=257: expected at most 256'),
          ({'imagesize': '32'}, ".imagesize='32': expected a value like 32"),
          ({'lr': 10**400}, f'=...{fields}int too large'),
          ({'kernels': '-'.join(['2'] * 10**5), 'vnorms': '2' * (10**5 + 1)},
           f'=...{fields}kernel_sizes'),
          ({'fc': 1}, '.fc=1: expected a value like False'))])


def test_notes():
  for change, note in (
      ({'n_power_series': 10}, 'trained with --n-power-series=10; further'),
      ({'task': 'hybrid', 'imagesize': 16, 'nblocks': '1-1'},
       'trained on crops of 32 x 32'),
      ({'data': 'svhn', 'imagesize': 64}, 'trained on crops of 32 x 32'),
      ({'wd': 0.5}, 'trained with --wd=0.5 (which the Adam of the published'),
      ({'data': 'celebahq', 'imagesize': 256, 'nbits': 5},
       'trained on levels j as (j 31/32 + U) / 32; this package dequantises'),
      ({'my_flag': 1}, 'script does not know, which are ignored: my-flag')):
    _, (found,) = convert(**change)
    assert note in found
