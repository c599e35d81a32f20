"""Steps that take what a test says, on a clock that nothing else moves."""

import types

import pytest
import tensorflow as tf

from tf_resflow.benchmarking import tasks
from tf_resflow.training import learner as learner_lib


@pytest.fixture
def set_seconds(monkeypatch):
  """Returns `set_seconds(seconds)`, of the steps to come.

  It returns a list to which every step adds its number and the size of its
  batch. Products of matrices take next to nothing.
  """

  def set_(seconds):
    now, taken, left = [0.0], [], iter(seconds)

    def run_step(learner, batch, step):
      taken.append((int(step), len(batch.x)))
      now[0] += next(left)
      return {'gradient_norm': tf.constant(2.5)}

    monkeypatch.setattr(learner_lib.Learner, 'run_step', run_step)
    monkeypatch.setattr(tasks, 'matmul_rate', lambda num_repeats=0: 1e15)
    monkeypatch.setattr(
        tasks, 'time', types.SimpleNamespace(perf_counter=lambda: now[0]))
    return taken

  return set_
