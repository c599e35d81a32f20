"""The nonlinear power method, against brute force."""

import numpy as np
import pytest
import tensorflow as tf

from tests import loops
from tests import testing
from tests.numerics.norms import induced_oracle
from tests.numerics.norms import kernels
from tf_resflow.numerics.norms import induced_power
from tf_resflow.numerics.norms import operators

_SHAPES = [((5, 6), None), ((3, 3, 2, 2), (3, 2))]


def _starts(operator, num_starts=8, positive=False):
  x = np.random.default_rng(1).normal(size=[num_starts, operator.num_inputs])
  return tf.constant(np.abs(x) if positive else x)


def _in_turn(pairs):
  """Pairs for a dense layer and a convolution in turn."""
  return [(*_SHAPES[i % 2], *pair) for i, pair in enumerate(pairs)]


@loops.each(_in_turn(induced_oracle.PAIRS))
def test_never_above_the_norm(shape, spatial_shape, domain, codomain):
  """Equal to it where it is known; every step increases it."""
  operator = kernels.operator(shape, spatial_shape, domain, codomain)
  expected = induced_oracle.brute_force(
      kernels.matrix(operator), domain, codomain, num_starts=100)
  starts = _starts(operator)
  norms = [float(induced_power.power_method(
      operator, starts, tolerance=0.0, max_steps=steps).norm)
           for steps in (0, 1, 2, 5, 100)]
  assert np.all(np.diff(norms) >= -1e-12 * norms[-1])
  assert norms[-1] <= expected * (1.0 + 1e-9)
  if domain == 1.0 or codomain == np.inf or domain == codomain == 2.0:
    assert norms[-1] == pytest.approx(expected, rel=1e-6)


@loops.each(_in_turn([(p, q) for p, q in induced_oracle.PAIRS if p >= q]))
def test_the_maximum_of_nonnegative_kernels(
    shape, spatial_shape, domain, codomain):
  operator = kernels.operator(shape, spatial_shape, domain, codomain)
  operator = operator._replace(kernel=tf.abs(operator.kernel))
  result = induced_power.power_method(
      operator, _starts(operator, 1, positive=True), tolerance=1e-10,
      max_steps=2000)
  assert float(result.norm) == pytest.approx(induced_oracle.brute_force(
      kernels.matrix(operator), domain, codomain, num_starts=100), rel=1e-6)


@loops.each(induced_oracle.PAIRS)
def test_the_oracle_finds_the_maximum_in_the_plane(domain, codomain):
  matrix = np.random.default_rng(0).normal(size=[4, 2])
  assert induced_oracle.brute_force(
      matrix, domain, codomain, num_starts=100) == pytest.approx(
          induced_oracle.on_a_circle(matrix, domain, codomain), rel=1e-6)


@loops.each([(1.5, 3.0), (4.0, 2.0)])
def test_results(domain, codomain):
  operator = kernels.operator((5, 6), None, domain, codomain)
  result = induced_power.power_method(
      operator, _starts(operator), tolerance=1e-8, max_steps=1000)
  assert abs(result.residual) <= 1e-8
  np.testing.assert_allclose(
      np.linalg.norm(result.rows, domain, axis=1), np.ones(8))
  images = np.linalg.norm(result.rows @ operator.kernel, codomain, axis=1)
  assert np.all(np.diff(images) <= 0)
  assert images[0] == pytest.approx(float(result.norm))
  warm = induced_power.power_method(operator, result.rows, tolerance=1e-8)
  assert warm.num_steps == 0 and warm.residual <= 1e-8
  more = induced_power.power_method(
      operator, result.rows, tolerance=1e-8, min_steps=3)
  assert more.num_steps == 3
  few = induced_power.power_method(
      operator, _starts(operator), tolerance=0.0, max_steps=1)
  assert few.num_steps == 1 and few.residual > 1e-8


def test_of_a_kernel_of_zeros():
  operator = operators.LayerOperator(
      tf.zeros([3, 4], tf.float64), None, 1.5, 3.0)
  result = induced_power.power_method(
      operator, _starts(operator), min_steps=2)
  assert result.norm == 0.0 and result.residual == 0.0
  # Starts stay where they are, on the sphere.
  np.testing.assert_allclose(
      np.linalg.norm(result.rows, 1.5, axis=1), np.ones(8))


@loops.each([
    (*kernels.SHAPES[0], tf.float32, True),
    (*kernels.SHAPES[1], tf.float64, False),
    (*kernels.SHAPES[3], tf.float64, True),
    (*kernels.SHAPES[-1], tf.float32, False)])
def test_learned_orders_and_shapes(shape, spatial_shape, dtype, jit_compile):
  """Orders are tensors of a graph, which may be compiled."""
  operator = kernels.operator(shape, spatial_shape, 1.7, 2.6)

  def run(kernel, starts, *orders):
    return induced_power.power_method(operators.LayerOperator(
        kernel, spatial_shape, *orders), starts, tolerance=1e-4)

  arguments = [tf.cast(t, dtype) for t in (
      operator.kernel, _starts(operator), 1.7, 2.6)]
  expected = induced_power.power_method(
      operator, _starts(operator), tolerance=1e-4)
  found = tf.function(run, jit_compile=jit_compile)(*arguments)
  assert found.residual <= 1e-4 and found.rows.dtype == dtype
  assert float(found.norm) == pytest.approx(float(expected.norm), rel=1e-3)


@loops.each([(1.5, 3.0), (2.5, 1.7)])
def test_derivatives_are_those_of_the_norm(domain, codomain):
  """The norm is converged anew on either side."""
  arguments = [kernels.operator((4, 3)).kernel, *(
      tf.constant(order, tf.float64) for order in (domain, codomain))]

  def follow(kernel, *orders):
    operator = operators.LayerOperator(kernel, None, *orders)
    return induced_power.power_method(
        operator, _starts(operator, 20), tolerance=0.0, max_steps=3000)

  result = follow(*arguments)
  with tf.GradientTape() as tape:
    tape.watch(arguments)
    norm = induced_power.induced_norm(
        operators.LayerOperator(arguments[0], None, *arguments[1:]),
        result.rows)
  assert float(norm) == pytest.approx(float(result.norm), rel=1e-12)
  rng = np.random.default_rng(2)
  for i, gradient in enumerate(tape.gradient(norm, arguments)):
    direction = rng.normal(size=gradient.shape)
    expected = testing.central_difference(
        lambda value, i=i: follow(
            *arguments[:i], value, *arguments[i + 1:]).norm,
        arguments[i], direction, 1e-4)
    assert np.sum(gradient * direction) == pytest.approx(expected, rel=1e-5)
