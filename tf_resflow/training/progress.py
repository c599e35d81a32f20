"""Periodic tasks of a run, and its progress bar."""

import collections
from collections.abc import Callable, Iterator, Mapping
import contextlib
import dataclasses
import datetime
import logging
import math
import os
import shutil
import statistics
import sys
import time
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tf_resflow import configuration

_logger = logging.getLogger(__name__)

# Number of recent steps that the step time is averaged over.
_NUM_RECENT = 100
_WIDTH = 20
# Seconds that are left of a long run.
_LONG = 600.0

VALIDATION = 'validation'
SAMPLES = 'samples'
CHECKPOINTS = 'checkpoints'


class PeriodicTask(NamedTuple):
  """Schedule of a task that is run every `every` steps, 1 or more.

  Attributes:
    every: number of steps between runs of the task.
    at_end: whether it also runs after the last step.

  Example:
    >>> saving = PeriodicTask(every=10, at_end=True)
    >>> [t for t in range(1, 26) if saving.is_due(t, 25)], saving.count(10, 25)
    ([10, 20, 25], 2)
  """

  every: int
  at_end: bool = False

  def is_due(self, step: int, num_steps: int) -> bool:
    """Returns whether the task is due after a step."""
    return step % self.every == 0 or self.at_end and step == num_steps

  def count(self, step: int, num_steps: int) -> int:
    """Returns how often the task is due after `step`, one of the run's."""
    is_extra = self.at_end and num_steps % self.every > 0
    return num_steps // self.every - step // self.every + is_extra


def periodic_tasks(config: configuration.Config, has_validation: bool,
                 has_samples: bool) -> dict[str, PeriodicTask]:
  """Returns the periodic tasks of a run, by name."""
  run = config.run
  tasks = {
      VALIDATION: PeriodicTask(
          has_validation * int(run.evaluate_every), bool(run.keep_best)),
      SAMPLES: PeriodicTask(has_samples * run.sample_every, at_end=True),
      CHECKPOINTS: PeriodicTask(run.checkpoint_every, at_end=True)}
  return {name: task for name, task in tasks.items() if task.every}


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
  tracing, and without the tasks between steps. The time left includes these
  tasks, each with its last duration; tasks that have not run yet are listed as
  missing from it.

  Keras' `Progbar` would divide the total time by the number of steps, including
  tracing and past validations.

  Args:
    start_step: number of finished steps.
    num_steps: total number of steps of the run.
    examples_per_step: number of examples of one step.
    columns: names of metrics in rows and on the bar, where they differ.
    unit_note: stands beside the metric, see `models.Flow`.
    advice: stands beside a time left of more than ten minutes.
    periodic_tasks: tasks between steps, by name.
    clock: returns seconds.

  Attributes:
    note: a text to show beside the metric, such as the best validation.
  """

  start_step: int
  num_steps: int
  examples_per_step: int
  columns: Mapping[str, str] = dataclasses.field(default_factory=dict)
  periodic_tasks: Mapping[str, PeriodicTask] = dataclasses.field(
      default_factory=dict)
  unit_note: str = ''
  advice: str = ''
  clock: Callable[[], float] = time.perf_counter

  def __post_init__(self) -> None:
    self._window: list[Mapping[str, tf.Tensor]] = []
    self._window_start = self.clock()
    self._first_step_seconds: float | None = None
    self._recent: collections.deque[float] = collections.deque(
        maxlen=_NUM_RECENT)
    self._seconds_between: dict[str, float] = {}
    self._last_shown = -math.inf
    self._last_length = 0
    self.note = ''

  def add(self, metrics: Mapping[str, tf.Tensor]) -> None:
    """Adds the metrics of the next step, scalars."""
    if self._first_step_seconds is None:
      self._first_step_seconds = self.clock() - self._window_start
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
      seconds -= self._first_step_seconds or 0.0
    if num_steps:
      self._recent.extend([seconds / num_steps] * num_steps)
    finite |= skipped
    first_bad_step = None if finite.all() else (
        step - len(finite) + 1 + int(np.argmin(finite)))
    self._window, self._window_start = [], now
    return row, first_bad_step

  @contextlib.contextmanager
  def between(self, name: str) -> Iterator[None]:
    """Measures the duration of one of `periodic_tasks`, within the context."""
    start = self.clock()
    yield
    seconds = self.clock() - start
    self._seconds_between[name] = seconds
    self._window_start += seconds

  @property
  def step_seconds(self) -> float | None:
    """Mean time of recent steps; None before the second one."""
    return statistics.fmean(self._recent) if self._recent else None

  def time_left(self, step: int) -> tuple[float | None, list[str]]:
    """Returns the estimated time to the end, with the tasks after `step`.

    Returns:
      Seconds, None before the second step; and the names of the tasks that are
      not included, because they have not run yet.
    """
    if self.step_seconds is None:
      return None, []
    seconds, missing = (self.num_steps - step) * self.step_seconds, []
    for name, task in self.periodic_tasks.items():
      count = task.count(step - 1, self.num_steps)
      if name in self._seconds_between:
        seconds += count * self._seconds_between[name]
      elif count:
        missing.append(name)
    return seconds, missing

  def describe(self, step: int, row: Mapping[str, float]) -> str:
    """Returns a line with the first metric of a row, the note, the times."""
    headline = next(iter(row))
    parts = [f'{headline}: {row[headline]:.4f} {self.unit_note}'.rstrip(),
             *filter(None, [self.note])]
    if self.step_seconds is not None:
      parts.append(f'step: {format_duration(self.step_seconds)}')
      seconds, missing = self.time_left(step)
      if seconds is not None and step < self.num_steps:
        parts.append(f'left: {format_duration(seconds)}' + (
            f' without {", ".join(missing)}' if missing else '') + (
                self.advice and f' ({self.advice})') * (seconds > _LONG))
    return ' - '.join(parts)

  def show(self, step: int, row: Mapping[str, float],
           is_last: bool = False) -> None:
    """Updates the bar, or prints a line, if the last one is old enough.

    `is_last` tells that the run ends here, also before `num_steps`.
    """
    if sys.stdout is None:  # Closed before the start.
      sys.stdout = open(os.devnull, 'w')
    is_terminal = sys.stdout.isatty()
    is_last = is_last or step >= self.num_steps
    now, interval = self.clock(), 0.5 if is_terminal else 30.0
    if now - self._last_shown < interval and not is_last:
      return
    self._last_shown = now
    count, text = f'{step}/{self.num_steps}', self.describe(step, row)
    if not is_terminal:
      _print(f'{count} - {text}', '\n')
      return
    # A wrapped line could not be overwritten, so the bar fills the width that
    # the text leaves.
    num_columns = shutil.get_terminal_size().columns - 1
    width = min(_WIDTH, max(0, num_columns - len(f'{count} [] {text}')))
    done = '=' * (width * step // self.num_steps)
    line = (f'{count} [{done:.<{width}}] {text}' if width else
            f'{count} {text}')[:num_columns]
    _print(f'\r{line:{self._last_length}}', '\n' if is_last else '')
    self._last_length = len(line)


def _print(text, end):
  """Prints a text; if nobody reads it any more, a run goes on without."""
  try:
    print(text, end=end, flush=True)
  except OSError as error:
    _logger.warning('The progress is no longer shown; stdout: %s.', error)
    # What is buffered is flushed at exit, too.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
