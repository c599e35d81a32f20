"""A step that is passed over leaves no trace; too large batches are refused."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests import replicas
from tests import testing
from tests.training import runs
from tf_resflow import configuration
from tf_resflow import models
from tf_resflow.models import objectives
from tf_resflow.training import learner as learner_lib


@pytest.mark.parametrize(
    'num_replicas', [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.reliability(promise='nonfinite-batch')
def test_batches_that_are_passed_over_leave_no_trace(num_replicas):
  """Of two only the second replica has the part that is not finite."""
  strategy = runs.strategy_of(num_replicas)
  without, learner = (learner_lib.Learner(
      runs.config(moving_mean=True, skip_nonfinite=number), strategy)
                      for number in (0, 2))

  def batch(seed, value=0.5):
    x = np.random.default_rng(seed).random([8, 8, 8, 1], np.float32)
    x[-1] *= 2.0 * value
    return models.Batch(x if num_replicas == 1 else replicas.per_replica(
        *np.split(x, 2)))

  def state_of(learner):
    return [v.numpy() for variable in (
        *learner.model.variables, *learner.optimizer.variables)
            for v in strategy.experimental_local_results(variable.value)] + [
                v.numpy() for v in learner.ema.averages]

  for each in without, learner:
    each.initialize(batch(0))
  for i, is_bad in enumerate((False, True, True, False)):
    before, step = state_of(learner), tf.constant(i, tf.int64)
    metrics = dict(learner.run_step(
        batch(i, np.nan if is_bad else 0.5), step))
    assert metrics.pop('skipped') == is_bad
    if is_bad:
      np.testing.assert_equal(state_of(learner), before)
    else:
      assert metrics == without.run_step(batch(i), step)
      assert any(map(np.any, map(np.not_equal, state_of(learner), before)))
    np.testing.assert_equal(*map(state_of, (learner, without)))
  assert learner.state['skipped'].numpy() == 2
  # At most two.
  assert learner.run_step(
      batch(4, np.nan), tf.constant(4, tf.int64))['skipped'] == 0
  assert not all(np.isfinite(v).all() for v in state_of(learner))


def test_of_a_stored_run_no_data_are_needed(tmp_path):
  path = tmp_path / 'own.npz'
  np.savez(path, x=np.random.default_rng(0).normal(size=[40, 2]))
  config = configuration.make_config(
      dataset=f'array:{path}', num_blocks=1, hidden_units=(4,))
  path.unlink()
  learner = learner_lib.Learner(dataclasses.replace(config, info=None))
  assert learner.objective == objectives.Nats()


@pytest.mark.reliability(promise='too-large')
def test_batches_that_are_refused():
  """Replicas cannot share them, or they exceed the memory."""
  strategy = replicas.two_replicas()
  testing.check_refusals(
      lambda values: learner_lib.Learner(runs.config(**values), strategy), [
          ({'batch_size': 3}, 'batch_size=3: expected a multiple of 2, the nu'),
          ({'batch_size': 10**12}, 'batch_size=1000000000000 needs'),
          ({'accumulation_steps': 10**12},
           'accumulation_steps=1000000000000 needs')])
