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


def _check_safeguard(points, f_fn, bound):
  """Checks every step of a run; returns how many were rejected."""
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
  return num_rejected


def test_safeguard_rejects_steps_that_do_not_reduce_the_residual():
  # Secants of a kinked, oscillating map predict badly, now and then.
  bound = 0.95
  matrix = contractions.matrix('orthogonal', bound, dim=8)
  num_rejected = 0
  for seed in range(1, 9):
    points = []

    def g_fn(x, points=points):
      points.append(x.numpy())
      return tf.abs(contractions.linear(matrix)(tf.sin(3.0 * x) / 3.0))

    y = contractions.rhs(1, 8, seed=seed)
    solution = fixed_point.Anderson().solve(g_fn, y, lipschitz_bound=bound)
    assert solution.converged.numpy().all()
    num_rejected += _check_safeguard(
        np.concatenate(points),
        lambda x, y=y: y.numpy() - np.abs(np.sin(3 * x) / 3 @ matrix.T) - x,
        bound)
  assert num_rejected > 0


def _filled_history(matrix, dtype, scale):
  """Pushes 7 random secants of the linear map x -> matrix x into 4 places.

  `matrix` takes x to f(x), so h(x) = x + f(x) changes by dx + matrix dx.
  """
  rng = np.random.default_rng(3)
  history = secants.empty(4, tf.zeros([1, 9], dtype))
  for dx in scale * rng.normal(size=(7, 1, 9)):
    df = dx @ matrix.T
    history = secants.push(
        history, tf.constant(dx + df, dtype), tf.constant(df, dtype),
        tf.constant([True]))
  return history


@pytest.mark.parametrize('scale', [1.0, 1e-30, 1e30])
def test_history_is_orthonormal_and_keeps_secants(scale):
  matrix = contractions.matrix('gauss', 0.9, dim=9)
  s, q, in_use = (
      t.numpy()[:, 0] for t in _filled_history(matrix, tf.float32, scale))
  assert in_use.all()
  np.testing.assert_allclose(q @ q.T, np.eye(4), atol=1e-6)
  # A pair stays a secant through all projections: s - q is a step in x.
  np.testing.assert_allclose((s - q) @ matrix.T, q, atol=1e-5)


def test_nearly_dependent_secants_stay_orthogonal():
  # One projection in float32 would leave 1e-7 of a remainder of 1e-3.
  history = _filled_history(
      contractions.matrix('gauss', 0.9, dim=9), tf.float32, 1.0)
  new = history.q[1] + 1e-3 * contractions.rhs(1, 9, dtype=tf.float32)
  q = secants.push(history, new, new, tf.constant([True])).q.numpy()[:, 0]
  np.testing.assert_allclose(q @ q.T, np.eye(4), atol=1e-6)


def test_correction_is_the_least_squares_step():
  matrix = contractions.matrix('gauss', 0.9, dim=9)
  history = _filled_history(matrix, tf.float64, 1.0)
  f = contractions.rhs(1, 9)
  step, in_use = secants.correction(history, f)
  c = np.linalg.lstsq(history.q.numpy()[:, 0].T, f.numpy()[0], rcond=None)[0]
  np.testing.assert_allclose(
      step[0], -history.s.numpy()[:, 0].T @ c, atol=1e-12)
  assert in_use.numpy().all()


def test_dependent_and_masked_secants_are_dropped():
  matrix = contractions.matrix('gauss', 0.9, dim=9)
  history = _filled_history(matrix, tf.float64, 1.0)
  dependent = 2.0 * history.q[1] - history.q[3]
  for dq, is_secant in ((dependent, True), (tf.ones_like(dependent), False)):
    new = secants.push(history, dq, dq, tf.constant([is_secant]))
    np.testing.assert_array_equal(new.q[:-1], history.q[1:])
    np.testing.assert_array_equal(new.in_use[:, 0], [1, 1, 1, 0])


def test_cleared_secants_correct_and_project_nothing():
  matrix = contractions.matrix('gauss', 0.9, dim=9)
  history = secants.clear(
      _filled_history(matrix, tf.float64, 1.0), tf.constant([True]))
  step, in_use = secants.correction(history, contractions.rhs(1, 9))
  assert not np.any(step) and not np.any(in_use)
  # The next secant is the only one, as it came but for its length.
  dq = contractions.rhs(1, 9)
  history = secants.push(history, dq, dq, tf.constant([True]))
  np.testing.assert_allclose(
      history.q[-1], dq / tf.norm(dq), rtol=1e-12)
  np.testing.assert_array_equal(history.in_use[:, 0], [0, 0, 0, 1])


def test_empty_history_corrects_nothing():
  history = secants.empty(3, tf.zeros([2, 4]))
  step, in_use = secants.correction(history, tf.ones([2, 4]))
  assert not np.any(step) and not np.any(in_use)
