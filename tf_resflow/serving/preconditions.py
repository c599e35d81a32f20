"""Preconditions of an export, which are checked without TensorFlow."""

import importlib.util

from tf_resflow import errors
from tf_resflow.specs import paths


def check_output(output: str) -> None:
  """Raises `InvalidValueError` unless it is a new or empty folder."""
  paths.check_new_folder(
      'output', output, 'Use the next version number, for example.')


def check_is_installed() -> None:
  """Raises `InvalidValueError` unless tensorflow-serving-api is installed."""
  try:
    is_installed = importlib.util.find_spec('tensorflow_serving.apis')
  except ImportError:
    is_installed = None
  errors.check(
      is_installed, 'warmup', 'true',
      problem='requires tensorflow-serving-api, which is not installed',
      advice="Install it with pip install 'tf_resflow[serving]', or omit the "
      'requests with --nowarmup.')
