"""What a run does between its steps, and what a user sees of its progress."""

import collections
from collections.abc import Callable, Collection, Iterator, Mapping
import contextlib
import dataclasses
import datetime
import shutil
import statistics
import sys
import time
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tf_resflow import configuration

# The time of a step is the mean of so many, the latest.
_NUM_RECENT = 100
_WIDTH = 20

VALIDATION = 'validation'
SAMPLES = 'samples'
CHECKPOINTS = 'checkpoints'


class PeriodicTask(NamedTuple):
  """When something is done.

  Attributes:
    every: number of steps from one time to the next; 0 for never.
    at_end: whether it is done after the last step as well, if ever.

  Example:
    >>> saving = PeriodicTask(every=10, at_end=True)
    >>> [t for t in range(1, 26) if saving.is_due(t, 25)], saving.count(10, 25)
    ([10, 20, 25], 2)
  """

  every: int
  at_end: bool = False

  def is_due(self, step: int, num_steps: int) -> bool:
    """Whether it is done after a step of a run with so many steps."""
    return self.every > 0 and (
        step % self.every == 0 or self.at_end and step == num_steps)

  def count(self, step: int, num_steps: int) -> int:
    """Returns how many times it is done after steps later than `step`."""
    if self.every <= 0 or step >= num_steps:
      return 0
    is_extra = self.at_end and num_steps % self.every > 0
    return num_steps // self.every - step // self.every + is_extra


def periodic_tasks(config: configuration.Config, has_validation: bool,
                 has_samples: bool) -> dict[str, PeriodicTask]:
  """Returns what is done between the steps of a run, without what never is.

  Args:
    config: of the run.
    has_validation: whether anything validates the run.
    has_samples: whether anything makes a picture of samples.
  """
  run = config.run
  periodic_tasks = {
      VALIDATION: PeriodicTask(run.evaluate_every if has_validation else 0),
      SAMPLES: PeriodicTask(
          run.sample_every if has_samples else 0, at_end=True),
      CHECKPOINTS: PeriodicTask(run.checkpoint_every, at_end=True)}
  return {name: o for name, o in periodic_tasks.items() if o.every > 0}


def format_duration(seconds: float) -> str:
  """Returns a duration as text: in seconds, or `H:MM:SS` from a minute on.

  Args:
    seconds: 0 or more.

  Example:
    >>> [format_duration(s) for s in (0.1238, 75, 3725, 100000)]
    ['0.124 s', '0:01:15', '1:02:05', '1 day, 3:46:40']
  """
  return f'{seconds:#.3g} s' if seconds < 59.95 else str(
      datetime.timedelta(seconds=round(seconds)))


