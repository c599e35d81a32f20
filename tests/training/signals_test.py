"""Signals raise, wait for a save, or end the process; what is said of them.

How a run is saved, `loop_test.py` tests; statuses of tools, `runner_test.py`.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest

from tests.commands import processes
from tf_resflow import training
from tf_resflow.training import signals


def _send(number=signal.SIGTERM):
  os.kill(os.getpid(), number)


@pytest.fixture(autouse=True)
def restored():
  """Handlers are afterwards what they were before.

  SIGHUP is not ignored, as it is under `nohup`.
  """
  ignored = signal.signal(signal.SIGHUP, signal.SIG_DFL)
  numbers = signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM
  before = [signal.getsignal(number) for number in numbers]
  yield
  assert [signal.getsignal(number) for number in numbers] == before
  assert signal.set_wakeup_fd(-1) == -1
  signal.signal(signal.SIGHUP, ignored)


@pytest.mark.parametrize('number, continues, status, said', [
    (signal.SIGTERM, False, 143, 'SIGTERM before the end; run the same c'),
    (signal.SIGINT, False, 130, 'SIGINT before the end; run the same co'),
    (signal.SIGHUP, False, 129, 'SIGHUP before the end; run the same co'),
    (signal.SIGTERM, True, 3, 'SIGTERM before a step: the run is as it was;')])
def test_a_tool_is_ended(number, continues, status, said):
  with signals.Stop('speak', continues) as stop:
    with pytest.raises(KeyboardInterrupt):
      _send(number)
    _send(number)  # The same one, passed on by another program.
    assert stop.status == status
    assert stop.message.startswith(said)
    assert signals.active is stop
  assert signals.active is None


def test_nohup_is_respected():
  before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
  with signals.Stop('speak') as stop:
    _send(signal.SIGHUP)
    assert not stop.received
  signal.signal(signal.SIGHUP, before)


def test_a_time_ends_a_tool_as_a_signal_does():
  with signals.Stop('train', continues=True) as stop:
    with pytest.raises(KeyboardInterrupt):
      stop.end_after(-1.0, '--max_hours=2')
      while True:
        pass
    assert stop.message.startswith('--max_hours=2 before a step:')
    assert stop.status == 3


@pytest.mark.parametrize('tool', ['', 'train'])
def test_a_save_is_waited_for(tool, capfd):
  """Which a tool says at once; and a handler that was replaced is back."""
  with (signals.Stop(tool, continues=True) if tool else
        contextlib.nullcontext()):
    if tool:
      signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with pytest.raises(
        training.TrainingInterruptedError, match='^SIGTERM after step 7: its '
        'state is saved; run the same command again to continue.$') as error:
      with signals.deferring() as stop:
        stop.check(6)
        _send()
        _send()
        said = b''
        while tool and not said:
          time.sleep(0.01)  # A thread says it.
          said = os.pread(2, 1000, 0)
        stop.check(7)
  assert error.value.exit_status == 3
  assert capfd.readouterr().err == bool(tool) * (
      'train: SIGTERM: stopping after the step, tracing, compilation or save '
      'at hand; the same signal again exits at once.\n')


def test_long_tasks_of_a_run_are_ended():
  with signals.deferring() as stop:
    with stop.interruptible():
      assert not stop.received
    for number in signal.SIGTERM, signal.SIGINT:
      with pytest.raises(KeyboardInterrupt), stop.interruptible():
        _send(number)
        pytest.fail('goes on')
      _send()  # What follows a task, such as a save, is not ended.
    assert stop.message.startswith('SIGTERM ')


def test_what_an_interruption_has_become_is_one():
  """As where Python code is called by an extension; but not other errors."""
  with signals.deferring() as stop:
    with pytest.raises(ValueError), stop.interruptible():
      raise ValueError
    with pytest.raises(KeyboardInterrupt), stop.interruptible():
      try:
        _send()
      except KeyboardInterrupt:
        raise SystemError from None
    assert stop.caught_exceptions == (KeyboardInterrupt,)


def test_processes_stop_together():
  """At the step at which all know of the request of one."""
  with signals.deferring() as own:
    one, other = (
        signals.RunStop(stop, is_shared=True) for stop in (own, signals.Stop()))
    _send()
    with one.interruptible():
      one.check(3)
    assert one.request > 0 and not one.received and not other.request
    for stop in one, other:
      stop.merge_requests([one.request, 0])
      with pytest.raises(training.TrainingInterruptedError, match='step 4'):
        stop.check(4)


# An operation that Python's handlers cannot end; no signal is a second one.
_OPERATION = """
import hashlib, sys, threading
sys.path.insert(0, sys.argv[1])
from tf_resflow.training import signals
signals._SECONDS_OF_ONE = 0.0
signals._SECONDS_TO_END = 0.1
def operate():
  threading.Timer(0.5, print, ['ready'], {'flush': True}).start()
  hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)
with signals.Stop('train', continues=True):
  if sys.argv[2] == 'saves':
    with signals.deferring() as stop:
      stop.check(7)
      operate()
  operate()
"""


@pytest.mark.slow
@pytest.mark.reliability(promise='second-signal')
def test_an_operation_that_takes_long():
  """A process says at once that it waits; a second signal ends it."""
  def start(what):
    process = subprocess.Popen(
        [sys.executable, '-c', _OPERATION, str(processes.ROOT), what],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == 'ready\n'
    process.send_signal(signal.SIGTERM)
    return process

  process = start('saves')
  assert process.stderr.readline().startswith(
      'train: SIGTERM: stopping after the step,')
  process.send_signal(signal.SIGTERM)
  assert process.communicate()[1] == (
      'train: error: a second SIGTERM: what came after the last save is lost; '
      'run the same command again.\n')
  assert process.returncode == 143

  process = start('has nothing to save')
  assert process.communicate()[1] == (
      'train: error: SIGTERM before a step: the run is as it was; run the same '
      'command again.\n')
  assert process.returncode == 3


# A tool in a terminal of its own, which is closed.
_IN_TERMINAL = """
import fcntl, os, signal, sys, termios, time
sys.path.insert(0, sys.argv[1])
signal.signal(signal.SIGHUP, signal.SIG_DFL)
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from tf_resflow.commands import runner
from tf_resflow.training import signals
with signals.Stop('train', continues=True):
  try:
    with signals.deferring() as stop:
      print('ready', flush=True)
      while not stop.received:
        time.sleep(0.01)
      print('a step', flush=True)
      stop.check(7)
  except signals.TrainingInterruptedError as error:
    sys.exit(runner.fail('train', str(error), error.exit_status))
"""


@pytest.mark.slow
@pytest.mark.reliability(promise='closed-terminal')
def test_a_terminal_is_closed():
  try:
    own, other = os.openpty()
  except OSError as error:  # As in a container without devices.
    pytest.skip(f'no terminal: {error}')
  process = subprocess.Popen(
      [sys.executable, '-c', _IN_TERMINAL, str(processes.ROOT)],
      stdin=other, stdout=other, stderr=other)
  assert os.read(own, 100).startswith(b'ready')
  os.close(other)
  os.close(own)
  assert process.wait() == 3
