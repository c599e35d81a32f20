"""Metrics of a run: metrics.csv, TensorBoard events and sample pictures.

A run that is killed after step t and resumes from a checkpoint of step s < t
would write steps s + 1 .. t twice. So a writer that starts at s first removes
all later steps from the CSV and the event files; each file is replaced
atomically. Lines and records that are damaged are left out and counted in a
warning, and a file that loses more than is written again is kept aside.
"""

import bisect
from collections.abc import Callable, Iterable, Mapping, Sequence
import contextlib
import logging
import os
import re
import shutil
from typing import Any

import numpy as np
import tensorflow as tf

from tf_resflow import errors
from tf_resflow import private_apis
from tf_resflow.training import files

_logger = logging.getLogger(__name__)

_NAME_PATTERN = re.compile(r'[A-Za-z0-9_][A-Za-z0-9_./-]*')
_STEP = 'step'
_CSV = 'metrics.csv'
_EVENTS = re.compile(r'events\.out\.tfevents\.\d+\..*\.\d+\.\d+\.v2')
_ROW_PATTERN = re.compile(
    r'\d{1,18}(,(-?(nan|inf|\d+(\.\d*)?(e[+-]?\d+)?))?)*', re.ASCII)


class MetricsWriter(contextlib.AbstractContextManager):
  """Writes scalars and images of a run to its working directory.

  `workdir`/metrics.csv has a row per step and a column per name, empty cells
  for missing values; `workdir`/tensorboard has the same scalars and the images.
  Rows are written at once; `flush` before saving a checkpoint makes them
  survive a crash of the machine. Only one process may write: see
  `lease.Lease`.

  Args:
    workdir: local folder of the run, created if it does not exist.
    start_step: last finished step, 0 for a new run. Later steps are removed.
    save_images_fn: called as `save_images_fn(path, images)` by `write_images`
      to write `workdir`/samples/<name>_<step>.png; by default no file is
      written.
    check_fn: called before anything is written; raises an error if another
      process has taken over the run.
    log_every: steps between rows, 0 if not known; a warning names those of an
      earlier run that are lost with damaged lines or at the end.

  Example:
    >>> with MetricsWriter('run') as writer:
    ...   writer.write(1, {'bits_per_dim': 7.9, 'grad_norm': 0.3})
  """

  def __init__(self, workdir: str | os.PathLike, start_step: int = 0,
               save_images_fn: Callable[[str, np.ndarray], None] | None = None,
               check_fn: Callable[[], None] = lambda: None,
               log_every: int = 0):
    check_fn()
    self._check_fn = check_fn
    self._workdir = workdir
    self._save_images_fn = save_images_fn
    self._last_step = start_step
    self._csv_path = os.path.join(workdir, _CSV)
    tensorboard_dir = os.path.join(workdir, 'tensorboard')
    os.makedirs(tensorboard_dir, exist_ok=True)

    self._columns, rows, bad = _read_csv(self._csv_path)
    rows = [row for row in rows if int(row[_STEP]) <= start_step]
    missing = _missing_steps(
        [int(row[_STEP]) for row in rows], start_step, log_every, bad)
    problems = [f'the rows of {len(missing)} steps are missing '
                f'({_abridged(missing)})'] * bool(missing)
    if bad:
      fate = 'their steps are run again'
      if missing or bad[0] <= len(rows) + 1:  # Line 1 has the columns.
        fate = 'kept in ' + shutil.copy2(
            self._csv_path, files.aside(self._csv_path))
      problems.append(f'damaged lines ({_abridged(bad)}) are left out, {fate}')
    if problems:
      _logger.warning('%s: %s.', self._csv_path, '; '.join(problems))
    self._row = rows[-1] if rows else {}
    self._file = open(self._csv_path, 'a+b')
    self._replace_csv(rows)
    with files.writing(tensorboard_dir):
      _merge_events(tensorboard_dir, start_step)
      self._summary_writer = tf.summary.create_file_writer(tensorboard_dir)

  def write(self, step: int, values: Mapping[str, object]) -> None:
    """Writes scalars of one step.

    A step may be written in several calls (training, then evaluation), which
    share a row; a repeated name replaces its value, and a new one adds a
    column.

    Args:
      step: number of finished steps, at least that of earlier calls.
      values: maps names to real numbers or scalar tensors, which may be NaN.

    Raises:
      InvalidValueError: for a step before an earlier one, an invalid name, or a
        value that is not a real number. Nothing is written then.
      OSError: if a file cannot be written, as on a full disk.
    """
    self._check(step, values)
    arrays = {name: np.asarray(value) for name, value in values.items()}
    for name, array in arrays.items():
      errors.check(not array.ndim and array.dtype.kind in 'iuf', name,
                   f'{array.dtype} of shape {array.shape}', 'one real number')
    # TensorFlow keeps a tensor of every Python number, not of arrays.
    at = tf.constant(np.array(step))
    with files.writing('metrics'), self._summary_writer.as_default():
      for name, array in arrays.items():
        tf.summary.scalar(name, np.array(array), step=at)

    # NumPy scalars print the shortest exact digits.
    cells = {_STEP: str(step)} | {
        name: str(array[()]) for name, array in arrays.items()}
    old = self._row if self._row.get(_STEP) == cells[_STEP] else {}
    row = old | cells
    columns = list(dict.fromkeys([*self._columns, *cells]))
    if columns == self._columns:
      # The file is not read again: it may be long.
      self._file.seek(-len(_csv_lines(columns, [old] * bool(old))), os.SEEK_END)
      self._file.write(_csv_lines(columns, [row]).encode())
      self._file.truncate()
    else:
      _, rows, _ = _read_csv(self._csv_path)
      self._columns = columns
      self._replace_csv([*(r for r in rows if r[_STEP] != row[_STEP]), row])
    self._last_step, self._row = step, row

  def write_images(self, step: int, name: str, images: np.ndarray) -> None:
    """Writes a batch of images to TensorBoard, and with `save_images_fn`.

    Args:
      step: see `write`.
      name: TensorBoard tag and start of the file name, where '/' becomes '_'.
      images: `[N, H, W, C]`, uint8 or floats in [0, 1].

    Raises:
      InvalidValueError: for other shapes, NaN, or floats outside [0, 1].
      OSError: if a file cannot be written.
    """
    self._check(step, [name])
    images = np.asarray(images)
    errors.check(images.ndim == 4 and images.size > 0, name,
                 f'images of shape {images.shape}',
                 'a batch [N, H, W, C] that is not empty')
    # NaN fails this check, too.
    errors.check(
        images.dtype == np.uint8 or np.all((images >= 0) & (images <= 1)),
        name, f'{images.dtype} in [{images.min()}, {images.max()}]',
        'uint8 or finite floats in [0, 1]', 'Clip them.')
    with files.writing('images'), self._summary_writer.as_default():
      tf.summary.image(name, images, step=step, max_outputs=len(images))
    if self._save_images_fn is not None:
      path = os.path.join(self._workdir, 'samples',
                          f'{name.replace("/", "_")}_{step:08d}.png')
      os.makedirs(os.path.dirname(path), exist_ok=True)
      self._save_images_fn(path, images)

  def flush(self) -> None:
    """Flushes everything written so far to disk."""
    self._check_fn()
    self._file.flush()
    os.fsync(self._file.fileno())
    with files.writing('the metrics of TensorBoard'):
      self._summary_writer.flush()

  def close(self) -> None:
    """Flushes and closes the files."""
    if not self._file.closed:
      self._file.flush()
      os.fsync(self._file.fileno())
    self._file.close()
    self._summary_writer.close()

  def __exit__(self, *unused_error: object) -> None:
    self.close()

  def _check(self, step, names):
    errors.check(
        not self._file.closed, 'step', step, 'an open MetricsWriter',
        'Create a new one with start_step set to the last finished step.')
    errors.check(
        step >= self._last_step, 'step', step,
        f'at least {self._last_step}, the last step written', 'To go back, '
        f'create a new MetricsWriter with start_step={step}.')
    for name in names:
      errors.check(
          _NAME_PATTERN.fullmatch(name) is not None and name != _STEP, 'name',
          repr(name), 'letters, digits, and _ . / -, but not '
          f'{_STEP!r}, the first column')
    self._check_fn()

  def _replace_csv(self, rows: Iterable[Mapping[str, str]]):
    """Replaces metrics.csv by a file with these rows, and opens it."""
    files.write_text(self._csv_path, _csv_lines(self._columns, [
        dict(zip(self._columns, self._columns, strict=True)), *rows]),
                     self._check_fn)
    self._file.close()
    self._file = open(self._csv_path, 'r+b')


