"""Paths that users give: local ones that can be read or written."""

import os
import pathlib

from tf_resflow import errors


def check_local(name: str, path: str | os.PathLike) -> None:
  """Raises `InvalidValueError` for what is no path of a local file or folder.
  """
  text = os.fspath(path)
  target = os.readlink(text) if os.path.islink(text) else ''
  for condition, expected, advice in (
      ('://' not in text, 'a local path',
       'It is a URL: mount the store, or copy files from and to there.'),
      (not text.startswith('~'), 'a path without ~ in front',
       'Write the home folder in full, or ./~ for a name that begins so.'),
      (not target or os.path.exists(text), 'a path that exists or is new',
       f'It is a link to {target}, which does not exist: restore that, or '
       'remove the link.')):
    errors.check(condition, name, text, expected, advice)


def check_folder(
    name: str, path: str | os.PathLike, writes: bool = False) -> None:
  """Raises `InvalidValueError` unless a path can be that of a folder.

  It need not exist; `writes` says whether files are to be written there, too.
  """
  check_local(name, path)
  path = pathlib.Path(path)
  nearest = next(filter(os.path.exists, (path, *path.parents)))
  errors.check(
      nearest.is_dir(), name, path, 'a folder',
      'It is a file.' if nearest == path else f'{nearest} is a file.')
  for verb, mode in (
      ('read', os.X_OK | (os.R_OK if nearest == path else 0)),
      ('write to', os.X_OK | (os.W_OK if writes else 0))):
    errors.check(
        os.access(nearest, mode), name, path, f'a folder that you may {verb}',
        f'Change the permissions of {nearest}, or take another folder.')


def check_new_folder(name: str, path: str | os.PathLike, advice: str) -> None:
  """Raises `InvalidValueError` unless a folder can be made, or has no files."""
  errors.check(os.fspath(path), name, path, 'a local folder')
  check_folder(name, path, writes=True)
  errors.check(not os.path.isdir(path) or not os.listdir(path), name, path,
               'a new or empty folder', advice)
