"""Tests of the secant history, against NumPy's least squares."""

import numpy as np
import tensorflow as tf

from tests import loops
from tests.numerics.fixed_point import contractions
from tf_resflow.numerics.fixed_point import secants

# Takes x to f(x), so h(x) = x + f(x) changes by dx + matrix dx.
_MATRIX = contractions.matrix('gauss', 0.9, dim=9)


def _filled_history(dtype=tf.float64, scale=1.0):
  """Pushes 7 random secants of the linear map into 4 places."""
  rng = np.random.default_rng(3)
  history = secants.empty(4, tf.zeros([1, 9], dtype))
  for dx in scale * rng.normal(size=(7, 1, 9)):
    df = dx @ _MATRIX.T
    history = secants.push(
        history, tf.constant(dx + df, dtype), tf.constant(df, dtype),
        tf.constant([True]))
  return history


@loops.each([1.0, 1e-30, 1e30])
def test_history_is_orthonormal_and_keeps_secants(scale):
  s, q, in_use = (t.numpy()[:, 0] for t in _filled_history(tf.float32, scale))
  assert in_use.all()
  np.testing.assert_allclose(q @ q.T, np.eye(4), atol=1e-6)
  # A pair stays a secant through all projections: s - q is a step in x.
  np.testing.assert_allclose((s - q) @ _MATRIX.T, q, atol=1e-5)


def test_nearly_dependent_secants_stay_orthogonal():
  # One projection in float32 would leave 1e-7 of a remainder of 1e-3.
  history = _filled_history(tf.float32)
  new = history.q[1] + 1e-3 * contractions.rhs(1, 9, dtype=tf.float32)
  q = secants.push(history, new, new, tf.constant([True])).q.numpy()[:, 0]
  np.testing.assert_allclose(q @ q.T, np.eye(4), atol=1e-6)


def test_correction_is_the_least_squares_step():
  history = _filled_history()
  f = contractions.rhs(1, 9)
  step, in_use = secants.correction(history, f)
  c = np.linalg.lstsq(history.q.numpy()[:, 0].T, f.numpy()[0], rcond=None)[0]
  np.testing.assert_allclose(
      step[0], -history.s.numpy()[:, 0].T @ c, atol=1e-12)
  assert in_use.numpy().all()


def test_dependent_and_masked_secants_are_dropped():
  history = _filled_history()
  dependent = 2.0 * history.q[1] - history.q[3]
  for dq, is_secant in ((dependent, True), (tf.ones_like(dependent), False)):
    new = secants.push(history, dq, dq, tf.constant([is_secant]))
    np.testing.assert_array_equal(new.q[:-1], history.q[1:])
    np.testing.assert_array_equal(new.in_use[:, 0], [1, 1, 1, 0])


def test_cleared_secants_correct_and_project_nothing():
  dq = contractions.rhs(1, 9)
  history = secants.clear(_filled_history(), tf.constant([True]))
  for none in (history, secants.empty(4, dq)):
    step, in_use = secants.correction(none, dq)
    assert not np.any(step) and not np.any(in_use)
  # The next secant is the only one, as it came but for its length.
  history = secants.push(history, dq, dq, tf.constant([True]))
  np.testing.assert_allclose(history.q[-1], dq / tf.norm(dq), rtol=1e-12)
  np.testing.assert_array_equal(history.in_use[:, 0], [0, 0, 0, 1])
