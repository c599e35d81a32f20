"""Tests of the estimators: averaged exactly, and by sampling.

Averaged exactly means over the probes sqrt(D) e_i, whose mean outer product is
the identity, and over every N, weighted by its probability, until what is left
is below 1e-10. Oracle: the log-det of the full float64 Jacobian.
"""

import numpy as np
import pytest
from scipy import stats
import tensorflow as tf

from tests import testing
from tf_resflow import numerics
from tf_resflow.numerics import random

_LAWS = {
    'geometric': (numerics.Geometric(0.6), stats.geom(0.6)),
    'poisson': (numerics.Poisson(2.0), stats.poisson(2.0)),
}
# Of `f(x)` and of its log-det; no weight for the log-det of the first example.
_DLOG_DET = np.array([0.0, 1.5, -0.7])


def _cotangents(x):
  dy = np.random.default_rng(7).normal(size=x.shape)
  return [tf.constant(dy), tf.constant(_DLOG_DET)]


def _oracle(kind, log_det_fn=testing.full_log_det):
  """Log-det and gradients of the full Jacobian."""
  g_fn, weights, x = testing.make_block(kind)

  def fn(weights, x):
    return x + g_fn(weights, x), log_det_fn(g_fn, weights, x)

  return fn(weights, x)[1], testing.gradients(fn, weights, x, _cotangents(x))


def _average_exactly(kind, estimator, num_terms, probabilities, memory):
  """Expected value and gradients over `num_terms` and all probes.

  The probes of all dimensions go into the batch axis, so one evaluation per
  number of terms suffices.
  """
  g_fn, weights, x = testing.make_block(kind)
  batch, size = x.shape[0], x.shape[1:].num_elements()
  probes = tf.repeat(np.sqrt(size) * tf.eye(size, dtype=x.dtype), batch, 0)
  probes = tf.reshape(probes, [size * batch, *x.shape[1:]])
  dy, dlog_det = _cotangents(x)

  @tf.function
  def evaluate(n, probability, weights, x):
    x = tf.concat([x] * size, 0)
    share = probability / size

    def fn(weights, x):
      return numerics.forward_and_log_det(
          g_fn, weights, x, estimator, numerics.Draw(n, probes), memory)

    dx, *dweights = testing.gradients(
        fn, weights, x,
        [share * tf.concat([c] * size, 0) for c in (dy, dlog_det)])
    value = share * fn(weights, x)[1]
    return [tf.reduce_sum(tf.reshape(t, [size, batch, *t.shape[1:]]), 0)
            for t in (value, dx)] + dweights

  total = 0.0
  for n, probability in zip(num_terms, probabilities, strict=True):
    terms = evaluate(
        tf.constant(n, tf.int32), tf.constant(probability, x.dtype), weights,
        x)
    total = [np.add(s, t) for s, t in zip(total or [0.0] * 6, terms,
                                          strict=True)]
  return total[0], total[1:]


def _num_draws(oracle_law, size=18, radius=0.3):
  """Smallest M such that leaving out every N > M changes less than 1e-10.

  Term k <= M loses the share P(N > M) / P(N >= k), later terms are lost whole;
  a term is at most D rho^k.
  """
  for m in range(1, 200):
    k = np.arange(1, m + 1)
    lost = oracle_law.sf(m) / oracle_law.sf(k - 1) * radius**k
    if size * (lost.sum() + radius**(m + 1) / (1 - radius)) < 1e-10:
      return m
  raise AssertionError('the series decays too slowly')


@pytest.mark.parametrize('kind', ['dense', 'conv'])
@pytest.mark.parametrize('law', _LAWS)
@pytest.mark.parametrize('num_exact_terms', [0, 2])
def test_roulette_is_unbiased(kind, law, num_exact_terms):
  law, scipy_law = _LAWS[law]
  estimator = numerics.RussianRoulette(law, num_exact_terms)
  n = np.arange(_num_draws(scipy_law) + 1)
  value, gradients = _average_exactly(
      kind, estimator, num_exact_terms + n, scipy_law.pmf(n), 'recompute')
  expected_value, expected = _oracle(kind)
  np.testing.assert_allclose(value, expected_value, atol=1e-8, rtol=0)
  for a, b in zip(gradients, expected, strict=True):
    np.testing.assert_allclose(a, b, atol=1e-8, rtol=0)

  # One N in place of all of them is far off.
  biased, biased_gradients = _average_exactly(
      kind, estimator, [num_exact_terms + 2], [1.0], 'recompute')
  assert np.abs(biased - expected_value).max() > 1e-6
  assert testing.relative_error(biased_gradients, expected) > 1e-6


