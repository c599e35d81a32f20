"""The contract of bijections: slopes compose, failed solves are not silent."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import loops
from tf_resflow import errors
from tf_resflow import layers
from tf_resflow import models
from tf_resflow import numerics


@loops.each([
    ([None, None], None), ([2.0, None], 2.0), ([None, 1.0], 1.0),
    ([2.0, 2.0], 2.0)])
def test_slopes_of_a_composition(orders, order):
  first = layers.BiLipschitzBounds(0.5, 2.0, orders[0], 'weights')
  second = layers.BiLipschitzBounds(0.25, 3.0, orders[1])
  assert first.then(second) == (0.125, 6.0, order, 'weights')
  asserted = second._replace(bound_source='assertion')
  assert first.then(asserted).bound_source == 'assertion'
  assert asserted.then(first).bound_source == 'assertion'


def test_bounds_in_two_norms_hold_in_none():
  bounds = layers.BiLipschitzBounds(0.5, 2.0, 1.0).then(
      layers.BiLipschitzBounds(0.5, 2.0, 2.0))
  assert math.isnan(bounds.order)
  assert math.isnan(bounds.then(layers.BiLipschitzBounds(1.0, 1.0)).order)


class Solved(layers.Bijection):
  """`y + tanh(y) / 2 = x`: its forward direction is a solve."""

  def forward_pass(self, x, settings):
    solver = settings.solver or numerics.Banach(max_steps=40)
    solution = solver.solve(lambda y: 0.5 * tf.tanh(y), x)
    return layers.PassResult(
        solution.x, -self.log_det(solution.x),
        (layers.Solve(self, self.inverse, x, solution, solver),))

  def inverse_pass(self, y, settings):
    return layers.PassResult(y + 0.5 * tf.tanh(y), self.log_det(y))

  def log_det(self, y):
    return tf.reduce_sum(tf.math.log(1.0 + 0.5 * (1.0 - tf.tanh(y)**2)), axis=1)


def make_nan(x):
  return tf.tensor_scatter_nd_update(x, [[0, 0]], [float('nan')])


def test_settings_are_objects_or_their_specs():
  block = layers.ResidualBlock(keras.Sequential([
      layers.SpectralDense(5), layers.LipSwish(), layers.SpectralDense(3)]))
  x = tf.random.stateless_normal([8, 3], [0, 1])
  exact, banach = numerics.Exact(), numerics.Banach()
  y, log_det = block.forward_and_log_det(x, estimator=exact)
  np.testing.assert_array_equal(
      block.transform(x, estimator='exact').log_det, log_det)
  found = block.inverse_and_log_det(y, estimator='exact', solver='banach')
  for a, b in zip(found, block.inverse_and_log_det(
      y, estimator=exact, solver=banach), strict=True):
    np.testing.assert_array_equal(a, b)
  np.testing.assert_allclose(found[1], -log_det, atol=1e-5)
  np.testing.assert_array_equal(block.inverse(y, solver='banach'), found[0])
  # The block's own, which draws.
  own = [block.forward_and_log_det(x, seed=0, estimator=estimator)[1]
         for estimator in ('training', None)]
  np.testing.assert_array_equal(*own)
  assert not np.array_equal(own[0], log_det)
  for settings in ({'estimator': 'guess'}, {'solver': 'guess'}):
    with pytest.raises(errors.InvalidValueError, match='=guess: expected'):
      block.forward_and_log_det(x, **settings)


def test_a_forward_direction_may_be_a_solve():
  """Chains and models report it, and raise where it fails."""
  chain = layers.SequentialBijection([layers.ActNorm(), Solved(name='solved')])
  x = tf.random.stateless_normal([8, 3], [0, 1])
  y, log_det = chain.forward_and_log_det(x)
  np.testing.assert_allclose(chain.inverse(y), x, atol=1e-5)
  (solve,) = chain.transform(x).solves
  assert solve.bijection is chain.parts[1]
  assert np.all(solve.solution.converged)
  assert log_det.shape == [8]
  # One that fails does not spoil the others.
  result = chain.transform(make_nan(x))
  assert result.solves[0].solution.converged.numpy().tolist() == [
      False, *[True] * 7]
  flow = models.Flow(chain, [3])
  for evaluate in (
      chain.forward_and_log_det, chain, chain.update_statistics,
      flow.log_prob, flow.encode,
      tf.function(flow.encode, autograph=False)):
    with pytest.raises(tf.errors.InvalidArgumentError, match='solved: '):
      evaluate(make_nan(x))


def test_an_inverse_that_does_not_know_the_shape_of_events():
  for bijection in (
      layers.Flatten(name='it'), layers.FactorOut(layers.ActNorm(), name='it'),
      layers.SequentialBijection(
          [layers.ActNorm(), layers.Squeeze()], name='it')):
    with pytest.raises(errors.InvalidValueError, match=(
        r'y=a tensor \(2, 2, 2, 4\) cannot be inverted before a forward pass '
        'of it. Or call')):
      bijection.inverse(tf.zeros([2, 2, 2, 4]))


def test_under_xla_an_example_that_failed_is_nan():
  bijection = Solved()
  x = tf.constant([[0.1, 0.2], [0.3, 0.4]])
  y, log_det = tf.function(
      bijection.forward_and_log_det, jit_compile=True)(make_nan(x))
  for values in (y[:, 0], log_det):
    assert np.isnan(values).tolist() == [True, False]
  block = layers.ResidualBlock(
      keras.Sequential([layers.SpectralDense(2)]),
      solver=numerics.Banach(max_steps=1, atol=1e-9))
  block(x)
  assert np.all(np.isnan(tf.function(block.inverse, jit_compile=True)(x)))
