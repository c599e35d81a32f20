"""Signals are noted, and handed back to who had them before."""

import os
import signal

import pytest

from tf_resflow import training
from tf_resflow.training import signals as signals_lib


def test_signals_are_handed_back():
  before = signal.getsignal(signal.SIGTERM)
  with signals_lib.StopOnSignal() as signals:
    signals.check(3)
    os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(training.TrainingInterruptedError, match='step 3'):
      signals.check(3)
  assert signal.getsignal(signal.SIGTERM) is before
