"""Inverses, log-determinants and slopes against the autodiff Jacobian."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import bijectors as tfb

from tests import cases
from tests.conformance import subjects
from tests.numerics.norms import induced_oracle
from tf_resflow import layers
from tf_resflow import numerics

_TOLERANCE = {'float32': 1e-4, 'float64': 1e-8}
_LAYERED = cases.BIJECTIONS | cases.MODELS


def forward(subject, x):
  return cases.evaluate(subject, x)[0]


@pytest.mark.parametrize('dtype', _TOLERANCE)
@subjects.each(cases.invertible())
def test_inverse(subject, dtype):
  made, x = subject.of(dtype)
  y = tf.constant(subject.outputs(dtype)[0])
  # Another tensor, or the cache of a bijector would answer with x itself.
  x_again = made.inverse(y)
  assert x_again.dtype == dtype and x_again.shape == x.shape
  np.testing.assert_allclose(x_again, x, rtol=0, atol=_TOLERANCE[dtype])
  # The other way round, from a y that forward did not make.
  y = y + tf.cast(0.01 * tf.cos(y), dtype)
  y_again = forward(made, tf.identity(made.inverse(y)))
  np.testing.assert_allclose(
      y_again, y, rtol=_TOLERANCE[dtype], atol=_TOLERANCE[dtype])


def exact_log_det(made, x):
  """The log-determinant without draws."""
  if isinstance(made, tfb.Bijector):
    return made.forward_log_det_jacobian(x)
  return made.forward_and_log_det(x, estimator=numerics.Exact())[1]


@subjects.each(
    name for name, case in cases.invertible().items()
    if name not in cases.BIJECTORS or not case.is_random)
def test_log_det_is_that_of_the_jacobian(subject):
  made, x = subject.of()
  log_det = exact_log_det(made, x)
  assert log_det.shape == [len(x)] and log_det.dtype == 'float64'
  np.testing.assert_allclose(
      log_det, np.linalg.slogdet(subject.jacobians)[1], rtol=0, atol=1e-8)
  if subject.name in cases.BIJECTIONS:
    x_again, inverse_log_det = made.inverse_and_log_det(
        tf.constant(subject.outputs()[0]), estimator=numerics.Exact(),
        solver=numerics.Banach(atol=1e-12))
    np.testing.assert_allclose(x_again, x, rtol=0, atol=1e-9)
    np.testing.assert_allclose(inverse_log_det, -log_det, rtol=0, atol=1e-8)


def _largest_norm(matrices, order):
  # NumPy knows the induced norms of these orders.
  if order in (1.0, 2.0, np.inf):
    return np.linalg.norm(matrices, order, axis=(1, 2)).max()
  return max(induced_oracle.brute_force(matrix, order, order, num_starts=100)
             for matrix in matrices)


@subjects.each(cases.BIJECTIONS)
def test_slopes_lie_between_their_bounds(subject):
  bijection, _ = subject.of()
  bounds = bijection.bi_lipschitz_bounds()
  if not subject.case.has_bi_lipschitz_bounds:
    assert bounds[:2] == (0.0, np.inf)
    return
  order = bounds.order or 2.0
  greatest = _largest_norm(subject.jacobians, order)
  least = 1.0 / _largest_norm(np.linalg.inv(subject.jacobians), order)
  margin = 1e-9 + 1e-3 * len(bijection.constrained_layers())
  assert 0.0 < bounds.lower <= least * (1.0 + margin)
  assert greatest <= bounds.upper * (1.0 + margin)
  # No bounds that everything keeps to.
  assert bounds.upper < 100 * greatest


@subjects.each(_LAYERED)
def test_what_reports_computes_what_raises_does(subject):
  made, x = subject.of()
  result = made.transform(x, seed=4)
  y, log_det = made.forward_and_log_det(x, seed=4)
  np.testing.assert_array_equal(result.value, y)
  np.testing.assert_array_equal(result.log_det, log_det)
  for feature in result.features:
    assert feature.shape[0] == len(x)
  inverted = made.solve_inverse(y)
  np.testing.assert_array_equal(inverted.value, made.inverse(y))
  for solve in result.solves + inverted.solves:
    assert np.all(solve.solution.converged)
    assert solve.solution.x.shape == solve.target.shape
    # The equation that was solved, computed by another path.
    residual = solve.residual()
    atol, rtol = solve.solver.tolerances(tf.float64)
    assert np.abs(residual).max() <= 2 * (
        atol + rtol * np.abs(solve.target).max()) + 1e-12
  parts = getattr(made, 'bijection', made).leaves()
  certified = [b for b in parts if isinstance(b, layers.ResidualBlock)]
  assert {s.bijection for s in result.solves or inverted.solves} == set(
      certified)


@subjects.each(name for name, case in _LAYERED.items() if case.is_random)
def test_a_solve_that_fails_is_an_error_and_is_reported(subject):
  """The direction that solves, with too few steps."""
  made, x = subject.of()
  y = tf.constant(subject.outputs()[0])
  solver = numerics.Banach(max_steps=2)
  raises, reports = (
      (lambda: made.forward_and_log_det(x, solver=solver),
       lambda: made.transform(x, solver=solver))
      if made.transform(x).solves else
      (lambda: made.inverse(y, solver=solver),
       lambda: made.solve_inverse(y, solver=solver)))
  with pytest.raises(tf.errors.InvalidArgumentError, match='did not converge'):
    raises()
  solves = reports().solves
  assert all(s.solver == solver for s in solves)
  assert not np.all(solves[0].solution.converged)


@subjects.each(_LAYERED)
def test_skip_takes_no_log_det(subject):
  made, x = subject.of()
  bijection = getattr(made, 'bijection', made)
  # What classifies differentiates it.
  variables = bijection.trainable_variables
  with tf.GradientTape() as tape:
    result = made.transform(x, estimator=numerics.NoLogDet())
  np.testing.assert_allclose(
      result.value, subject.outputs()[0], rtol=0, atol=1e-12)
  assert np.all(np.isnan(result.log_det)) == bool(bijection.estimators())
  gradients = tape.gradient(
      result.value, [v.value for v in variables], tf.cos(result.value))
  assert all(np.all(np.isfinite(g)) for g in gradients)


def weighted_gradients(bijection, x, weights):
  """Gradients of `sum_b weights_b log_det_b` at one draw."""
  variables = [v.value for v in bijection.trainable_variables]
  with tf.GradientTape() as tape:
    tape.watch(x)
    loss = tf.reduce_sum(weights * bijection.forward_and_log_det(x, seed=4)[1])
  return tape.gradient(
      loss, [x, *variables], unconnected_gradients=tf.UnconnectedGradients.ZERO)


@subjects.each(
    name for name, case in cases.BIJECTIONS.items() if case.has_variables)
def test_every_example_has_a_weight_of_its_own(subject):
  bijection, x = subject.of()
  weights = tf.constant([1.0, -0.4, 2.5, 0.3], tf.float64)
  if not subject.case.per_example:
    with pytest.raises(tf.errors.InvalidArgumentError, match='one cotangent'):
      weighted_gradients(bijection, x, weights)
    return
  expected = [0.0] * (1 + len(bijection.trainable_variables))
  for one_hot in tf.eye(len(x), dtype=tf.float64):
    parts = weighted_gradients(bijection, x, one_hot)
    weight = tf.tensordot(one_hot, weights, 1)
    expected = [e + weight * p for e, p in zip(expected, parts, strict=True)]
  actual = weighted_gradients(bijection, x, weights)
  for a, e in zip(actual, expected, strict=True):
    np.testing.assert_allclose(a, e, rtol=1e-9, atol=1e-12)
  # A volume that never changes has no gradient.
  log_det = bijection.forward_and_log_det(x, seed=4)[1]
  assert (max(np.abs(a).max() for a in actual) > 0.0) == np.any(log_det != 0.0)


@subjects.each(cases.BIJECTORS)
def test_log_dets_of_both_directions_are_opposite(subject):
  bijector, x = subject.of()
  inverse_log_det = bijector.inverse_log_det_jacobian(
      tf.constant(subject.outputs()[0]), seed=1)
  np.testing.assert_allclose(
      inverse_log_det, -bijector.forward_log_det_jacobian(
          tf.identity(x), seed=1), rtol=0, atol=1e-8)


@subjects.each(cases.MODELS)
def test_base_density_plus_log_det_is_log_prob(subject):
  """`log_prob` of a model is the change of variables, summed over blocks."""
  model, x = subject.of()
  z, log_det = model.forward_and_log_det(x, seed=3)
  size = z.shape[1]
  base = -0.5 * np.sum(np.square(z), axis=1) - 0.5 * size * np.log(2 * np.pi)
  np.testing.assert_allclose(
      model.log_prob(x, seed=3), base + log_det, rtol=1e-10)