class NoMetricsWriter(contextlib.AbstractContextManager):
  """Takes the place of a `MetricsWriter` in processes that write nothing."""

  def write(self, *unused: object) -> None:
    """Writes nothing."""

  write_images = flush = __exit__ = write


def _csv_lines(columns, rows):
  """Returns rows as CSV text, with empty cells for missing values."""
  return ''.join(','.join(row.get(name, '') for name in columns) + '\n'
                 for row in rows)


def _read_csv(path):
  """Returns columns and sound rows of metrics.csv, and numbers of bad lines.

  Rows are dicts of strings, and their steps rise. If the first line is bad, all
  are.
  """
  text = ''
  if os.path.exists(path):
    errors.check(os.path.isfile(path), 'file', path, 'a regular file',
                 'It is a pipe, a device or a folder; move it away.')
    with open(path, encoding='ascii', errors='replace', newline='') as file:
      text = file.read().replace('\r\n', '\n')
  header, *lines = (text or f'{_STEP}\n').split('\n')
  columns, numbers = header.split(','), set(range(1, len(lines) + 2))
  # Otherwise a killed process has left half a line.
  if lines and not lines[-1]:
    numbers.remove(len(lines) + 1)
  if not lines or columns[0] != _STEP or len({*columns}) < len(columns) or (
      not all(map(_NAME_PATTERN.fullmatch, columns))):
    return [_STEP], [], sorted(numbers)
  # ends[n] ends the part of n + 1 rising steps whose last one is the lowest.
  ends: list[Any] = []
  for number, line in enumerate(lines[:-1], 2):
    cells = line.split(',')
    if _ROW_PATTERN.fullmatch(line) and len(cells) == len(columns):
      n = bisect.bisect_left(ends, (int(cells[0]),))
      ends[n:n + 1] = [(int(cells[0]), number, cells, n and ends[n - 1])]
  part, rows = ends and ends[-1], []
  while part:
    _, number, cells, part = part
    numbers.remove(number)
    rows.append(dict(zip(columns, cells, strict=True)))
  return columns, rows[::-1], sorted(numbers - {1})


