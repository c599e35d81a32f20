"""SIGTERM, SIGINT, SIGHUP, `--max_hours`: how a tool or a run ends early.

Python runs handlers between two instructions of the main thread, which may be
inside an operation of TensorFlow for minutes. So in a tool a thread reads the
signals, too: it says at once what the process waits for, and ends the process
at a second one.
"""

from collections.abc import Iterable, Iterator
import contextlib
import os
import select
import signal
import threading
import time
from typing import Self

from tf_resflow import errors

# Seconds within which a repeated signal is the same one: programs such as
# `timeout` signal a process and its group.
_SECONDS_OF_ONE = 1.0
# Seconds that a process with nothing to save waits for an operation.
_SECONDS_TO_END = 5.0
_AGAIN = 'run the same command again'


class TrainingInterruptedError(errors.ExpectedError):
  """Training was interrupted by a signal, after saving its state."""

  exit_status = 3

  def __init__(self, message: str, number: int = signal.SIGINT):
    super().__init__(message)
    self.number = number  # Of the signal.


class Stop(contextlib.ExitStack):
  """Within the context, signals end what the process does, in order.

  They raise `KeyboardInterrupt` in the main thread; within `saving` they are
  only recorded, for `check`, which raises where the state is saved. There what
  may be repeated is `interruptible`.

  Args:
    tool: the tool whose process this is; none in other programs.
    continues: whether the same command continues what was stopped.

  Attributes:
    received: number of the first signal, 0 before it.
  """

  received = 0
  _is_raised = _waits = _must_save = False

  def __init__(self, tool: str = '', continues: bool = False):
    super().__init__()
    self._tool, self._continues = tool, continues
    self._names: dict[int, str] = {
        n: n.name for n in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:  # As under `nohup`.
      del self._names[signal.SIGHUP]
    self._terminals = [*filter(os.isatty, (1, 2))]
    self._situation = 'before ' + (
        'a step: the run is as it was' if continues else 'the end'
    ) + f'; {_AGAIN}.'

  @property
  def message(self) -> str:
    """What has ended the process, what is saved, and what to do."""
    return f'{self._names[self.received or signal.SIGINT]} {self._situation}'

  @property
  def status(self) -> int:
    """Exit status."""
    return TrainingInterruptedError.exit_status if self._continues else (
        128 + (self.received or signal.SIGINT))

  @property
  def caught_exceptions(self) -> tuple[type[BaseException], ...]:
    """`KeyboardInterrupt`, and what one may become in extension modules."""
    return (KeyboardInterrupt, Exception) if self._is_raised else (
        KeyboardInterrupt,)

  def __enter__(self) -> Self:
    global active
    if threading.current_thread() is not threading.main_thread():
      return self  # Which alone may handle signals.
    for number in self._names:
      self.callback(
          signal.signal, number, signal.getsignal(number) or signal.SIG_DFL)
    self.install()
    if self._tool:
      self.callback(globals().__setitem__, 'active', active)
      active = self
      try:
        self._stderr = os.dup(2)  # It is held back while others write to it.
      except OSError:  # It is closed.
        self._stderr = os.open(os.devnull, os.O_WRONLY)
      self._reader, writer = os.pipe()
      for descriptor in (self._stderr, self._reader, writer):
        self.callback(os.close, descriptor)
      os.set_blocking(writer, False)
      thread = threading.Thread(target=self._watch, daemon=True)
      thread.start()
      self.callback(thread.join)
      self.callback(os.write, writer, b'\0')
      self.callback(signal.set_wakeup_fd, signal.set_wakeup_fd(writer))
      self.callback(setattr, self, '_is_raised', True)
    return self

  def install(self) -> None:
    """Installs the handlers, also where TensorFlow has replaced them."""
    if threading.current_thread() is threading.main_thread():
      for number in self._names:
        signal.signal(number, self._receive)

  def end_after(self, seconds: float, name: str) -> None:
    """Ends what the process does after a time, as a signal with this name."""
    self._names[signal.SIGALRM] = name
    self.callback(signal.signal, signal.SIGALRM, signal.SIG_DFL)
    self.callback(signal.setitimer, signal.ITIMER_REAL, 0.0)
    self.install()
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-6))

  def _receive(self, number, unused_frame):
    """Handles a signal, in the main thread."""
    for descriptor in self._terminals:
      if number == signal.SIGHUP and not os.isatty(descriptor):  # It is closed.
        drop_output(descriptor)
    self.received = self.received or number
    if not (self._is_raised or self._waits):
      self._is_raised = True
      raise KeyboardInterrupt

  def _watch(self):
    """Answers signals while the main thread may be in an operation."""
    times: dict[int, float] = {}
    number, seconds = 0, None
    while True:
      if not select.select([self._reader], [], [], seconds)[0]:
        if not self._must_save:
          self.received = self.received or number
          self._exit(self.status, f'error: {self.message}')
        seconds = None
        continue
      number = os.read(self._reader, 1)[0]
      if not number:
        return
      if number not in self._names:
        continue
      name, now = self._names[number], time.monotonic()
      if now - times.get(number, now) > _SECONDS_OF_ONE:
        self._exit(128 + number, f'error: a second {name}: what came after the '
                   f'last save is lost; {_AGAIN}.')
      if number not in times and self._must_save:
        self._say(f'{name}: stopping after the step, tracing, compilation or '
                  'save at hand; the same signal again exits at once.')
      times.setdefault(number, now)
      seconds = _SECONDS_TO_END

  def _say(self, text):
    """Writes a line to stderr, which `print` may be in the midst of."""
    with contextlib.suppress(OSError):  # Nobody reads it any more.
      os.write(self._stderr, f'{line_start()}{self._tool}: {text}\n'.encode())

  def _exit(self, status, text):
    self._say(text)
    os._exit(status)

  def check(self, step: int) -> None:
    """Raises `TrainingInterruptedError` if a signal was received.

    The state after `step` updates must be saved.
    """
    self._situation = (
        f'after step {step}: its state is saved; {_AGAIN} to continue.')
    if self.received:
      raise TrainingInterruptedError(self.message, self.received)

  @contextlib.contextmanager
  def saving(self) -> Iterator[None]:
    """Lets signals wait for `check` within."""
    self.install()
    self._must_save = self._waits = True
    self._is_raised = False
    try:
      yield
    finally:
      self._must_save = self._waits = False
    if self._tool and self.received:
      raise KeyboardInterrupt

  @contextlib.contextmanager
  def interruptible(self) -> Iterator[None]:
    """Lets signals raise within `saving`, also one that was received before."""
    try:
      try:
        self._waits = False
        if self.received:
          raise KeyboardInterrupt
        yield
      finally:
        self._waits = True
    except self.caught_exceptions as error:
      raise KeyboardInterrupt from error
    finally:
      # Also where a signal came in the other `finally`; no second one raises.
      self._waits, self._is_raised = True, False


