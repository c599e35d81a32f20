"""Preconditions of an export, which are checked without TensorFlow."""

import importlib.util
import pathlib

from tf_resflow import errors
from tf_resflow.specs import paths


def check_is_new(output: str) -> None:
  """Raises `InvalidValueError` unless a folder does not exist or is empty."""
  errors.check(output, 'output', output, 'a local folder')
  paths.check_folder('output', output, writes=True)
  path = pathlib.Path(output)
  errors.check(not path.exists() or not any(path.iterdir()),
               'output', output, 'a new or empty folder',
               'Use the next version number, for example.')


def check_is_installed() -> None:
  """Raises `InvalidValueError` unless tensorflow-serving-api is installed."""
  try:
    is_installed = importlib.util.find_spec('tensorflow_serving.apis')
  except ImportError:
    is_installed = None
  errors.check(
      is_installed is not None, 'warmup', 'true',
      problem='requires tensorflow-serving-api, which is not installed',
      advice="Install it with pip install 'tf_resflow[serving]', or omit the "
      "requests "
      'with --nowarmup.')
