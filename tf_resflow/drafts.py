"""Files and directories that appear complete or not at all."""

from collections.abc import Iterator
import contextlib
import errno
import fcntl
import glob
import os
import pathlib
import shutil
import tempfile


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[pathlib.Path]:
  """Yields the path of a file or folder to be made, then renamed to `path`.

  A file takes the place of an earlier one. It lies in a hidden folder beside
  it, `.NAME.draft.*`. Those that killed processes left there are removed, those
  of living ones are not.

  Raises:
    OSError: if there is a folder `path` that is not empty at the end.

  Example:
    >>> with atomic_path('exports/1') as draft:
    ...   draft.mkdir()
    ...   os.listdir('exports/1') if os.path.exists('exports/1') else None
    >>> os.listdir('exports')
    ['1']
  """
  path = pathlib.Path(os.path.abspath(path))
  path.parent.mkdir(parents=True, exist_ok=True)
  prefix = f'.{path.name}.draft.'
  for leftover in path.parent.glob(
      f'{glob.escape(prefix)}{"[a-z0-9_]" * 8}'):  # As `tempfile` names them.
    with contextlib.suppress(OSError), _locked(leftover):
      shutil.rmtree(leftover)
  with (tempfile.TemporaryDirectory(prefix=prefix, dir=path.parent) as parent,
        contextlib.ExitStack() as stack):
    with contextlib.suppress(OSError):  # Not every file system has locks.
      stack.enter_context(_locked(parent))
    draft = pathlib.Path(parent, path.name)
    yield draft
    try:
      draft.rename(path)  # It replaces an empty folder.
    except OSError as error:
      if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
        raise
      raise FileExistsError(
          f'{path} is no empty folder any more: another process has filled it. '
          'Name another one.') from error


@contextlib.contextmanager
def _locked(path: str | os.PathLike) -> Iterator[None]:
  """Locks a folder for as long as this process lives, or raises `OSError`."""
  file = os.open(path, os.O_RDONLY)
  try:
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    yield
  finally:
    os.close(file)
