"""Tests of the gradient through the inverse of a residual block.

tests/conformance/solvers_test compares it with the full Jacobian.
"""

import numpy as np
import tensorflow as tf

from tests import loops
from tests import testing
from tf_resflow import numerics


def _dense():
  """A dense `g`, its weights and a right-hand side."""
  g_fn, weights, y = testing.make_block('dense')
  return numerics.ResidualFunction(g_fn), weights, y


def _cotangent(y):
  return tf.constant(np.random.default_rng(8).normal(size=y.shape), y.dtype)


def test_float32_gradient_and_its_scale():
  g, weights, y = _dense()
  solver = numerics.Banach(atol=1e-13)
  expected = testing.gradients(
      lambda w, y: numerics.invert_residual(g, w, y, solver).solution.x,
      weights, y, _cotangent(y))
  single = [tf.cast(t, tf.float32) for t in [y, *weights]]
  # The tolerance is relative to the cotangent, however small or large.
  for scale in (1e-12, 1.0, 1e12):
    actual = testing.gradients(
        lambda w, y: numerics.invert_residual(
            g, w, y, numerics.Anderson()).solution.x,
        single[1:], single[0], scale * tf.cast(_cotangent(y), tf.float32))
    actual = [a / scale for a in actual]
    assert testing.relative_error(actual, expected) < 1e-5


_LINEAR = numerics.ResidualFunction(lambda weights, x: weights[0] * x)


def _gradients_in_three_steps(dx):
  """Gradients of the inverse of 1.9 x where three steps do not suffice.

  `y = 0` needs none in the forward pass; the adjoint of a cotangent other than
  zero needs about 200.
  """
  y = tf.zeros([3, 2], tf.float64)
  solver = numerics.Banach(max_steps=3)

  def inverse(weights, y):
    solution, log_det = numerics.invert_residual(_LINEAR, weights, y, solver)
    assert np.isnan(log_det).all()
    assert solution.converged.numpy().all()
    return solution.x

  weight = tf.constant(0.9, tf.float64)
  return testing.gradients(inverse, [weight], y, tf.constant(dx, tf.float64))


def test_failing_adjoint_gives_nan_to_its_example_only():
  dy, dweight = _gradients_in_three_steps([[0, 0], [1, -1], [0, 0]])
  nan = [float('nan')] * 2
  np.testing.assert_array_equal(dy, [[0.0, 0.0], nan, [0.0, 0.0]])
  assert np.isnan(dweight)
  # Zero cotangents need no steps.
  dy, dweight = _gradients_in_three_steps(np.zeros([3, 2]))
  assert not np.any(dy) and dweight == 0.0


def test_diagnostics_carry_no_gradient():
  g, weights, y = _dense()
  with tf.GradientTape() as tape:
    tape.watch(y)
    residual = numerics.invert_residual(
        g, weights, y, numerics.Banach()).solution.residual
  gradient = tape.gradient(residual, y)
  assert gradient is None or not np.any(gradient)


@loops.each(
    [(-1, numerics.RESIDUAL_SERIES, 2), (1, numerics.OddSeries(), None)])
def test_log_det_at_the_solution(sign, series, max_examples):
  """One pass does what a solve and a pass at the solution do, to rounding."""
  g_fn, weights, y = testing.make_block('dense')
  calls = []
  g = numerics.ResidualFunction(
      g_fn, max_examples=lambda: max_examples,
      converge_norms=lambda *_: (calls.append(1), [])[1])
  solver = numerics.Anderson(atol=1e-14)
  estimator = numerics.RussianRoulette()

  def joint(weights, y):
    solution, log_det = numerics.invert_residual(
        g, weights, y, solver, estimator, seed=3, sign=sign, series=series)
    return solution.x, log_det

  def composed(weights, y):
    (x, *_), _ = numerics.invert_residual(g, weights, y, solver, sign=sign)
    return x, numerics.forward_and_log_det(
        g, weights, x, estimator, seed=3, series=series)[1]

  results = []
  dx, dlog_det = _cotangent(y), tf.constant([1.0, -0.5, 2.0], y.dtype)
  for function in (composed, joint):
    del calls[:]

    @tf.function(autograph=False)
    def run(dx, dlog_det, function=function):
      return [*function(weights, y), *testing.gradients(
          function, weights, y, [dx, dlog_det])]

    results.append(run(dx, dlog_det))
    # For the values alone, and for the values that have gradients.
    assert len(calls) == (1 if function is joint else 2)
  assert testing.relative_error(*results) < 1e-11
  # Each of the two has a part in every gradient.
  for partial in (run(dx, 0.0 * dlog_det), run(0.0 * dx, dlog_det)):
    assert testing.relative_error(partial[2:], results[0][2:]) > 1e-3


def test_evaluations_of_g():
  """One past the last of the solver, and one for all of the gradient."""
  g_fn, weights, y = testing.make_block('dense')
  count = tf.Variable(0, trainable=False)

  def counted(weights, x):
    with tf.control_dependencies([count.assign_add(1)]):
      return g_fn(weights, tf.identity(x))

  with tf.GradientTape() as tape:
    tape.watch(y)
    (x, num_steps, *_), log_det = numerics.invert_residual(
        numerics.ResidualFunction(counted), weights, y, numerics.Anderson(),
        numerics.RussianRoulette(), seed=1, series=numerics.OddSeries())
  num_forward = int(count)
  assert num_forward == num_steps.numpy().max() + 1 > 5
  tape.gradient([x, log_det], y)
  assert int(count) == num_forward + 1
