"""SIGTERM and SIGINT end a run after the step at hand."""

import signal
from typing import Self

from tf_resflow import errors


class TrainingInterruptedError(errors.ExpectedError):
  """A signal ended the run; its state is saved."""

  exit_status = 3


class StopOnSignal:
  """Inside, a signal is noted instead of ending the process.

  Attributes:
    received: the name of the latest signal; None before the first.
  """

  def __enter__(self) -> Self:
    self.received = None
    self._previous = {}
    for number in (signal.SIGTERM, signal.SIGINT):
      try:
        self._previous[number] = signal.signal(number, self._receive)
      except ValueError:  # Not in the main thread: signals go elsewhere.
        pass
    return self

  def _receive(self, number, unused_frame):
    self.received = signal.Signals(number).name

  def __exit__(self, *unused_error: object) -> None:
    for number, handler in self._previous.items():
      signal.signal(number, handler)

  def check(self, step: int) -> None:
    """Raises `TrainingInterruptedError` if a signal has come.

    Args:
      step: number of finished updates, whose state is saved.
    """
    if self.received:
      raise TrainingInterruptedError(
          f'{self.received} after step {step}: its state is saved; run the '
          'same command again to continue.')
