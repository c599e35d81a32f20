"""Closed forms and upper bounds of induced norms, against brute force.

Rows and columns, against those of the materialised operator.
"""

import numpy as np
import pytest
import tensorflow as tf

from tests import loops
from tests import testing
from tests.numerics.norms import induced_oracle
from tests.numerics.norms import kernels
from tf_resflow.numerics.norms import induced_bounds
from tf_resflow.numerics.norms import operators

_SHAPES = [
    ((5, 6), None), ((7, 3), None), ((3, 3, 2, 3), (3, 2)),
    ((3, 3, 3, 1), (2, 1)), ((1, 1, 3, 4), (2, 2))]
_CLOSED = [(p, q) for p, q in induced_oracle.PAIRS if p == 1.0 or q == np.inf]


@loops.each([
    (*shape, *orders) for i, shape in enumerate(_SHAPES)
    for orders in _CLOSED[i % 2::2]])
def test_closed_forms(shape, spatial_shape, domain, codomain):
  operator = kernels.operator(shape, spatial_shape, domain, codomain)
  norms = induced_bounds.closed_norms(operator)
  tf.broadcast_static_shape(norms.shape, operator.kernel.shape)
  assert float(tf.reduce_max(norms)) == pytest.approx(
      induced_oracle.brute_force(
          kernels.matrix(operator), domain, codomain, num_starts=100), rel=1e-6)


@loops.each([
    (*shape, *orders) for i, shape in enumerate(_SHAPES)
    for orders in induced_oracle.PAIRS[i % 3::3]])
def test_upper_bounds(shape, spatial_shape, domain, codomain):
  """No bound is below the norm, and the best is not far above it."""
  operator = kernels.operator(shape, spatial_shape, domain, codomain)
  matrix = kernels.matrix(operator)
  expected = induced_oracle.brute_force(matrix, domain, codomain, num_starts=50)
  spectral = np.linalg.norm(matrix, 2)
  bounds = induced_bounds.upper_bounds(operator, spectral)
  assert set(bounds) == {'rows', 'columns', 'riesz_thorin', 'spectral'}
  for name, bound in bounds.items():
    assert float(bound) >= expected * (1.0 - 1e-9), name
  best = induced_bounds.upper_bound(operator, spectral)
  assert float(best) == min(map(float, bounds.values()))
  assert float(best) <= 1.6 * expected
  if induced_bounds.is_closed(domain, codomain) or domain == codomain == 2.0:
    assert float(best) == pytest.approx(expected, rel=1e-3)
  if np.inf not in (domain, codomain):
    learned = induced_bounds.upper_bounds(operator._replace(**{
        name: tf.constant(max(order, 1.0 + 1e-12), tf.float64)
        for name, order in (('domain', domain), ('codomain', codomain))
    }), spectral)
    for name, bound in bounds.items():
      assert float(learned[name]) == pytest.approx(float(bound), rel=1e-6)


@loops.each([1.0, 1.3, 2.0, 3.0, np.inf])
def test_of_the_identity(order):
  """Sharp bounds: every `|I|_p->p` is 1."""
  operator = operators.LayerOperator(
      tf.eye(4, dtype=tf.float64), None, order, order)
  assert float(induced_bounds.upper_bound(operator, 1.0)) == pytest.approx(1.0)


@loops.each([[1.4, 3.0], [2.5, 1.7], [2.2, 2.2]])
def test_derivatives(orders):
  arguments = [kernels.operator((4, 3)).kernel, *(
      tf.constant(order, tf.float64) for order in orders)]

  def fn(kernel, *orders):
    # Above the other bounds.
    return induced_bounds.upper_bound(
        operators.LayerOperator(kernel, None, *orders), 1e3)

  with tf.GradientTape() as tape:
    tape.watch(arguments)
    bound = fn(*arguments)
  rng = np.random.default_rng(3)
  for i, gradient in enumerate(tape.gradient(bound, arguments)):
    direction = rng.normal(size=gradient.shape)
    expected = testing.central_difference(
        lambda value, i=i: fn(*arguments[:i], value, *arguments[i + 1:]),
        arguments[i], direction)
    # The last pair lies where the larger of the orders changes.
    if orders[0] != orders[1] or i == 0:
      assert np.sum(gradient * direction) == pytest.approx(expected, rel=1e-5)
    assert np.all(np.isfinite(gradient))


@loops.each(kernels.SHAPES, [1.0, 1.5, np.inf])
def test_rows_and_columns_are_those_of_the_matrix(shape, spatial_shape, order):
  operator = kernels.operator(shape, spatial_shape)
  matrix = kernels.matrix(operator)
  # Channels come last.
  rows = np.linalg.norm(matrix, order, axis=1).reshape([-1, shape[-1]])
  columns = np.linalg.norm(matrix, order, axis=0).reshape([-1, shape[-2]])
  np.testing.assert_allclose(
      induced_bounds.largest_norms(operator, True, order), rows.max(axis=0))
  np.testing.assert_allclose(
      induced_bounds.largest_norms(operator, False, order),
      columns.max(axis=0))
