"""Learning rates against formulas."""

import numpy as np
import pytest

from tf_resflow import configuration
from tf_resflow.training import optimizers


def _expected_rate(t, rate, warmup, num_steps, schedule):
  if t < warmup:
    return rate * (t + 1) / (warmup + 1)
  if schedule == 'constant':
    return rate
  progress = min((t - warmup) / (num_steps - warmup), 1.0)
  return rate * 0.5 * (1.0 + np.cos(np.pi * progress))


@pytest.mark.parametrize('schedule', ['constant', 'cosine'])
@pytest.mark.parametrize('warmup', [0, 1, 10])
def test_learning_rate(schedule, warmup):
  config = configuration.make_config(
      learning_rate=0.02, warmup_steps=warmup, schedule=schedule,
      num_steps=50)
  optimizer = optimizers.make_optimizer(config.optimizer)
  for t in (0, 1, 5, 9, 10, 11, 30, 49, 50, 60):
    optimizer.iterations.assign(t)
    np.testing.assert_allclose(
        float(optimizer.learning_rate),
        _expected_rate(t, 0.02, warmup, 50, schedule),
        rtol=1e-5, atol=1e-8)
