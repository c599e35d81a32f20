"""From a checkpoint of the authors' code to a workdir of this package."""

import hashlib
import json
import os
import reprlib
from typing import Any

import numpy as np

from tf_resflow import models
from tf_resflow import training
from tf_resflow.conversion import arguments as arguments_lib
from tf_resflow.conversion import checkpoint as checkpoint_lib
from tf_resflow.conversion import kernels
from tf_resflow.conversion import weights as weights_lib

_CONVERSION_JSON = 'conversion.json'


def load_model(
    checkpoint: str | os.PathLike | checkpoint_lib.Checkpoint,
    weights: str = 'ema',
    dtype: str = 'float32',
    uncertified: bool = False,
) -> models.Flow:
  """Returns the model of a checkpoint of the authors' code.

  Args:
    checkpoint: path of the `.pth` file, or a `Checkpoint`.
    weights: 'ema', the averaged parameters, or 'raw', the trained ones.
    dtype: 'float32' or 'float64'.
    uncertified: see `convert_arguments`.

  Returns:
    A `models.ResidualFlow` with converged norms.

  Raises:
    errors.InvalidValueError: if there is no such file, it is damaged, or asks
      for what is not supported.

  Example:
    >>> model = conversion.load_model('cifar10_resflow.pth')
    >>> model.config.num_levels
    256
  """
  if not isinstance(checkpoint, checkpoint_lib.Checkpoint):
    checkpoint = checkpoint_lib.load_checkpoint(checkpoint)
  config = arguments_lib.convert_arguments(
      checkpoint.arguments, uncertified).config.model
  tensors = checkpoint.weights(weights)
  kernels.check_kernels(config, checkpoint.path, tensors)
  model = config.build(dtype)
  weights_lib.load_weights(model, tensors)
  return model


def convert(
    checkpoint_path: str | os.PathLike,
    workdir: str | os.PathLike,
    weights: str = 'ema',
    uncertified: bool = False,
) -> dict[str, Any]:
  """Turns a checkpoint of the authors' code into a workdir.

  The workdir is that of a run at step 0: evaluation, sampling and training
  take it as they do a run of their own. Trained and averaged weights in it
  are both those that `weights` names; there is no optimizer state. It appears
  whole or not at all.

  Args:
    checkpoint_path: of the `.pth` file.
    workdir: a folder that does not exist or is empty.
    weights: 'ema', the averaged parameters, or 'raw', the trained ones.
    uncertified: see `convert_arguments`.

  Returns:
    A dict for JSON: `workdir`, `weights`, `num_parameters`, `dataset`,
    `image_shape`, `num_levels`, `recorded_test_bits_per_dim` (what the
    authors' code saved with the weights, of its own evaluation; None if
    nothing), `notes` (what training further does otherwise).

  Raises:
    OSError: if a file cannot be read or written.
    errors.InvalidValueError: if the checkpoint is damaged or not supported, or
      the folder is not empty.
  """
  training.check_is_new(workdir)
  checkpoint = checkpoint_lib.load_checkpoint(checkpoint_path)
  conversion = arguments_lib.convert_arguments(
      checkpoint.arguments, uncertified)
  model = load_model(checkpoint, weights, uncertified=uncertified)
  report = {
      'workdir': os.fspath(workdir),
      'weights': weights,
      'num_parameters': sum(
          int(np.prod(v.shape)) for v in model.trainable_variables),
      'dataset': conversion.config.data.dataset,
      'image_shape': list(model.config.image_shape),
      'num_levels': model.config.num_levels,
      # A classifier alone has no density, and records 0.
      'recorded_test_bits_per_dim': (
          None if checkpoint.arguments.get('task') == 'classification' else
          checkpoint.test_bits_per_dim),
      'notes': list(conversion.notes),
  }
  with open(checkpoint.path, 'rb') as file:
    digest = hashlib.file_digest(file, 'sha256')
  provenance = {
      'checkpoint': os.path.basename(checkpoint.path),
      'sha256': digest.hexdigest(),
      'arguments': {k: _plain(v) for k, v in checkpoint.arguments.items()},
      'latent_order': 'channels_first',
      **{k: v for k, v in report.items() if k != 'workdir'},
  }
  training.create_workdir(
      workdir, conversion.config, model,
      extra_files={_CONVERSION_JSON: json.dumps(provenance, indent=2)})
  return report


def is_converted(workdir: str | os.PathLike) -> bool:
  """Whether a workdir was made by `convert`."""
  return os.path.exists(os.path.join(workdir, _CONVERSION_JSON))


def _plain(value):
  """Numbers and strings as they are, anything else as text."""
  # Of any depth, from anybody: `repr` could recurse too far.
  return (value if value is None or isinstance(value, (bool, int, float, str))
          else reprlib.repr(value))
