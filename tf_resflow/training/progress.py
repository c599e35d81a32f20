"""Rows of metrics over several steps, and the progress bar."""

from collections.abc import Mapping
import sys
import time

import keras
import numpy as np
import tensorflow as tf


class Progress:
  """Gathers the metrics of steps into rows, and shows them.

  Args:
    start_step: number of steps that are finished.
    num_steps: number of steps of the whole run.
    images_per_step: number of examples of a step.
  """

  def __init__(self, start_step: int, num_steps: int, images_per_step: int):
    self._start_step = start_step
    self._images_per_step = images_per_step
    self._window: list[Mapping[str, tf.Tensor]] = []
    self._window_start = time.perf_counter()
    # Few lines where the output is not a terminal.
    self._bar = keras.utils.Progbar(
        num_steps - start_step, width=20, unit_name='step',
        interval=0.5 if sys.stdout.isatty() else 30.0)

  def add(self, metrics: Mapping[str, tf.Tensor]) -> None:
    """Takes the metrics of the next step, scalars."""
    self._window.append(metrics)

  def end_window(self, step: int) -> tuple[dict[str, float], int | None]:
    """Returns the row of the steps since the last one.

    Args:
      step: the latest step.

    Returns:
      The means of metrics, of counts the largest, and `images_per_second`;
      and the first step with a metric that is not finite, None if all are.
    """
    columns = {
        name: np.array([m[name] for m in self._window])
        for name in self._window[0]}
    row = {
        name: int(column.max()) if column.dtype.kind == 'i'
        else float(np.mean(column, dtype=np.float64))
        for name, column in columns.items()}
    row['images_per_second'] = (
        len(self._window) * self._images_per_step /
        (time.perf_counter() - self._window_start))
    finite = np.isfinite(list(columns.values())).all(axis=0)
    first_bad_step = None if finite.all() else (
        step - len(finite) + 1 + int(np.argmin(finite)))
    self._window = []
    return row, first_bad_step

  def show(self, step: int, row: Mapping[str, float]) -> None:
    """Moves the bar; it shows the first metric of the row, and the speed."""
    headline = next(iter(row))
    shown = {headline: row[headline], 'images/s': row['images_per_second']}
    self._bar.stateful_metrics = set(shown)
    self._bar.update(step - self._start_step, list(shown.items()))

  def continue_clock(self) -> None:
    """Leaves out what was done since the window ended, such as saving."""
    if not self._window:
      self._window_start = time.perf_counter()