@dataclasses.dataclass
class Progress:
  """Gathers the metrics of steps into rows, and shows them.

  On a terminal a bar moves, elsewhere there is a line every half minute:

    1200/20000 - bits_per_dim: 1.9500 - step: 0.124 s - left: 1:02:00

  `step` is the mean time of the latest steps, without the first one, which
  includes tracing, and without what is done between steps. The time left adds
  that, as often as it is still to come and as long as it took the last time;
  what was not done yet is named, since it comes on top.

  Keras' `Progbar` would divide all time by all steps: tracing, and an hour of
  validation that is over, would count for ever.

  Args:
    start_step: number of steps that are finished.
    num_steps: number of steps of the whole run.
    examples_per_step: number of examples of a step.
    biased: names of metrics that a biased estimator makes; in rows, and on the
      bar, they are called `biased_NAME`.
    periodic_tasks: by names, what is done between steps.
    clock: returns seconds.
  """

  start_step: int
  num_steps: int
  examples_per_step: int
  biased: Collection[str] = ()
  periodic_tasks: Mapping[str, PeriodicTask] = dataclasses.field(
      default_factory=dict)
  clock: Callable[[], float] = time.perf_counter

  def __post_init__(self):
    self._window: list[Mapping[str, tf.Tensor]] = []
    self._window_start = self.clock()
    self._first_step_seconds: float | None = None
    self._recent: collections.deque[float] = collections.deque(
        maxlen=_NUM_RECENT)
    self._seconds_between: dict[str, float] = {}
    self._last_shown: float | None = None
    self._last_length = 0

  def add(self, metrics: Mapping[str, tf.Tensor]) -> None:
    """Takes the metrics of the next step, scalars."""
    if self._first_step_seconds is None:
      self._first_step_seconds = self.clock() - self._window_start
    self._window.append(metrics)

  def end_window(self, step: int) -> tuple[dict[str, float], int | None]:
    """Returns the row of the steps since the last one.

    Args:
      step: the latest step.

    Returns:
      The means of metrics, of counts the largest, and `examples_per_second`;
      and the first step with a metric that is not finite, None if all are.
    """
    columns = {
        f'biased_{name}' if name in self.biased else name:
            np.array([m[name] for m in self._window])
        for name in self._window[0]}
    row = {
        name: int(column.max()) if column.dtype.kind == 'i'
        else float(np.mean(column, dtype=np.float64))
        for name, column in columns.items()}
    # A device is done only now that its metrics were fetched.
    now = self.clock()
    num_steps, seconds = len(self._window), now - self._window_start
    row['examples_per_second'] = num_steps * self.examples_per_step / seconds
    if step - num_steps == self.start_step:  # Tracing is no step.
      num_steps, seconds = num_steps - 1, seconds - self._first_step_seconds
    if num_steps:
      self._recent.extend([seconds / num_steps] * num_steps)
    finite = np.isfinite(list(columns.values())).all(axis=0)
    first_bad_step = None if finite.all() else (
        step - len(finite) + 1 + int(np.argmin(finite)))
    self._window, self._window_start = [], now
    return row, first_bad_step

  @contextlib.contextmanager
  def between(self, name: str) -> Iterator[None]:
    """Inside, something is done that is no step; its time is remembered.

    Args:
      name: one of `periodic_tasks`.
    """
    start = self.clock()
    yield
    seconds = self.clock() - start
    self._seconds_between[name] = seconds
    self._window_start += seconds

  @property
  def step_seconds(self) -> float | None:
    """Mean time of the latest steps; None before the second one."""
    return statistics.fmean(self._recent) if self._recent else None

  def time_left(self, step: int) -> tuple[float | None, list[str]]:
    """Returns the time to the end of the run.

    Args:
      step: the latest step, after which nothing else was done yet.

    Returns:
      Seconds, None before the second step; and the names of what they lack,
      since it was not done before.
    """
    if self.step_seconds is None:
      return None, []
    seconds, missing = (self.num_steps - step) * self.step_seconds, []
    for name, occasion in self.periodic_tasks.items():
      count = occasion.count(step - 1, self.num_steps)
      if name in self._seconds_between:
        seconds += count * self._seconds_between[name]
      elif count:
        missing.append(name)
    return seconds, missing

  def describe(self, step: int, row: Mapping[str, float]) -> str:
    """Returns a line: the first metric of a row, and the times."""
    headline = next(iter(row))
    parts = [f'{headline}: {row[headline]:.4f}']
    if self.step_seconds is not None:
      parts.append(f'step: {format_duration(self.step_seconds)}')
      seconds, missing = self.time_left(step)
      if step < self.num_steps:
        parts.append(f'left: {format_duration(seconds)}' + (
            f' without {", ".join(missing)}' if missing else ''))
    return ' - '.join(parts)

  def show(self, step: int, row: Mapping[str, float]) -> None:
    """Moves the bar, or prints a line, if the last one is old enough."""
    is_terminal, is_last = sys.stdout.isatty(), step >= self.num_steps
    now, interval = self.clock(), 0.5 if is_terminal else 30.0
    if (self._last_shown is not None and now - self._last_shown < interval and
        not is_last):
      return
    self._last_shown = now
    count, text = f'{step}/{self.num_steps}', self.describe(step, row)
    if not is_terminal:
      print(f'{count} - {text}', flush=True)
      return
    # A line that wraps would stay behind: the bar is as long as the text lets
    # it be.
    num_columns = shutil.get_terminal_size().columns - 1
    width = min(_WIDTH, max(0, num_columns - len(f'{count} [] {text}')))
    done = '=' * (width * step // self.num_steps)
    line = (f'{count} [{done:.<{width}}] {text}' if width else
            f'{count} {text}')[:num_columns]
    print(f'\r{line:{self._last_length}}', end='\n' if is_last else '',
          flush=True)
    self._last_length = len(line)
