"""Tests of what Anderson acceleration adds to the plain iteration.

Speed against the plain iteration, the safeguard, and the secant history
against numpy's least squares. What all solvers share is in fixed_point_test.
"""

import numpy as np
import pytest
import tensorflow as tf

from tests.numerics import contractions
from tf_resflow.numerics import fixed_point
from tf_resflow.numerics import secants


def _linear(kind, bound):
  return contractions.linear(contractions.matrix(kind, bound))


def _tanh_of(g_fn):
  return lambda x: tf.tanh(g_fn(x))


@pytest.mark.parametrize(
    'make_g_fn, most',
    [
        (lambda bound: _linear('symmetric', bound), 60),
        (lambda bound: _linear('skew', bound), 35),
        (lambda bound: lambda x: -bound * tf.tanh(x), 80),
        (lambda bound: _tanh_of(_linear('skew', bound)), 40),
    ],
    ids=['symmetric', 'skew', 'tanh', 'tanh_skew'],
)
@pytest.mark.parametrize('bound', [0.94, 0.98])
def test_anderson_needs_several_times_fewer_steps(make_g_fn, most, bound):
  g_fn, y = make_g_fn(bound), contractions.rhs(8)
  banach = contractions.solve(fixed_point.Banach(), g_fn, y)
  anderson = contractions.solve(
      fixed_point.Anderson(), g_fn, y, lipschitz_bound=bound
  )
  assert banach.converged.numpy().all() and anderson.converged.numpy().all()
  num_anderson = anderson.num_steps.numpy().max()
  assert num_anderson <= most
  assert banach.num_steps.numpy().max() >= 3 * num_anderson


@pytest.mark.parametrize('kind', ['orthogonal', 'gauss'])
def test_anderson_keeps_half_of_banachs_guaranteed_rate(kind):
  # A full spectral circle: acceleration has nothing to gain here.
  bound = 0.9
  y = contractions.rhs()
  g_fn = _linear(kind, bound)
  solution = contractions.solve(
      fixed_point.Anderson(max_steps=2000), g_fn, y, lipschitz_bound=bound
  )
  start = np.linalg.norm(g_fn(y).numpy(), axis=-1).max()
  guaranteed = 2 * np.ceil(np.log(1e-10 / start) / np.log(bound)) + 2
  assert solution.converged.numpy().all()
  assert solution.num_steps.numpy().max() <= guaranteed


def test_safeguard_rejects_steps_that_do_not_reduce_the_residual():
  # Secants of a kinked, oscillating map predict badly.
  bound = 0.95
  matrix = contractions.matrix('orthogonal', bound, dim=8)
  points = []

  def g_fn(x):
    points.append(x.numpy())
    return tf.abs(contractions.linear(matrix)(tf.sin(3.0 * x) / 3.0))

  y = contractions.rhs(1, 8)
  solution = fixed_point.Anderson().solve(g_fn, y, lipschitz_bound=bound)
  assert solution.converged.numpy().all()
  points = np.concatenate(points)

  def f_fn(x):
    return y.numpy() - np.abs(np.sin(3 * x) / 3 @ matrix.T) - x

  norms = np.linalg.norm(f_fn(points), axis=-1)
  best, num_rejected, k = norms[0], 0, 1
  while k < len(norms):
    if norms[k] > bound * best * (1 + 1e-9) and k + 1 < len(norms):
      # The next point is a plain step from the best one.
      num_rejected += 1
      base = points[int(np.argmin(norms[:k]))]
      np.testing.assert_allclose(
          points[k + 1], base + f_fn(base[np.newaxis])[0], atol=1e-12
      )
      k += 1
    assert norms[k] <= bound * best * (1 + 1e-9)
    best = norms[k]
    k += 1
  assert num_rejected > 0


def _filled_history(matrix, dtype, scale):
  """Pushes 7 random secants of the linear map x -> matrix x into 4 places."""
  rng = np.random.default_rng(3)
  p = q = tf.zeros([1, 4, 9], dtype)
  steps = scale * rng.normal(size=(7, 1, 9))
  for dx in steps:
    df = tf.constant(dx @ matrix.T, dtype)
    p, q = secants.push(p, q, tf.constant(dx, dtype), df, tf.constant([True]))
  return p, q


@pytest.mark.parametrize('scale', [1.0, 1e-30, 1e30])
def test_history_is_orthonormal_and_keeps_secants(scale):
  matrix = contractions.matrix('gauss', 0.9, dim=9)
  p, q = _filled_history(matrix, tf.float32, scale)
  p, q = p.numpy()[0], q.numpy()[0]
  np.testing.assert_allclose(q @ q.T, np.eye(4), atol=1e-6)
  # A pair stays a secant through all projections: matrix p = q.
  np.testing.assert_allclose(p @ matrix.T, q, atol=1e-5)


def test_correction_is_the_least_squares_step():
  matrix = contractions.matrix('gauss', 0.9, dim=9)
  p, q = _filled_history(matrix, tf.float64, 1.0)
  f = contractions.rhs(1, 9)
  step, in_use = secants.correction(p, q, f)
  c = np.linalg.lstsq(q.numpy()[0].T, f.numpy()[0], rcond=None)[0]
  expected = -(p.numpy()[0] + q.numpy()[0]).T @ c
  np.testing.assert_allclose(step[0], expected, atol=1e-12)
  assert in_use.numpy().all()


def test_dependent_and_masked_secants_are_dropped():
  matrix = contractions.matrix('gauss', 0.9, dim=9)
  p, q = _filled_history(matrix, tf.float64, 1.0)
  dependent = 2.0 * q[:, 1] - q[:, 3]
  for df, is_secant in ((dependent, True), (tf.ones_like(dependent), False)):
    new_p, new_q = secants.push(p, q, df, df, tf.constant([is_secant]))
    np.testing.assert_array_equal(new_q[:, :-1], q[:, 1:])
    assert not np.any(new_q[:, -1]) and not np.any(new_p[:, -1])


def test_empty_history_corrects_nothing():
  p = tf.zeros([2, 3, 4])
  step, in_use = secants.correction(p, p, tf.ones([2, 4]))
  assert not np.any(step) and not np.any(in_use)