@pytest.mark.parametrize('memory', ['naive', 'neumann'])
def test_other_memory_modes_have_the_same_mean(memory):
  law, scipy_law = _LAWS['poisson']
  n = np.arange(_num_draws(scipy_law) + 1)
  value, gradients = _average_exactly(
      'dense', numerics.RussianRoulette(law, 1), 1 + n, scipy_law.pmf(n),
      memory)
  expected_value, expected = _oracle('dense')
  np.testing.assert_allclose(value, expected_value, atol=1e-8, rtol=0)
  for a, b in zip(gradients, expected, strict=True):
    np.testing.assert_allclose(a, b, atol=1e-8, rtol=0)


@pytest.mark.parametrize('kind', ['dense', 'conv'])
@pytest.mark.parametrize('num_terms', [1, 2, 5])
def test_fixed_truncation_has_the_gradient_of_its_value(kind, num_terms):

  def log_det(num_terms):

    def fn(g_fn, weights, x):
      jacobian = testing.full_jacobian(lambda x: g_fn(weights, x), x)
      power, value = jacobian, tf.linalg.trace(jacobian)
      for k in range(2, num_terms + 1):
        power = power @ jacobian
        value += (-1)**(k + 1) / k * tf.linalg.trace(power)
      return value

    return fn

  value, gradients = _average_exactly(
      kind, numerics.FixedTruncation(num_terms), [num_terms], [1.0],
      'recompute')
  expected_value, expected = _oracle(kind, log_det(num_terms))
  np.testing.assert_allclose(value, expected_value, atol=1e-12)
  assert testing.relative_error(gradients, expected) < 1e-12
  # One more term in the gradient vector is the gradient of another value.
  _, longer = _oracle(kind, log_det(num_terms + 1))
  assert testing.relative_error(longer, expected) > 1e-6


def test_exact_needs_no_draw():
  g_fn, weights, x = testing.make_block('conv')
  estimator = numerics.Exact()
  assert estimator.draw(x, 3) is None

  def fn(weights, x):
    return numerics.forward_and_log_det(
        g_fn, weights, x, estimator, None)

  expected_value, expected = _oracle('conv')
  np.testing.assert_allclose(fn(weights, x)[1], expected_value, atol=1e-13)
  assert testing.relative_error(
      testing.gradients(fn, weights, x, _cotangents(x)), expected) < 1e-12


def test_weights_follow_the_theorems():
  tail = np.array([1.0, 0.5, 0.25])
  estimator = numerics.RussianRoulette(numerics.Geometric(0.5), 2)
  c = np.concatenate([[1.0, 1.0, 1.0], 1.0 / tail])
  np.testing.assert_allclose(estimator.weights()[:6], c)
  k = np.arange(6)
  np.testing.assert_allclose(
      estimator.gradient_weights()[:6], (-1.0)**k * c)
  np.testing.assert_allclose(
      estimator.value_weights()[1:6], (-1.0)**(k[1:] + 1) / k[1:] * c[1:])
  fixed = numerics.FixedTruncation(3)
  np.testing.assert_allclose(fixed.value_weights(), [0, 1, -1 / 2, 1 / 3])
  np.testing.assert_allclose(fixed.gradient_weights(), [1, -1, 1, 0])


@pytest.mark.parametrize('estimator', [
    numerics.RussianRoulette(numerics.Geometric(0.2), 3),
    numerics.FixedTruncation(4, 'gaussian')])
def test_seeds_fix_the_draw(estimator):
  x = tf.zeros([5, 2, 3], tf.float64)
  draws = [estimator.draw(x, seed) for seed in (1, 1, 2, None, None)]
  probes = [d.probe.numpy() for d in draws]
  np.testing.assert_array_equal(probes[0], probes[1])
  assert draws[0].num_terms == draws[1].num_terms
  for i, j in ((0, 2), (2, 3), (3, 4)):
    assert np.any(probes[i] != probes[j])
  for draw in draws:
    assert draw.probe.shape == x.shape and draw.probe.dtype == x.dtype
    assert draw.num_terms.dtype == tf.int32 and draw.num_terms >= 4
  is_sign = np.all(np.abs(probes[0]) == 1.0)
  assert is_sign == (estimator.probe == 'rademacher')


