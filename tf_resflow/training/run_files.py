"""Where the files of a run stand in its folder; known without TensorFlow."""

import os

from tf_resflow import errors

RUN_FLAGS = 'run.flags'
MODEL_JSON = 'model.json'

_PATTERN_CHARACTERS = '[]*?\\'


def check_path(workdir: str) -> None:
  """Checks that a path can be that of a run.

  Raises:
    InvalidValueError: if it is a file, or TensorFlow could save checkpoints
      there but never find them again.
  """
  errors.check(
      not set(_PATTERN_CHARACTERS) & set(os.fspath(workdir)), 'workdir',
      workdir, f'a path without any of {" ".join(_PATTERN_CHARACTERS)}',
      'TensorFlow takes them for patterns of file names; rename the folder.')
  errors.check(
      os.path.isdir(workdir) or not os.path.exists(workdir), 'workdir',
      workdir, 'a folder', 'It is a file.')


def path_of(workdir: str, name: str) -> str:
  """Returns the path of a file of a run.

  Raises:
    InvalidValueError: if there is none.
  """
  check_path(workdir)
  path = os.path.join(workdir, name)
  errors.check(
      os.path.exists(path), 'workdir', workdir, 'the folder of a run',
      f'There is no {name}; train one with bin/train.')
  return path
