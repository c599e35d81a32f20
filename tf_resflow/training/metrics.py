"""Metrics of a run: metrics.csv, TensorBoard events and sample pictures.

A run that is killed after step t and resumes from its checkpoint of step
s < t would write steps s + 1 .. t twice. So a writer that starts at s first
drops everything later than s, from the CSV and from the event files; each file
is replaced in one step, and a second kill leaves the old or the new one.
"""

from collections.abc import Callable, Mapping
import csv
import glob
import io
import os
import re
from typing import Self

import numpy as np
import tensorflow as tf

from tf_resflow import errors
from tf_resflow.training import files

_NAME_PATTERN = re.compile(r'[A-Za-z0-9_][A-Za-z0-9_./-]*')
_STEP = 'step'


class MetricsWriter:
  """Writes scalars and images of a run under its working directory.

  `workdir`/metrics.csv has one row per step and one column per name, cells
  without a value stay empty; `workdir`/tensorboard has the same scalars and the
  images. Rows reach the file at once; `flush` before a checkpoint is saved
  makes them survive a crash of the machine. One process writes: the chief.

  Args:
    workdir: local folder of the run; made if it does not exist.
    start_step: the last finished step, 0 for a new run. Everything later that
      an earlier run left behind is dropped.
    save_images_fn: called as `save_images_fn(path, images)` by `write_images`
      to write `workdir`/samples/<name>_<step>.png; by default no picture is
      written.

  Raises:
    InvalidValueError: if metrics.csv is not a file of this writer.

  Example:
    >>> with MetricsWriter('run') as writer:
    ...   writer.write(1, {'bits_per_dim': 7.9, 'grad_norm': 0.3})
  """

  def __init__(self, workdir: str | os.PathLike, start_step: int = 0,
               save_images_fn: Callable[[str, np.ndarray], None] | None = None):
    errors.check(start_step >= 0, 'start_step', start_step, '0 or more')
    self._workdir = os.fspath(workdir)
    self._save_images_fn = save_images_fn
    self._csv_path = csv_path(workdir)
    tensorboard_dir = os.path.join(self._workdir, 'tensorboard')
    os.makedirs(tensorboard_dir, exist_ok=True)

    columns, rows = _read_csv(self._csv_path)
    kept = [row for row in rows if int(row[_STEP]) <= start_step]
    self._columns = columns
    # The latest row stays open: more values may come for the same step.
    self._row = kept[-1] if kept else {}
    self._last_step = start_step
    self._file = None
    self._replace_csv(kept)
    with files.writing(tensorboard_dir):
      for path in glob.glob(os.path.join(tensorboard_dir, '*tfevents*')):
        _drop_later_events(path, start_step)
      self._summary_writer = tf.summary.create_file_writer(tensorboard_dir)

  def write(self, step: int, values: Mapping[str, object]) -> None:
    """Writes scalars of one step.

    A step may be written in several calls (training first, evaluation later);
    they share a row, and a name that comes again replaces its value. A new name
    adds a column.

    Args:
      step: number of finished steps; never less than in an earlier call.
      values: from names to numbers or scalar tensors. NaN is written as it is.

    Raises:
      InvalidValueError: for a step that goes back, a bad name, or a value that
        is not one real number. Nothing is written then.
      OSError: if a file cannot be written, as on a full disk.
    """
    step = int(step)
    self._check_step(step)
    numbers = {name: _as_number(name, value) for name, value in values.items()}
    with files.writing('metrics'), self._summary_writer.as_default():
      for name, number in numbers.items():
        tf.summary.scalar(name, float(number), step=step)

    cells = {name: str(number) for name, number in numbers.items()}
    new_columns = [name for name in cells if name not in self._columns]
    if new_columns:
      self._columns = self._columns + new_columns
      self._replace_csv(_read_csv(self._csv_path)[1])
    self._last_step = step
    if self._row.get(_STEP) == str(step):
      self._row.update(cells)
    else:
      self._row = {_STEP: str(step), **cells}
      self._row_offset, self._row_size = self._csv_size(), 0
    line = _format_row(self._columns, self._row)
    if len(line) < self._row_size:
      # Written in place it could leave the old row's tail behind after a kill.
      self._replace_csv(_read_csv(self._csv_path)[1][:-1] + [self._row])
      return
    self._file.seek(self._row_offset)
    self._file.write(line)
    self._file.flush()
    self._row_size = len(line)

  def write_images(
      self, step: int, name: str, images: np.ndarray) -> None:
    """Writes a batch of images to TensorBoard, and as a picture if asked to.

    Args:
      step: number of finished steps; never less than in an earlier call.
      name: tag in TensorBoard and beginning of the picture's file name, where
        '/' becomes '_'.
      images: [N, H, W, C], uint8 or floats in [0, 1].

    Raises:
      InvalidValueError: for another shape, NaN, or floats outside [0, 1].
      OSError: if a file cannot be written.
    """
    step = int(step)
    self._check_step(step)
    _check_name(name)
    images = np.asarray(images)
    errors.check(
        images.ndim == 4 and images.size > 0, name,
        f'images of shape {images.shape}',
        'a batch [N, H, W, C] that is not empty')
    # Written so that NaN fails it too.
    errors.check(
        images.dtype == np.uint8 or np.all((images >= 0) & (images <= 1)),
        name, f'{images.dtype} in [{images.min()}, {images.max()}]',
        'uint8 or finite floats in [0, 1]', 'Clip samples first.')
    with files.writing('images'), self._summary_writer.as_default():
      tf.summary.image(name, images, step=step, max_outputs=len(images))
    if self._save_images_fn is not None:
      path = self.sample_path(step, name)
      os.makedirs(os.path.dirname(path), exist_ok=True)
      self._save_images_fn(path, images)

  def sample_path(self, step: int, name: str) -> str:
    """The picture's file: `workdir`/samples/<name>_<step, 8 digits>.png."""
    file_name = f'{name.replace("/", "_")}_{step:08d}.png'
    return os.path.join(self._workdir, 'samples', file_name)

  def flush(self) -> None:
    """Brings everything written so far onto the disk."""
    self._file.flush()
    os.fsync(self._file.fileno())
    with files.writing('the metrics of TensorBoard'):
      self._summary_writer.flush()

  def close(self) -> None:
    """Flushes and closes; the writer takes nothing afterwards."""
    if self._file.closed:
      return
    self.flush()
    self._file.close()
    self._summary_writer.close()

  def __enter__(self) -> Self:
    return self

  def __exit__(self, *unused_error: object) -> None:
    self.close()

  def _check_step(self, step):
    errors.check(
        not self._file.closed, 'step', step, 'a MetricsWriter that is open',
        'Make a new one with start_step set to the last finished step.')
    errors.check(
        step >= self._last_step, 'step', step,
        f'{self._last_step}, which was written, or more', 'To repeat steps, '
        f'make a new MetricsWriter with start_step={step}.')

  def _replace_csv(self, rows):
    """Puts a file with these rows in place of metrics.csv and opens it."""
    if self._file is not None:
      self._file.close()
    lines = [_format_row(self._columns, row) for row in rows]
    header = _format_row(self._columns, dict(zip(self._columns, self._columns,
                                                 strict=True)))
    _replace_file(self._csv_path, b''.join([header, *lines]))
    self._file = open(self._csv_path, 'r+b')
    self._row_size = len(lines[-1]) if lines else 0
    self._row_offset = self._csv_size() - self._row_size

  def _csv_size(self):
    return self._file.seek(0, os.SEEK_END)


