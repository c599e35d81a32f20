"""Converts a checkpoint of the authors' code to a model or a workdir."""

import dataclasses
import hashlib
import itertools
import json
import math
import os
import reprlib
from typing import Any

import numpy as np

from tf_resflow import errors
from tf_resflow import models
from tf_resflow import training
from tf_resflow.conversion import arguments as arguments_lib
from tf_resflow.conversion import torch_file
from tf_resflow.conversion import weights as weights_lib

WEIGHTS = ('ema', 'raw')
_CONVERSION_JSON = 'conversion.json'
_PLAIN = (str, int, float, type(None))


@dataclasses.dataclass(frozen=True, eq=False)
class Checkpoint:
  """The contents of a checkpoint that are converted.

  Attributes:
    path: of the file.
    arguments: dict of the training arguments.
    state: dict from the authors' names to arrays, parameters and buffers.
    averages: the same for the averaged parameters; empty if there are none.
    test_bits_per_dim: bits/dim that the authors' code stored in the file; None
      if they are not a finite float.
  """

  path: str
  arguments: dict
  state: dict[str, np.ndarray]
  averages: dict[str, np.ndarray]
  test_bits_per_dim: float | None

  def weights(self, which: str = 'ema') -> dict[str, np.ndarray]:
    """Returns one set of weights, by the authors' names.

    Args:
      which: 'ema', the averaged parameters that the authors evaluate, or
        'raw', the trained ones.

    Raises:
      errors.InvalidValueError: if the checkpoint has no averages, or not those
        of its parameters.
    """
    errors.check(which in WEIGHTS, 'weights', which, ' or '.join(WEIGHTS))
    if which == 'raw':
      return dict(self.state)
    errors.check(
        self.averages, 'weights', which, problem='requires averaged parameters',
        advice=f'{self.path} has none: it was saved before the first update. '
        'Use raw.')
    unknown = set(self.averages) - set(self.state)
    missing = {
        name for name in set(self.state) - set(self.averages)
        if name.rpartition('.')[2] in ('weight', 'bias', 'beta')}
    errors.check(
        not unknown and not missing, 'checkpoint', self.path,
        'averages of the parameters in state_dict',
        f'{min(unknown | missing, default="")[:100]} is in one of them '
        'alone; the file is damaged or not by train_img.py.')
    return self.state | self.averages


def load_checkpoint(path: str | os.PathLike) -> Checkpoint:
  """Reads a `.pth` file that the authors' `train_img.py` saved.

  Nothing in the file is executed, and PyTorch is not needed; see
  `torch_file.read`.

  Raises:
    errors.InvalidValueError: if there is no such file, or it is damaged or
      something else.
  """
  path = os.fspath(path)
  max_bytes = 2 * os.path.getsize(path) if os.path.isfile(path) else 0
  with errors.format_errors('checkpoint', path, 'a checkpoint of train_img.py'):
    content = _attributes(torch_file.read(path), 'It')
    arguments = _attributes(content.get('args'), 'Its args')
    averages = _attributes(content.get('ema') or {}, 'Its ema')
    bits = content.get('test_bpd')
    return Checkpoint(
        path, arguments,
        _tensors(content.get('state_dict'), 'Its state_dict', max_bytes),
        _tensors(averages.get('shadow_params', {}), 'Its ema.shadow_params',
                 max_bytes),
        bits if isinstance(bits, float) and math.isfinite(bits) else None)


def _attributes(value, name):
  """Returns the attributes of an object, a dict, or raises."""
  errors.check(isinstance(value, dict), problem=f'{name} is no such object.')
  return value


def _tensors(value, name, max_bytes):
  """Returns a dict of tensors; names lose the prefix of DataParallel."""
  errors.check(
      isinstance(value, dict) and all(
          isinstance(tensor, np.ndarray) for tensor in value.values()),
      problem=f'{name} is not a dict of tensors.')
  # A tensor may repeat its numbers.
  num_bytes = sum(tensor.nbytes for tensor in value.values())
  errors.check(num_bytes <= max_bytes, problem=(
      f'{name} has {num_bytes:.3g} bytes, more than the file.'))
  return {key.removeprefix('module.'): v for key, v in value.items()}


def load_model(
    checkpoint: str | os.PathLike | Checkpoint, weights: str = 'ema',
    dtype: str = 'float32', uncertified: bool = False) -> models.Flow:
  """Returns the model of a checkpoint of the authors' code.

  Args:
    checkpoint: path of the `.pth` file, or a `Checkpoint`.
    weights: see `Checkpoint.weights`.
    dtype: 'float32' or 'float64'.
    uncertified: see `arguments.convert_arguments`.

  Returns:
    A `models.ResidualFlow` with converged norms, which takes log-determinants
    as `tf_resflow.load` says.

  Raises:
    errors.InvalidValueError: if there is no such file, it is damaged, or asks
      for what is not supported.

  Example:
    >>> model = conversion.load_model('cifar10_resflow.pth')
    >>> model.config.num_levels
    256
  """
  if not isinstance(checkpoint, Checkpoint):
    checkpoint = load_checkpoint(checkpoint)
  config, _ = arguments_lib.convert_arguments(checkpoint.arguments, uncertified)
  tensors = checkpoint.weights(weights)
  _check_size(config.model, checkpoint.path, tensors)
  model = config.model.build(dtype)
  weights_lib.load_weights(model, tensors)
  model.estimator = model.evaluation_estimator()
  return model


