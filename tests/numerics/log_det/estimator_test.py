"""Tests of estimators: names, what they do by default, a pass with one.

Memory modes and the kinds of estimators have tests of their own.
"""

import numpy as np
import pytest
import tensorflow as tf

from tests import loops
from tests import testing
from tf_resflow import numerics

_ESTIMATOR = numerics.RussianRoulette(numerics.Poisson(2.0), num_exact_terms=2)


@loops.each([
    ('roulette', numerics.RussianRoulette()),
    ('roulette:poisson:2,exact=2', numerics.RussianRoulette(
        numerics.Poisson(2.0), num_exact_terms=2)),
    ('roulette:geometric', numerics.RussianRoulette(numerics.Geometric(0.5))),
    ('roulette:safe,exact=20', numerics.RussianRoulette(
        numerics.SafeGeometric(), num_exact_terms=20)),
    ('roulette:geometric:0.25,exact=3,probe=gaussian',
     numerics.RussianRoulette(
         numerics.Geometric(0.25), num_exact_terms=3, probe='gaussian')),
    ('roulette:poisson:2,exact=2,samples=4', numerics.RussianRoulette(
        numerics.Poisson(2.0), num_exact_terms=2, num_samples=4)),
    ('adaptive:0.02', numerics.AdaptiveRoulette(0.02)),
    ('adaptive:0.02,batch_dependent=false,exact=4',
     numerics.AdaptiveRoulette(
         0.02, num_exact_terms=4, batch_dependent=False)),
    ('fixed:10', numerics.FixedTruncation(10)),
    ('exact', numerics.Exact()),
])
def test_specs(text, expected):
  assert numerics.Estimator.get(text) == expected


@loops.each([
    ('unbiased', 'estimator=unbiased: expected one of roulette, adaptive, '),
    ('roulette:uniform', 'law=uniform: expected one of poisson, geometric, '),
    ('roulette:poisson:two', 'law=poisson:two: expected a value of rate'),
    ('roulette:poisson:-2', 'rate=-2.0: expected a positive'),
    ('roulette,terms=2', 'expected roulette with the options probe, exact'),
    ('roulette,samples=0', 'num_samples=0: expected a number from 1'),
    ('adaptive:0.1:0.2', 'expected at most 1 arguments of adaptive'),
    ('adaptive,batch_dependent=maybe',
     'expected a value of batch_dependent of adaptive like true'),
    ('fixed:2.5', 'expected a value of num_terms of fixed like 10'),
    ('exact,probe=gaussian', 'expected exact, which has no options'),
])
def test_wrong_specs_are_refused(text, message):
  with pytest.raises(ValueError) as info:
    numerics.Estimator.get(text)
  assert message in str(info.value)


def test_an_estimator_of_ones_own_needs_draw_and_evaluate_only():
  """As docs/extending.md shows it at length."""

  class Zero(numerics.Estimator):
    is_random = False

    def draw(self, x, seed):
      return ()

    def evaluate(self, g, variables, state, x, draw, **kwargs):
      return g.evaluate(variables, x), tf.zeros([tf.shape(x)[0]])

  estimator = Zero()
  assert estimator.per_example() is estimator
  assert estimator.for_bound(0.5) is estimator
  assert estimator.max_batch_size(10**6, tf.float32) is None
  g = numerics.ResidualFunction(lambda weights, x: 0.5 * x)
  y, log_det = numerics.forward_and_log_det(g, [], tf.ones([3, 2]), estimator)
  np.testing.assert_array_equal(y, np.full([3, 2], 1.5))
  np.testing.assert_array_equal(log_det, [0.0] * 3)


def test_seed_and_draw():
  g_fn, weights, x = testing.make_block('dense')
  g = numerics.ResidualFunction(g_fn)

  def log_det(**kwargs):
    return numerics.forward_and_log_det(
        g, weights, x, _ESTIMATOR, **kwargs)[1].numpy()

  first = log_det(seed=3)
  np.testing.assert_array_equal(first, log_det(seed=3))
  np.testing.assert_array_equal(
      first, log_det(draw=_ESTIMATOR.draw(x, 3)))
  assert np.any(first != log_det(seed=4))
  assert np.any(log_det() != log_det())


@pytest.mark.slow
@pytest.mark.parametrize('estimator', [
    numerics.AdaptiveRoulette(1.0, num_exact_terms=1),
    # A spectral radius of at most 0.81: a finite variance for p < 0.34.
    numerics.RussianRoulette(numerics.Geometric(0.3), num_exact_terms=0)])
def test_drawn_mean(estimator):
  """Of three examples, within 5.5 standard errors."""
  g_fn, weights, x = testing.make_block('dense', scale=0.9)
  g = numerics.ResidualFunction(g_fn)

  @tf.function
  def estimate(seed):
    return numerics.forward_and_log_det(
        g, weights, x, estimator, seed=tf.stack([3, seed]))[1]

  values = np.stack([estimate(seed) for seed in tf.range(4000)])
  stderr = values.std(0, ddof=1) / np.sqrt(len(values))
  exact = testing.full_log_det(g_fn, weights, x)
  assert np.all(np.abs(values.mean(0) - exact) < 5.5 * stderr)
  assert np.all(stderr < 0.05)


def test_equal_blocks_share_one_trace():
  g_fn, weights, x = testing.make_block('dense')
  counted, num_traces = testing.count_traces(g_fn)

  def count(num_blocks):
    g = numerics.ResidualFunction(counted)
    num_traces.clear()

    @tf.function
    def run(x):
      with tf.GradientTape() as tape:
        tape.watch(weights)
        y, total = x, 0.0
        for i in range(num_blocks):
          y, log_det = numerics.forward_and_log_det(
              g, [(1 - 0.1 * i) * w for w in weights], y, _ESTIMATOR, seed=i)
          total += log_det
      return tape.gradient(total, weights)

    run(x)
    return len(num_traces)

  assert count(1) == count(4)


def test_state_reaches_the_norms():
  g = numerics.ResidualFunction(
      lambda weights, x: weights[0] * x,
      converge_norms=lambda variables, state: [2.0 * state[0]],
      effective_weights=lambda variables, norms: [variables[0] / norms[0]])
  y, log_det = numerics.forward_and_log_det(
      g, [tf.constant(3.0)], tf.ones([5, 2]), numerics.Exact(),
      state=(tf.constant(5.0),))
  np.testing.assert_allclose(y, np.full([5, 2], 1.3), rtol=1e-6)
  np.testing.assert_allclose(log_det, np.full([5], 2 * np.log(1.3)), rtol=1e-5)


@loops.each([
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


@loops.each([
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
