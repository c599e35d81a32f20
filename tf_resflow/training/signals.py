"""SIGTERM and SIGINT end a run after the step at hand."""

import contextlib
import signal
from typing import Self

from tf_resflow import errors


class TrainingInterruptedError(errors.ExpectedError):
  """A signal ended the run; its state is saved."""

  exit_status = 3


class StopOnSignal(contextlib.ExitStack):
  """Inside, a signal is noted instead of ending the process.

  Attributes:
    received: the name of the latest signal; None before the first.
  """

  received = None

  def __enter__(self) -> Self:
    for number in (signal.SIGTERM, signal.SIGINT):
      # Outside of the main thread, where signals go elsewhere.
      with contextlib.suppress(ValueError):
        self.callback(
            signal.signal, number, signal.signal(number, self._receive))
    return self

  def _receive(self, number, unused_frame):
    self.received = signal.Signals(number).name

  def check(self, step: int) -> None:
    """Raises `TrainingInterruptedError` if a signal has come.

    Args:
      step: number of finished updates, whose state is saved.
    """
    if self.received:
      raise TrainingInterruptedError(
          f'{self.received} after step {step}: its state is saved; run the '
          'same command again to continue.')