def _missing_steps(steps, last_step, log_every, bad):
  """Returns the multiples of `log_every` without a row, and the last step."""
  if not log_every:
    return []
  ends = [0, *steps, last_step]
  gaps = np.diff(ends)
  # Gaps without a bad line may be of another `log_every`. A bad one is in the
  # gap after the sound ones before it; line 1 has the columns.
  torn = {number - 2 - i for i, number in enumerate(bad)} | {len(steps)}
  return [
      step for i, (a, gap) in enumerate(zip(ends, gaps, strict=False))
      if i in torn and gap > max(
          0, log_every, *gaps[max(i - 1, 0):i], *gaps[i + 1:i + 2])
      for step in range((a // log_every + 1) * log_every, a + gap, log_every)
  ] + [last_step] * bool(gaps[-1])


def _abridged(numbers: Sequence[int]) -> str:
  """Returns the first and the last of increasing numbers, as text."""
  return ', '.join(map(str, numbers)) if len(numbers) < 5 else (
      f'{numbers[0]}, {numbers[1]}, ... {numbers[-1]}')


def read_metrics(workdir: str | os.PathLike) -> dict[str, np.ndarray]:
  """Returns the columns of a run's metrics.csv by name, `step` first.

  They are float64 `[number of rows]`, with NaN for empty cells.

  Raises:
    InvalidValueError: if lines of metrics.csv are damaged.
  """
  path = os.path.join(workdir, _CSV)
  columns, rows, bad = _read_csv(path)
  # Half a line at the end is being written.
  errors.check(
      not bad or bad[0] > len(rows) + 1, 'file', path, 'rows of rising steps',
      f'Damaged are lines {_abridged(bad)}. Continue training, which leaves '
      'them out.')
  return {
      name: np.array([float(row[name] or 'nan') for row in rows])
      for name in columns}


def last_step(workdir: str | os.PathLike) -> int | None:
  """Returns the step of the last sound row of a run, 0 if all are damaged.

  None if there are no rows.
  """
  _, rows, bad = _read_csv(os.path.join(workdir, _CSV))
  return int(rows[-1][_STEP]) if rows else 0 if bad else None


def _merge_events(folder, start_step):
  """Makes one file of TensorFlow's event files: every start adds one.

  Events later than `start_step` are left out, at 0 those of step 0, too.
  """
  # A link may lead to a file of another folder, and a pipe has no end.
  paths = sorted(entry.path for entry in os.scandir(folder) if (
      _EVENTS.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)))
  if not paths:
    return
  # TensorBoard reads all files with 'tfevents' in their name.
  temporary = files.temporary_name(os.path.join(folder, 'rewritten'))
  open(temporary, 'xb').close()
  merged = b''
  for path in paths:
    # A process that is killed before it removes a file leaves it in both.
    if (data := _earlier_events(path, start_step, temporary)) not in merged:
      merged += data  # Records need no header.
  with open(temporary, 'wb') as file:
    file.write(merged)
  os.replace(temporary, paths[0])
  for path in paths[1:]:
    os.unlink(path)


def _earlier_events(path, start_step, temporary):
  """Returns the sound records of an event file up to `start_step`."""
  # A record is its length (8 bytes), the checksum of that (4), the event, and
  # its checksum (4).
  with open(path, 'rb') as file:
    data = file.read()
  ends, is_torn = [0], True
  while len(header := data[ends[-1]:ends[-1] + 12]) == 12:
    end = ends[-1] + 16 + int.from_bytes(header[:8], 'little')
    is_torn = private_apis.masked_crc32c(header[:8]) == header[8:]
    if not is_torn or end > len(data):
      break
    ends.append(end)
  records = [data[a:b] for a, b in zip(ends, ends[1:], strict=False)]
  with tf.io.TFRecordWriter(temporary) as writer:
    for record in records:
      writer.write(record[12:-4])
  with open(temporary, 'rb') as file:  # With the right checksums.
    sound = [(record, step) for record in records
             if file.read(len(record)) == record and
             (step := _step_of(record[12:-4])) is not None]
  # A killed process leaves an incomplete last record, which is dropped.
  if len(sound) < len(records) or not is_torn:
    folder, name = os.path.split(path)
    _logger.warning(
        '%s: %d bytes are damaged and left out; the file is kept in %s.', path,
        len(data) - sum(len(record) for record, _ in sound),
        shutil.copy2(path, files.aside(
            os.path.join(folder, name.replace('tfevents', '')))))
  return b''.join(
      record for record, step in sound if step <= (start_step or -1))


def _step_of(record):
  """Returns the step of an event, -1 of a header; None if it is no event."""
  try:
    event = tf.compat.v1.Event.FromString(record)
  except Exception:  # DecodeError of protobuf, which comes with TensorFlow.
    return None
  return event.step if event.step or event.HasField('summary') else -1
