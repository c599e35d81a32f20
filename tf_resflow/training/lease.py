"""The right to write to the folder of a run: one process has it at a time.

`WORKDIR/run.lock` names the holder, and its time is that of the last heartbeat,
one every ten seconds. The kernel releases the `flock` on it with the process,
so on one machine a dead holder is known at once. Another machine, and a file
system without `flock`, see only the heartbeats: changes of that time, which
they wait for on their own clock.

Every change of the holder replaces the file, so the heartbeats of a former
holder go to a file that nobody reads, and it learns from the name in the new
one that it has lost the run.
"""

import contextlib
import datetime
import errno
import fcntl
import itertools
import json
import logging
import os
import pathlib
import secrets
import socket
import stat
import threading
import time
from typing import NamedTuple, Self

from tf_resflow import errors
from tf_resflow.training import files

# Seconds between heartbeats.
_INTERVAL = 10.0
# Seconds between two looks at the file of another process.
_PAUSE = 0.2
# Bytes that are read of a file, which may be that of a stranger.
_MAX_LENGTH = 1024

_logger = logging.getLogger(__name__)


class LeaseLostError(errors.ExpectedError):
  """Another process has taken over the run of this one."""

  exit_status = 4


class LeaseRecord(NamedTuple):
  """A process that holds a run, as the file names it.

  Attributes:
    id: of the lease, drawn at random.
    kernel: identifies the machine since it was started.
    is_locked: whether `flock` held the file when the lease began.
    since: when it began, on the clock of the holder.
    heartbeat: time of the last heartbeat, which is that of the file.
  """

  id: str
  host: str
  process: int
  kernel: str
  is_locked: bool
  since: str = 'an unknown time'  # Former versions counted heartbeats.
  num_heartbeats: int = 0
  heartbeat: int = 0

  def __str__(self):
    return f'process {self.process} on {self.host}'


def _kernel() -> str:
  """Returns what identifies the running kernel of this machine."""
  path = pathlib.Path('/proc/sys/kernel/random/boot_id')
  return path.read_text().strip() if path.exists() else socket.gethostname()


def _read(path: str) -> LeaseRecord | None:
  """Returns the holder; None without a file, or if it is not one of ours."""
  try:
    descriptor = _open(path, os.O_RDONLY)
  except FileNotFoundError:
    return None
  with open(descriptor, 'rb') as file:
    try:
      holder = LeaseRecord(**json.loads(file.read(_MAX_LENGTH)) | {
          'heartbeat': os.fstat(descriptor).st_mtime_ns})
    except (TypeError, ValueError, RecursionError):
      return None
  return holder if f'{holder} {holder.since}'.isprintable() else None


def _open(path: str, flags: int) -> int:
  """Opens a file; refuses links and pipes, which a stranger may have made."""
  try:
    file = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
    if stat.S_ISREG(os.fstat(file).st_mode):
      return file
    os.close(file)
  except OSError as error:
    if error.errno not in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
      raise
  raise errors.InvalidValueError(
      'file', path, 'a regular file', 'Remove it, if no process trains there.')


def _lock(file_descriptor: int) -> bool | None:
  """Locks a file; returns False if another does, None if it is impossible."""
  try:
    fcntl.flock(file_descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except BlockingIOError:
    return False
  except OSError:  # The file system has no locks.
    return None
  return True


class Lease(contextlib.AbstractContextManager):
  """Holds the right to write to the folder of a run, within its context.

  Args:
    workdir: folder of the run, created if it does not exist.
    timeout: seconds without a heartbeat after which a holder counts as dead
      that this machine cannot tell from a living one; more than 30.
    takeover: whether to take the run from another process at once.

  Raises:
    InvalidValueError: if another process holds it.
  """

  def __init__(self, workdir: str, timeout: float = 60.0,
               takeover: bool = False):
    self._workdir, self._timeout = workdir, timeout
    self._takeover = takeover
    self._path = os.path.join(workdir, files.LOCK)
    self._ended = threading.Event()
    self._thread = threading.Thread(target=self._beat, daemon=True)

  def __enter__(self) -> Self:
    self._is_new = not os.path.isdir(self._workdir)
    os.makedirs(self._workdir, exist_ok=True)
    attempts = itertools.count()
    while not self._try(next(attempts)):
      time.sleep(_PAUSE)
    self._thread.start()
    return self

  def __exit__(self, *unused_error: object) -> None:
    self._ended.set()
    self._thread.join()
    with contextlib.suppress(LeaseLostError):
      self.check()
      os.unlink(self._path)
    os.close(self._file)
    if self._is_new:
      with contextlib.suppress(OSError):  # Something was written.
        os.rmdir(self._workdir)

  def check(self) -> None:
    """Raises `LeaseLostError` if another process has taken over the run.

    Call it before anything is written to the folder.
    """
    holder = _read(self._path)
    if holder is None or holder.id != self._id:
      how = (f'was taken over by {holder}' if holder else
             f'has no {files.LOCK} any more: another process took it over and '
             'has ended, or it was moved')
      raise LeaseLostError(
          f'The run in {self._workdir} {how}. This process has ended, and has '
          'written nothing since.')

  def _try(self, attempt):
    """Takes the lease and returns True, or False to try again."""
    file = _open(self._path, os.O_RDWR | os.O_CREAT)
    try:
      is_locked = _lock(file)
      holder = _read(self._path)
      if not os.path.exists(self._path) or not os.path.samestat(
          os.stat(self._path), os.fstat(file)):  # It was replaced or removed.
        return False
      if is_locked is False and attempt < 5 and not self._takeover:
        return False  # Whoever has just locked it may not have written yet.
      is_dead = holder is None or (
          is_locked and holder.is_locked and holder.kernel == _kernel())
      if not self._takeover and (is_locked is False or not is_dead and (
          self._sees_heartbeat(holder))):
        holder = _read(self._path)
        by = f'{holder}, since {holder.since}' if holder else 'one'
        raise errors.InvalidValueError(
            'workdir', self._workdir, 'a run that no other process trains',
            f'It is trained by {by}. Wait until it ends, stop it, or take the '
            'run over with --takeover.')
      self._replace()
      return True
    finally:
      os.close(file)

  def _sees_heartbeat(self, holder):
    """Waits for a heartbeat; returns whether there was one."""
    _logger.warning(
        '%s is held by %s; waiting up to %g s for a heartbeat.',
        self._workdir, holder, self._timeout)
    deadline = time.monotonic() + self._timeout
    while time.monotonic() < deadline:
      time.sleep(_PAUSE)
      found = _read(self._path)
      if found != holder:
        return found is not None
    return False

  def _replace(self):
    """Writes a file with this process as the holder in place of the other."""
    temporary = files.temporary_name(self._path)
    self._file = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
    self._id = secrets.token_hex(8)
    os.write(self._file, json.dumps({
        'id': self._id, 'host': socket.gethostname(), 'process': os.getpid(),
        'kernel': _kernel(), 'is_locked': bool(_lock(self._file)),
        'since': f'{datetime.datetime.now():%Y-%m-%d %H:%M}'}).encode())
    os.fsync(self._file)
    os.replace(temporary, self._path)

  def _beat(self):
    while not self._ended.wait(_INTERVAL):
      # Without heartbeats another process may take over, which `check` sees.
      with contextlib.suppress(OSError):
        os.utime(self._file)
