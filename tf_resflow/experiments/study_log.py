"""The log of a study: one JSON object a line, the only state of its queue."""

from collections.abc import Mapping
import contextlib
import fcntl
import json
import os
from typing import Any

from tf_resflow import errors
from tf_resflow.experiments import study as study_lib


class BusyError(errors.ExpectedError):
  """Another process works on the study."""


class StudyLog(contextlib.AbstractContextManager):
  """Appends records to a file, and reads it again after a kill.

  The first line is the study as it was declared; every other one the record of
  a task that is done. Half a line, of a process that was killed while it wrote,
  is removed. One process at a time may have the log open.

  Args:
    path: of the file, which is made if there is none.
    name: of the study.
    study: its value.

  Attributes:
    records: by the names of their tasks, in the order of the file.

  Raises:
    InvalidValueError: if the file is the log of another study, or damaged.
    BusyError: if another process has it open.
  """

  def __init__(self, path: str | os.PathLike, name: str,
               study: study_lib.Study):
    self._file: Any = open(path, 'a+', encoding='utf-8')
    try:
      fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      self._file.close()
      raise BusyError(
          f'workdir={os.path.dirname(path)}: another process works on this '
          'study. Wait for it, or end it.') from None
    self._file.seek(0)
    text = self._file.read()
    whole = text[:text.rfind('\n') + 1]
    self.records = {}
    declared = {'study': name, **study.declared()}
    if whole:
      header, old, self.records = _parse(whole, path)
      # As text, since the first case is the one that others are compared with.
      old = {'study': header['study'], **old.declared(),
             'flagfiles': header['flagfiles']}
      changed = [key for key, value in declared.items()
                 if json.dumps(old[key]) != json.dumps(value)]
      errors.check(
          not changed, 'file', path, f'the log of the study {name}',
          f'It has another {", ".join(changed)}. Take another workdir.')
    self._file.truncate(len(whole.encode()))
    if not whole:
      self._write(declared)

  def __exit__(self, *unused_error):
    self._file.close()

  def append(self, task: study_lib.Task, values: Mapping[str, Any]) -> None:
    """Writes the record of a task that is done, to the disk."""
    record = {'task': task.name, **{
        key: value for key, value in task._asdict().items() if value}, **values}
    self._write(record)
    self.records[task.name] = record

  def _write(self, record):
    self._file.write(json.dumps(record) + '\n')
    self._file.flush()
    os.fsync(self._file.fileno())


def read(path: str | os.PathLike) -> tuple[
    str, study_lib.Study, dict[str, dict[str, Any]]]:
  """Returns the name and the value of the study of a log, and the records.

  Raises:
    OSError: if it cannot be read.
    InvalidValueError: if it is not the log of a study, or damaged.
  """
  errors.check(os.path.isfile(path), 'file', path, 'the log of a study',
               'There is no such file.')
  with open(path, encoding='utf-8', errors='replace') as file:
    text = file.read()
  header, study, records = _parse(text[:text.rfind('\n') + 1], path)
  return header['study'], study, records


def _parse(text, path):
  """Returns the header, its study, and the records by their tasks."""
  lines = []
  for number, line in enumerate(text.splitlines() or [''], 1):
    try:
      lines.append(json.loads(line))
      is_valid = 'task' in lines[-1] if number > 1 else bool(
          study_lib.Study.from_declared(lines[0]))
    except (ValueError, KeyError, TypeError):
      is_valid = False
    errors.check(is_valid, 'file', path, 'the log of a study',
                 f'Its line {number} is damaged.')
  header, *records = lines
  return header, study_lib.Study.from_declared(header), {
      record['task']: record for record in records}
