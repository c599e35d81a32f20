"""Progress of a run: its metrics between two rows, its bar, the time left."""

import collections
from collections.abc import Callable, Iterator, Mapping
import contextlib
import dataclasses
import datetime
import logging
import math
import shutil
import statistics
import sys
import time

import numpy as np
import tensorflow as tf

from tf_resflow.training import signals

_logger = logging.getLogger(__name__)

# Number of recent steps that the step time is averaged over.
_NUM_RECENT = 100
# Most characters of the bar.
_WIDTH = 20


def format_duration(seconds: float) -> str:
  """Formats a duration: in seconds, or `H:MM:SS` from a minute on.

  Example:
    >>> [format_duration(s) for s in (0.1238, 59.94, 59.96, 3725, 100000)]
    ['0.124 s', '59.9 s', '0:01:00', '1:02:05', '1 day, 3:46:40']
  """
  return f'{seconds:#.3g} s' if seconds < 59.95 else str(
      datetime.timedelta(seconds=round(seconds)))


@dataclasses.dataclass
class Progress:
  """Averages metrics over steps, and shows the progress of a run.

  On a terminal it shows a bar, otherwise a line every half minute:

    1200/20000 - bits_per_dim: 1.9500 - step: 0.124 s - left: 1:02:00

  `step` is the mean time of recent steps, without the first one, which includes
  tracing, and without what is done between steps. The time left includes that,
  if it goes on as it did so far. (Keras' `Progbar` would divide the total time
  by the number of steps, including tracing.)

  Args:
    start_step: number of finished steps, of `num_steps` of the run.
    examples_per_step: number of examples of one step.
    columns: names of metrics in rows and on the bar, where they differ.
    unit_note: stands beside the metric, see `models.Flow`.
    is_shown: whether `show` does anything.
    clock: returns seconds.

  Attributes:
    note: a text to show beside the metric, such as the best validation.
  """

  start_step: int
  num_steps: int
  examples_per_step: int
  columns: Mapping[str, str] = dataclasses.field(default_factory=dict)
  unit_note: str = ''
  is_shown: bool = True
  clock: Callable[[], float] = time.perf_counter

  def __post_init__(self) -> None:
    self._window: list[Mapping[str, tf.Tensor]] = []
    self._window_start = self.clock()
    self._first_step_end = math.nan
    self._first_step_seconds = 0.0
    self._recent: collections.deque[float] = collections.deque(
        maxlen=_NUM_RECENT)
    self._last_shown = -math.inf
    self._last_length = 0
    self.note = ''

  def add(self, metrics: Mapping[str, tf.Tensor]) -> None:
    """Adds the metrics of the next step, scalars."""
    if math.isnan(self._first_step_end):
      self._first_step_end = self.clock()
      self._first_step_seconds = self._first_step_end - self._window_start
    self._window.append(metrics)

  @property
  def has_steps(self) -> bool:
    """Whether there were steps since the last row."""
    return bool(self._window)

  def end_window(self, step: int) -> tuple[dict[str, float], int | None]:
    """Returns the row of metrics of the steps since the last row, up to `step`.

    Returns:
      The means of metrics (the maxima of integers) over the steps that were not
      skipped, the number of `skipped`, and `examples_per_second`; and the first
      other step with a metric that is not finite, or None.
    """
    columns = {
        self.columns.get(name, name): np.array([m[name] for m in self._window])
        for name in self._window[0]}
    finite = np.isfinite(list(columns.values())).all(axis=0)
    skipped = columns.get('skipped', 0 * finite) > 0
    taken = ~skipped | skipped.all()  # If all are, the means are NaN.
    row = {
        name: int(column[taken].max()) if column.dtype.kind == 'i'
        else float(np.mean(column[taken], dtype=np.float64))
        for name, column in columns.items()}
    if 'skipped' in row:
      row['skipped'] = int(skipped.sum())
    # Steps run asynchronously until their metrics are fetched.
    now = self.clock()
    num_steps, seconds = len(self._window), now - self._window_start
    row['examples_per_second'] = num_steps * self.examples_per_step / seconds
    if step - num_steps == self.start_step:  # Excludes tracing.
      num_steps -= 1
      seconds -= self._first_step_seconds
    if num_steps:
      self._recent.extend([seconds / num_steps] * num_steps)
    finite |= skipped
    first_bad_step = None if finite.all() else (
        step - len(finite) + 1 + int(np.argmin(finite)))
    self._window, self._window_start = [], now
    return row, first_bad_step

  @contextlib.contextmanager
  def paused(self) -> Iterator[None]:
    """Leaves what is done within the context out of the times of steps."""
    start = self.clock()
    yield
    # A window may have ended meanwhile.
    self._window_start += self.clock() - max(start, self._window_start)

  def time_left(self, step: int) -> float:
    """Returns the estimated seconds to the end, from the second step on."""
    seconds = self.clock() - self._first_step_end
    return seconds * (self.num_steps - step) / (step - self.start_step - 1)

  def describe(self, step: int, row: Mapping[str, float]) -> str:
    """Returns a line with the first metric of a row, the note, the times."""
    headline = next(iter(row))
    parts = [f'{headline}: {row[headline]:.4f} {self.unit_note}'.rstrip(),
             self.note]
    if self._recent:
      parts.append(f'step: {format_duration(statistics.fmean(self._recent))}')
      if step < self.num_steps:
        parts.append(f'left: {format_duration(self.time_left(step))}')
    return ' - '.join(filter(None, parts))

  def show(self, step: int, row: Mapping[str, float], is_last: bool) -> None:
    """Updates the bar, or prints a line, if the last one is old enough.

    `is_last` tells that the run ends here, perhaps before `num_steps`.
    """
    if not self.is_shown:
      return
    # It is None if it was closed before the start.
    is_terminal = bool(sys.stdout) and sys.stdout.isatty()
    now, interval = self.clock(), 0.5 if is_terminal else 30.0
    if now - self._last_shown < interval and not is_last:
      return
    self._last_shown = now
    count, text = f'{step}/{self.num_steps}', self.describe(step, row)
    line = f'{count} - {text}'
    if is_terminal:
      # A wrapped line could not be overwritten, so the bar fills the width that
      # the text leaves.
      num_columns = shutil.get_terminal_size().columns - 1
      width = min(_WIDTH, max(0, num_columns - len(f'{count} [] {text}')))
      bar = '=' * (width * step // self.num_steps)
      line = (f'{count} [{bar:.<{width}}] {text}' if width else
              f'{count} {text}')[:num_columns]
      line, self._last_length = f'\r{line:{self._last_length}}', len(line)
    try:
      print(line, end='' if is_terminal and not is_last else '\n', flush=True)
    except OSError as error:  # Nobody reads it any more; the run goes on.
      _logger.warning('The progress is no longer shown; stdout: %s.', error)
      # What is buffered is flushed at exit, too.
      signals.drop_output(sys.stdout.fileno())
