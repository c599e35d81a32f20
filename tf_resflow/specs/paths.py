"""Paths that users give: local ones that can be read or written."""

import os
import pathlib

from tf_resflow import errors


def check_local(name: str, path: str | os.PathLike) -> None:
  """Raises `InvalidValueError` for what is no path of a local file or folder.

  Args:
    name: of the argument or flag.
    path: what was given; it need not exist.
  """
  text = os.fspath(path)
  errors.check('\0' not in text, name, repr(text), 'a path',
               'It has a NUL character.')
  errors.check(
      '://' not in text, name, path, 'a local path',
      'It is a URL: mount the store, or copy files from and to there.')
  errors.check(
      not text.startswith('~'), name, path, 'a path without ~ in front',
      'Write the home folder in full, or ./~ for a name that begins so.')
  errors.check(
      os.path.exists(text) or not os.path.islink(text), name, path,
      'a path that exists or is new', 'It is a link to '
      f'{os.path.islink(text) and os.readlink(text)}, which does not exist: '
      'restore that, or remove the link.')


def check_folder(
    name: str, path: str | os.PathLike, writes: bool = False) -> None:
  """Raises `InvalidValueError` unless a path can be that of a folder.

  Args:
    name: of the argument or flag.
    path: what was given; it need not exist.
    writes: whether files are to be written there, too.
  """
  check_local(name, path)
  nearest = path = pathlib.Path(path)
  while not os.path.exists(nearest):
    nearest = nearest.parent
  errors.check(
      nearest.is_dir(), name, path, 'a folder',
      'It is a file.' if nearest == path else f'{nearest} is a file.')
  for verb, mode in (
      ('read', os.X_OK | (os.R_OK if nearest == path else 0)),
      ('write to', os.X_OK | (os.W_OK if writes else 0))):
    errors.check(
        os.access(nearest, mode), name, path, f'a folder that you may {verb}',
        f'Change the permissions of {nearest}, or take another folder.')