class RunStop:
  """The `Stop` of a run: what one of its processes is asked to do, all do.

  Requests of several are exchanged with every step, and read after the next.

  Args:
    stop: that of this process.
    is_shared: whether there are others.
  """

  def __init__(self, stop: Stop, is_shared: bool = False):
    self._stop, self.is_shared = stop, is_shared
    self._agreed = 0

  @property
  def request(self) -> int:
    """Above 0 if this process was asked to stop."""
    return self._stop.received

  @property
  def received(self) -> int:
    """Number of a signal that all processes know of, 0 before it."""
    return self._agreed if self.is_shared else self.request

  def merge_requests(self, requests: Iterable[float]) -> None:
    """Stops this process if the request of any process is above 0."""
    if any(request > 0 for request in requests):
      self._agreed = self._stop.received = self.request or signal.SIGTERM

  def check(self, step: int) -> None:
    """Raises `TrainingInterruptedError` if all know of a signal."""
    if self.received or not self.is_shared:
      self._stop.check(step)

  def interruptible(self) -> contextlib.AbstractContextManager:
    """Lets signals raise if no other process would wait for this one."""
    return (contextlib.nullcontext() if self.is_shared else
            self._stop.interruptible())


# The `Stop` of the tool whose process this is.
active: Stop | None = None


@contextlib.contextmanager
def deferring() -> Iterator[Stop]:
  """Yields that of this process, within its `saving`."""
  with contextlib.ExitStack() as stack:
    stop = active or stack.enter_context(Stop())
    stack.enter_context(stop.saving())
    yield stop


def line_start() -> str:
  """Returns what clears the line of a terminal, where a progress bar may be."""
  return '\r\x1b[K' if all(map(os.isatty, (1, 2))) else ''


def drop_output(descriptor: int) -> None:
  """Lets what is written to a file that is closed go nowhere."""
  os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
