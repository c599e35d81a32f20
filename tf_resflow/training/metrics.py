"""Metrics of a run: metrics.csv, TensorBoard events and sample pictures.

A run that is killed after step t and resumes from a checkpoint of step s < t
writes steps s + 1 .. t twice. So a writer that starts at s removes all later
steps from metrics.csv, which is replaced atomically, and begins its own event
file with a mark at which TensorBoard drops them.
"""

from collections.abc import Callable, Mapping
import contextlib
import logging
import os
import re
import shutil
import time

import numpy as np
import tensorflow as tf

from tf_resflow import errors
from tf_resflow import private_apis
from tf_resflow.training import files

_logger = logging.getLogger(__name__)

_NAME_PATTERN = re.compile(r'[A-Za-z0-9_][A-Za-z0-9_./-]*')
_STEP = 'step'
CSV = 'metrics.csv'
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
    repeats_step: whether what comes after that step is written again. Then
      TensorBoard drops its points, too; those in metrics.csv are written anew.
    save_images_fn: called as `save_images_fn(path, images)` by `write_images`
      to write `workdir`/samples/<name>_<step>.png; by default no file is
      written.
    check_fn: called before anything is written; raises an error if another
      process has taken over the run.

  Example:
    >>> with MetricsWriter('run') as writer:
    ...   writer.write(1, {'bits_per_dim': 7.9, 'grad_norm': 0.3})
  """

  def __init__(self, workdir: str | os.PathLike, start_step: int = 0,
               repeats_step: bool = False,
               save_images_fn: Callable[[str, np.ndarray], None] | None = None,
               check_fn: Callable[[], object] = bool):
    check_fn()
    self._workdir, self._last_step = workdir, start_step
    self._check_fn, self._save_images_fn = check_fn, save_images_fn
    self._csv_path = os.path.join(workdir, CSV)
    tensorboard_dir = os.path.join(workdir, 'tensorboard')
    os.makedirs(tensorboard_dir, exist_ok=True)

    self._columns, rows, bad = _read_csv(self._csv_path)
    if bad:
      _logger.warning(
          '%s: %s are left out; a copy is kept as %s.', self._csv_path,
          _corrupt_lines(bad), shutil.copy2(
              self._csv_path, files.quarantine_name(self._csv_path)))
    rows = [row for row in rows if int(row[_STEP]) <= start_step]
    self._row = rows[-1] if rows else {}
    self._replace_csv(rows)
    with files.writing(tensorboard_dir):
      self._summary_writer = tf.summary.create_file_writer(tensorboard_dir)
      with self._summary_writer.as_default():
        # TensorBoard drops all from this step on. Its fast loader ignores the
        # event, and drops all of a series from the step of a later point on.
        private_apis.write_event(tf.compat.v1.Event(
            step=start_step if repeats_step else start_step + 1,
            wall_time=time.time(), session_log=tf.compat.v1.SessionLog(
                status=tf.compat.v1.SessionLog.START)))
    if repeats_step and self._row.get(_STEP) == str(start_step):
      self._write_scalars(start_step, {
          name: np.float32(cell) for name, cell in self._row.items()
          if cell and name != _STEP})

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
    # NumPy scalars print the shortest exact digits.
    cells = {_STEP: str(step)} | {
        name: str(array[()]) for name, array in arrays.items()}
    old = self._row if self._row.get(_STEP) == cells[_STEP] else {}
    row = old | cells
    self._write_scalars(step, {
        name: array for name, array in arrays.items()
        if cells[name] != old.get(name)})
    if cells.keys() <= {*self._columns}:
      # The file is not read again: it may be long.
      replaced = self._csv_lines([old] if old else [])
      self._file.seek(-len(replaced), os.SEEK_END)
      self._file.write(self._csv_lines([row]))
      self._file.truncate()
    else:
      _, rows, _ = _read_csv(self._csv_path)
      self._columns = list(dict.fromkeys([*self._columns, *cells]))
      with self._file:
        self._replace_csv([*(r for r in rows if r[_STEP] != row[_STEP]), row])
    self._last_step, self._row = step, row

  def _write_scalars(self, step, values):
    """Writes scalars to TensorBoard."""
    # TensorFlow keeps a tensor of every Python number, not of arrays.
    at = tf.constant(np.array(step))
    with files.writing('metrics'), self._summary_writer.as_default():
      for name, value in values.items():
        tf.summary.scalar(name, np.array(value), step=at)

  def write_images(self, step: int, name: str, images: np.ndarray) -> None:
    """Writes a batch of images to TensorBoard, and with `save_images_fn`.

    Args:
      step: see `write`.
      name: TensorBoard tag and start of the file name, where '/' becomes '_'.
      images: `[N, H, W, C]`, uint8 or floats in [0, 1].

    Raises:
      OSError: if a file cannot be written.
    """
    self._check(step, [name])
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

  def __exit__(self, *unused_error: object) -> None:
    """Flushes and closes the files."""
    if not self._file.closed:
      self._file.flush()
      os.fsync(self._file.fileno())
    self._file.close()
    self._summary_writer.close()

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

  def _csv_lines(self, rows):
    """Returns rows as bytes, with empty cells for missing values."""
    return ''.join(
        ','.join(row.get(name, '') for name in self._columns) + '\n'
        for row in rows).encode()

  def _replace_csv(self, rows):
    """Replaces metrics.csv by a file with these rows, and opens it."""
    header = dict(zip(self._columns, self._columns, strict=True))
    files.write_bytes(
        self._csv_path, self._csv_lines([header, *rows]), self._check_fn)
    self._file = open(self._csv_path, 'r+b')


class NoMetricsWriter(contextlib.AbstractContextManager):
  """Takes the place of a `MetricsWriter` in processes that write nothing."""

  def write(self, *unused: object) -> None:
    """Writes nothing."""

  write_images = flush = __exit__ = write


def _corrupt_lines(numbers):
  return f'corrupt lines ({len(numbers)}, the first is line {numbers[0]})'


def _read_csv(path):
  """Returns columns and rows of metrics.csv, and numbers of corrupt lines.

  Rows are dicts of strings in the order of their steps, of equal steps the
  last. If the first line is corrupt, all are.
  """
  errors.check(
      os.path.isfile(path) or not os.path.exists(path), 'file', path,
      'a regular file', 'It is a pipe, a device or a folder; move it away.')
  header, *lines = (files.read_text(path) or f'{_STEP}\n').split('\n')
  columns = header.split(',')
  if not lines or columns[0] != _STEP or len({*columns}) < len(columns) or (
      not all(map(_NAME_PATTERN.fullmatch, columns))):
    return [_STEP], [], [1]
  rows, bad = {}, []
  rest = lines.pop()  # Half a line, if the machine has failed.
  for number, line in enumerate(lines, 2):
    cells = line.split(',')
    if _ROW_PATTERN.fullmatch(line) and len(cells) == len(columns):
      rows[int(cells[0])] = dict(zip(columns, cells, strict=True))
    else:
      bad.append(number)
  if rest:
    bad.append(len(lines) + 2)
  return columns, [rows[step] for step in sorted(rows)], bad


def read_metrics(workdir: str | os.PathLike) -> dict[str, np.ndarray]:
  """Returns the columns of a run's metrics.csv by name, `step` first.

  They are float64 `[number of rows]`, with NaN for empty cells.

  Raises:
    InvalidValueError: if lines of metrics.csv are corrupt.
  """
  path = os.path.join(workdir, CSV)
  columns, rows, bad = _read_csv(path)
  # Half a line at the end is being written.
  if bad and bad[0] <= len(rows) + 1:
    raise errors.InvalidValueError(
        'file', path, 'rows of numbers', f'It has {_corrupt_lines(bad)}. '
        'Continue training, which leaves them out.')
  return {
      name: np.array([float(row[name] or 'nan') for row in rows])
      for name in columns}
