"""Trained flows that come with the package: `tf_resflow.load('preset:digits')`.

docs/presets.py has trained them, and writes them anew.
"""

import os
import pathlib

from tf_resflow import errors

_PREFIX = 'preset:'
FOLDER = pathlib.Path(__file__).parents[1] / 'presets'


def names() -> list[str]:
  """Returns the names of all presets."""
  return sorted(path.parent.name for path in FOLDER.glob('*/run.flags'))


def folder_of(workdir: str | os.PathLike) -> str:
  """Returns the folder of `preset:NAME`, of others the path itself.

  Raises:
    InvalidValueError: if there is no such preset.
  """
  prefix, found, name = os.fspath(workdir).partition(_PREFIX)
  if prefix or not found:
    return os.fspath(workdir)
  errors.check(name in names(), 'workdir', f'{_PREFIX}{name}',
               ', '.join(f'{_PREFIX}{known}' for known in names()))
  return str(FOLDER / name)