def test_no_seed_draws_afresh_inside_a_traced_function():
  estimator = numerics.RussianRoulette(numerics.Geometric(0.1))
  x = tf.zeros([2, 20])
  draw = tf.function(lambda: estimator.draw(x, None))
  draws = [draw() for _ in range(12)]
  assert len({int(d.num_terms) for d in draws}) > 3
  assert len({d.probe.numpy().tobytes() for d in draws}) == 12


@pytest.mark.parametrize('make, match', [
    (lambda: numerics.RussianRoulette(probe='normal'), "probe is 'normal'"),
    (lambda: numerics.FixedTruncation(probe='x'), 'expected one of'),
    (lambda: numerics.RussianRoulette(num_exact_terms=-1), '0 or more'),
    (lambda: numerics.FixedTruncation(0), '1 or more')])
def test_impossible_settings_are_refused(make, match):
  with pytest.raises(ValueError, match=match):
    make()


def _two_blocks(memory='recompute'):
  """A flow of two blocks, a step that trains on it, and its oracle."""
  blocks = [testing.make_block('dense', seed=s, scale=0.8) for s in (0, 1)]
  # A spectral radius of at most 0.64: finite variance for p < 0.59.
  estimator = numerics.RussianRoulette(numerics.Geometric(0.4), 0)
  assert estimator.distribution.has_finite_variance(0.64)
  x = blocks[0][2][:1]
  watched = [x, blocks[0][1][0], blocks[1][1][0]]
  # Many probes at one draw of N: what training does, and less variance.
  num_copies = 16

  def flow(x, forward_fn):
    total = 0.0
    for i, (g_fn, weights, _) in enumerate(blocks):
      x, log_det = forward_fn(g_fn, [watched[i + 1], *weights[1:]], x, i)
      total += log_det
    return tf.reduce_mean(total)

  def value_and_gradients(forward_fn, num_copies):
    with tf.GradientTape() as tape:
      tape.watch(watched)
      value = flow(tf.repeat(watched[0], num_copies, 0), forward_fn)
    return value, tape.gradient(value, watched)

  @tf.function
  def step(number):
    num_terms = []

    def forward_fn(g_fn, weights, x, i):
      seed = random.fold_in(random.fold_in(5, number), i)
      draw = estimator.draw(x, seed)
      num_terms.append(draw.num_terms)
      return numerics.forward_and_log_det(
          g_fn, weights, x, estimator, draw, memory)

    value, gradients = value_and_gradients(forward_fn, num_copies)
    return value, gradients, tf.stack(num_terms)

  def oracle():
    return value_and_gradients(
        lambda g_fn, weights, x, i: (
            x + g_fn(weights, x), testing.full_log_det(g_fn, weights, x)), 1)

  return step, oracle


def test_sampled_mean_agrees_within_four_standard_errors():
  step, oracle = _two_blocks()
  values, num_terms = [], []
  for number in tf.range(1500):
    value, gradients, n = step(number)
    components = [np.reshape(g, [-1])[:4] for g in gradients]
    values.append(np.concatenate([[value], *components]))
    num_terms.append(n.numpy())
  num_terms = np.array(num_terms)
  # N varies from call to call and from block to block, independently.
  assert len(np.unique(num_terms[:, 0])) > 5
  assert np.any(num_terms[:, 0] != num_terms[:, 1])
  assert abs(np.corrcoef(num_terms.T)[0, 1]) < 4 / np.sqrt(1500)
  assert abs(num_terms.mean() - 2.5) < 4 * num_terms.std() / np.sqrt(3000)

  value, gradients = oracle()
  expected = np.concatenate(
      [[value], *[np.reshape(g, [-1])[:4] for g in gradients]])
  mean = np.mean(values, axis=0)
  error = np.std(values, axis=0, ddof=1) / np.sqrt(len(values))
  np.testing.assert_array_less(np.abs(mean - expected), 4 * error)
  # Small enough to tell the log-det from its first term.
  assert error[0] < 0.02 * abs(expected[0])
