"""Metrics of a run: metrics.csv, TensorBoard events and sample pictures.

A run that is killed after step t and resumes from a checkpoint of step s < t
would write steps s + 1 .. t twice. So a writer that starts at s first removes
all later steps from the CSV and the event files; each file is replaced
atomically.
"""

from collections.abc import Callable, Iterable, Mapping
import contextlib
import csv
import io
import os
import re

import numpy as np
import tensorflow as tf

from tf_resflow import errors
from tf_resflow.training import files

_NAME_PATTERN = re.compile(r'[A-Za-z0-9_][A-Za-z0-9_./-]*')
_STEP = 'step'
_CSV = 'metrics.csv'


class MetricsWriter(contextlib.AbstractContextManager):
  """Writes scalars and images of a run to its working directory.

  `workdir`/metrics.csv has a row per step and a column per name, empty cells
  for missing values; `workdir`/tensorboard has the same scalars and the images.
  Rows are written at once; `flush` before saving a checkpoint makes them
  survive a crash of the machine. Only one process may write: see
  `lease.Lease`.

  Args:
    workdir: local folder of the run, created if it does not exist.
    start_step: last finished step, 0 for a new run. Later steps of an earlier
      run are removed.
    save_images_fn: called as `save_images_fn(path, images)` by `write_images`
      to write `workdir`/samples/<name>_<step>.png; by default no file is
      written.
    check_fn: called before anything is written; raises an error if another
      process has taken over the run.

  Raises:
    InvalidValueError: if metrics.csv was not written by this class.

  Example:
    >>> with MetricsWriter('run') as writer:
    ...   writer.write(1, {'bits_per_dim': 7.9, 'grad_norm': 0.3})
  """

  def __init__(self, workdir: str | os.PathLike, start_step: int = 0,
               save_images_fn: Callable[[str, np.ndarray], None] | None = None,
               check_fn: Callable[[], None] = lambda: None):
    errors.check(start_step >= 0, 'start_step', start_step, '0 or more')
    check_fn()
    self._check_fn = check_fn
    self._workdir = workdir
    self._save_images_fn = save_images_fn
    self._last_step = start_step
    self._csv_path = os.path.join(workdir, _CSV)
    tensorboard_dir = os.path.join(workdir, 'tensorboard')
    os.makedirs(tensorboard_dir, exist_ok=True)

    self._columns, rows = _read_csv(self._csv_path)
    self._file = open(self._csv_path, 'a', encoding='utf-8')
    self._replace_csv(row for row in rows if int(row[_STEP]) <= start_step)
    with files.writing(tensorboard_dir):
      for path in tf.io.gfile.glob(os.path.join(tensorboard_dir, '*tfevents*')):
        _drop_later_events(path, start_step)
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
    with files.writing('metrics'), self._summary_writer.as_default():
      for name, array in arrays.items():
        tf.summary.scalar(name, float(array), step=step)

    # NumPy scalars print the shortest exact digits.
    cells = {_STEP: str(step)} | {
        name: str(array[()]) for name, array in arrays.items()}
    columns = list(dict.fromkeys([*self._columns, *cells]))
    if step > self._last_step and columns == self._columns:
      self._file.write(_csv_lines(columns, [cells]))
      self._file.flush()
    else:
      _, rows = _read_csv(self._csv_path)
      if rows and rows[-1][_STEP] == cells[_STEP]:
        cells = rows.pop() | cells
      self._columns = columns
      self._replace_csv([*rows, cells])
    self._last_step = step

  def write_images(self, step: int, name: str, images: np.ndarray) -> None:
    """Writes a batch of images to TensorBoard, and with `save_images_fn`.

    Args:
      step: number of finished steps, at least that of earlier calls.
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
        dict(zip(self._columns, self._columns, strict=True)), *rows]))
    self._file.close()
    self._file = open(self._csv_path, 'a', encoding='utf-8')


def _csv_lines(columns, rows):
  """Returns rows as CSV text, with empty cells for missing values."""
  lines = io.StringIO()
  csv.DictWriter(
      lines, columns, restval='', lineterminator='\n').writerows(rows)
  return lines.getvalue()


def _read_csv(path):
  """Returns the columns and the rows (dicts of strings) of metrics.csv."""
  text = ''
  if os.path.exists(path):
    with open(path, encoding='utf-8', newline='') as file:
      # A process that was killed while writing leaves an incomplete line.
      text = file.read().rpartition('\n')[0]
  reader = csv.DictReader(text.splitlines() or [_STEP])
  columns, rows = list(reader.fieldnames or ()), list(reader)
  is_sound = columns[0] == _STEP and all(
      None not in row and None not in row.values() and row[_STEP].isdigit()
      for row in rows)
  errors.check(
      is_sound, 'file', path, 'a metrics.csv file of a run, with rows of equal '
      f'length and the first column {_STEP!r}',
      'Move it away or use another workdir.')
  return columns, rows


def read_metrics(workdir: str | os.PathLike) -> dict[str, np.ndarray]:
  """Returns the columns of a run's metrics.csv.

  Args:
    workdir: folder of the run.

  Returns:
    Maps names, `step` first, to float64 `[number of rows]`, NaN for empty
    cells.

  Raises:
    InvalidValueError: if metrics.csv was not written by `MetricsWriter`.
  """
  columns, rows = _read_csv(os.path.join(workdir, _CSV))
  return {
      name: np.array([float(row[name] or 'nan') for row in rows])
      for name in columns}


def last_step(workdir: str | os.PathLike) -> int | None:
  """Returns the step of the last row of a run; None if there are no rows.

  Raises:
    InvalidValueError: if metrics.csv was not written by `MetricsWriter`.
  """
  _, rows = _read_csv(os.path.join(workdir, _CSV))
  return int(rows[-1][_STEP]) if rows else None


def _drop_later_events(path, start_step):
  """Rewrites an event file without the events later than `start_step`."""
  # TensorBoard reads all files with 'tfevents' in their name.
  temporary = os.path.join(os.path.dirname(path), 'rewritten.tmp')
  # An incomplete last record of a killed process is dropped.
  with (tf.io.TFRecordWriter(temporary) as writer,
        contextlib.suppress(tf.errors.DataLossError)):
    for record in tf.data.TFRecordDataset(path).as_numpy_iterator():
      if tf.compat.v1.Event.FromString(record).step <= start_step:
        writer.write(record)
  os.replace(temporary, path)