def _check_name(name):
  errors.check(
      _NAME_PATTERN.fullmatch(name) is not None and name != _STEP, 'name',
      repr(name), 'letters, digits, and _ . / -, but not '
      f'{_STEP!r}, which is the first column')


def _as_number(name, value):
  """Returns `value` as a NumPy scalar, which prints its shortest digits."""
  _check_name(name)
  if isinstance(value, tf.Tensor | tf.Variable):
    value = value.numpy()
  array = np.asarray(value)
  errors.check(
      not array.ndim and array.dtype.kind in 'iuf', name,
      f'{array.dtype} of shape {array.shape}', 'one real number')
  return array[()]


def _format_row(columns, row):
  line = io.StringIO()
  writer = csv.DictWriter(line, columns, restval='', lineterminator='\n')
  writer.writerow(row)
  return line.getvalue().encode()


def _read_csv(path):
  """Returns the columns and the rows (dicts of strings) of metrics.csv."""
  if not os.path.exists(path):
    return [_STEP], []
  with open(path, encoding='utf-8', newline='') as file:
    lines = file.read().splitlines(keepends=True)
  # A process that was killed while it wrote leaves half a line behind.
  if lines and not lines[-1].endswith('\n'):
    lines.pop()
  if not lines:
    return [_STEP], []
  reader = csv.DictReader(lines)
  columns = list(reader.fieldnames)
  rows = list(reader)
  is_sound = columns[0] == _STEP and all(
      None not in row and None not in row.values() and row[_STEP].isdigit()
      for row in rows)
  errors.check(
      is_sound, 'file', path, 'a metrics file of this program, with rows of '
      f'equal length and the first column {_STEP!r}',
      'Move it away or use another workdir.')
  return columns, rows


def csv_path(workdir: str | os.PathLike) -> str:
  """Returns the path of a run's metrics.csv."""
  return os.path.join(os.fspath(workdir), 'metrics.csv')


def last_step(workdir: str | os.PathLike) -> int | None:
  """Returns the step of the last row of a run, None where there is no row.

  Raises:
    InvalidValueError: if metrics.csv is not a file of `MetricsWriter`.
  """
  _, rows = _read_csv(csv_path(workdir))
  return int(rows[-1][_STEP]) if rows else None


def _drop_later_events(path, start_step):
  """Rewrites an event file without the events later than `start_step`."""
  kept, is_whole = [], True
  try:
    for record in tf.data.TFRecordDataset(path).as_numpy_iterator():
      event = tf.compat.v1.Event.FromString(record)
      if event.step <= start_step:
        kept.append(record)
      else:
        is_whole = False
  except tf.errors.DataLossError:
    # The record that a kill cut short, which is always the last one.
    is_whole = False
  if is_whole:
    return
  # TensorBoard reads whatever has 'tfevents' in its name.
  temporary_path = os.path.join(os.path.dirname(path), 'rewritten.tmp')
  with tf.io.TFRecordWriter(temporary_path) as writer:
    for record in kept:
      writer.write(record)
  os.replace(temporary_path, path)


def _replace_file(path, content):
  """Puts `content` in place of a file in one step."""
  temporary_path = f'{path}.new'
  with open(temporary_path, 'wb') as file:
    file.write(content)
    file.flush()
    os.fsync(file.fileno())
  os.replace(temporary_path, path)