def _check_size(config, path, tensors):
  """Raises an error if a file is too small for the model of its arguments.

  That might not fit into memory. `weights.load_weights` finds the rest.
  """

  def block_size(width, num_hidden, kernel_sizes):
    ends = (width + 1) // 2  # Couplings take and return one half.
    widths = [ends, *[num_hidden] * (len(kernel_sizes) - 1), ends]
    return sum(
        inputs * outputs * size**2 for (inputs, outputs), size
        in zip(itertools.pairwise(widths), kernel_sizes, strict=True))

  dense_sizes = (1,) * (config.num_dense_hidden_layers + 1)
  kernel_sizes = dense_sizes if config.fully_connected else config.kernel_sizes
  factor = 2 if config.factor_out else 4
  num_weights = 0
  for scale, num_blocks in enumerate(config.num_blocks):
    channels = (
        config.image_shape[-1] * 4**config.squeeze_first * factor**scale)
    size = config.event_size * factor**scale // 4**scale
    width = size if config.fully_connected else channels
    num_weights += num_blocks * (
        block_size(width, config.hidden_channels, kernel_sizes)
        + {'free': width**2}.get(config.invertible_linear, 0))
    if config.num_classes:
      num_weights += channels * config.head_channels
  num_weights += config.num_dense_blocks * block_size(
      size, config.dense_hidden_units, dense_sizes)
  num_kernels = sum(config.num_blocks) * len(kernel_sizes)
  errors.check(
      num_kernels <= len(tensors) and num_weights <= sum(
          tensor.size for tensor in tensors.values()),
      'checkpoint', path,
      f'{num_kernels:.3g} kernels of {num_weights:.3g} weights in all, or more',
      'The tensors do not match the training arguments.')


def convert(
    checkpoint_path: str | os.PathLike, workdir: str | os.PathLike,
    weights: str = 'ema', uncertified: bool = False) -> dict[str, Any]:
  """Converts a checkpoint of the authors' code to a workdir.

  The workdir is that of a run at step 0, for evaluation, sampling and training
  like any other. Both its trained and its averaged weights are those that
  `weights` names; there is no optimizer state. The workdir appears complete or
  not at all.

  Args:
    checkpoint_path: of the `.pth` file.
    workdir: a folder that does not exist or is empty.
    weights, uncertified: see `load_model`.

  Returns:
    A dict for JSON: `workdir`, `weights`, `num_parameters`, `dataset`,
    `image_shape`, `num_levels`, `recorded_test_bits_per_dim` (bits/dim
    that the authors' code evaluated and saved with the weights, or None),
    `notes` (differences in further training).

  Raises:
    OSError: if a file cannot be read or written.
    errors.InvalidValueError: if the checkpoint is damaged or not supported, or
      the folder is not empty.
  """
  training.workdir.check_is_new(workdir)
  checkpoint = load_checkpoint(checkpoint_path)
  config, notes = arguments_lib.convert_arguments(
      checkpoint.arguments, uncertified)
  model = load_model(checkpoint, weights, uncertified=uncertified)
  report = {
      'workdir': os.fspath(workdir), 'weights': weights,
      'num_parameters': model.num_parameters,
      'dataset': config.data.dataset,
      'image_shape': list(model.config.image_shape),
      'num_levels': model.config.num_levels,
      # A pure classifier has no density, and stores 0.
      'recorded_test_bits_per_dim': (
          None if checkpoint.arguments.get('task') == 'classification' else
          checkpoint.test_bits_per_dim),
      'notes': list(notes)}
  with open(checkpoint.path, 'rb') as file:
    digest = hashlib.file_digest(file, 'sha256').hexdigest()
  provenance = {
      'checkpoint': os.path.basename(checkpoint.path), 'sha256': digest,
      'arguments': {
          name: value if isinstance(value, _PLAIN) else reprlib.repr(value)
          for name, value in checkpoint.arguments.items()},
      'latent_order': 'channels_first',
      **{k: v for k, v in report.items() if k != 'workdir'}}
  training.workdir.create_workdir(
      workdir, config, model,
      extra_files={_CONVERSION_JSON: json.dumps(
          provenance, indent=2)})
  return report


def is_converted(workdir: str | os.PathLike) -> bool:
  """Returns whether a workdir was made by `convert`."""
  return os.path.exists(os.path.join(workdir, _CONVERSION_JSON))
