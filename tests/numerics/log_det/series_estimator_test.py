"""Tests of what the estimators that run a series share: their draws."""

import numpy as np
import pytest
import tensorflow as tf

from tf_resflow import numerics


@pytest.mark.parametrize('estimator', [
    numerics.RussianRoulette(numerics.Geometric(0.2), num_exact_terms=3),
    numerics.FixedTruncation(4, probe='gaussian')])
def test_seeds_fix_the_draw(estimator):
  x = tf.zeros([5, 2, 3], tf.float64)
  draws = [estimator.draw(x, seed) for seed in (1, 1, 2, None, None)]
  probes = [d.probe.numpy() for d in draws]
  np.testing.assert_array_equal(probes[0], probes[1])
  assert draws[0].stop == draws[1].stop
  for i, j in ((0, 2), (2, 3), (3, 4)):
    assert np.any(probes[i] != probes[j])
  for draw in draws:
    assert draw.probe.shape == x.shape and draw.probe.dtype == x.dtype
    assert draw.stop.dtype == tf.int32 and draw.stop >= 4
  is_sign = np.all(np.abs(probes[0]) == 1.0)
  assert is_sign == (estimator.probe == 'rademacher')


def test_no_seed_draws_afresh_inside_a_traced_function():
  estimator = numerics.RussianRoulette(numerics.Geometric(0.1))
  x = tf.zeros([2, 20])
  draw = tf.function(lambda: estimator.draw(x, None))
  draws = [draw() for _ in range(12)]
  assert len({int(d.stop) for d in draws}) > 3
  assert len({d.probe.numpy().tobytes() for d in draws}) == 12


@pytest.mark.parametrize('kind', [
    numerics.RussianRoulette, numerics.AdaptiveRoulette,
    numerics.FixedTruncation])
def test_unknown_probes_are_refused(kind):
  with pytest.raises(
      ValueError, match='probe=normal: expected one of rademacher, gaussian'):
    kind(probe='normal')


def test_unknown_memory_modes_are_refused():
  g = numerics.ResidualFunction(lambda weights, x: 0.5 * x)
  with pytest.raises(ValueError, match='memory=fast: expected one of'):
    numerics.forward_and_log_det(
        g, [], tf.ones([1, 2]), numerics.RussianRoulette(), memory='fast')
