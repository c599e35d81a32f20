"""A network of another form than a sequence, by its one rule."""

import numpy as np
import tensorflow as tf

from tests import networks
from tf_resflow import layers
from tf_resflow import numerics


class Mean(layers.Container):
  """The mean of two branches."""

  def __init__(self, first, second, **kwargs):
    super().__init__(dtype=first.dtype_policy, **kwargs)
    self.parts = [first, second]

  def build(self, input_shape):
    for part in self.parts:
      part.build(input_shape)

  def combine(self, constants):
    return sum(constants) / 2

  def evaluate(self, weights, x, *context):
    # The first branch may take a condition.
    return (self.parts[0].evaluate(weights[0], x, *context) +
            self.parts[1].evaluate(weights[1], x)) / 2


def test_bounds_estimates_and_certificates_follow_from_one_rule():
  branches = [layers.as_lipschitz_layer(networks.dense_g('float64')),
              layers.SpectralDense(3, coeff=0.5, seed=2, dtype='float64')]
  block = layers.ResidualBlock(Mean(*branches), estimator='exact')
  x = tf.constant(np.random.default_rng(0).normal(size=[4, 3]))
  y, log_det = block.forward_and_log_det(x)
  g = block.g
  assert g.lipschitz_bound == (branches[0].lipschitz_bound + 0.5) / 2
  assert g.num_constrained == len(g.constrained_layers()) == 3
  assert g.known_by == 'construction' and not g.takes_condition
  estimate, certificate = g.norm_estimate(), block.certificate()
  assert 0.0 < estimate <= 1.001 * certificate.bound
  assert certificate.bound <= 1.001 * g.lipschitz_bound
  assert len(certificate.methods) == 3
  expected = x + (branches[0](x) + branches[1](x)) / 2
  np.testing.assert_allclose(y, expected, rtol=1e-9)
  with tf.GradientTape() as tape:
    tape.watch(x)
    value = block(x)
  jacobian = tape.batch_jacobian(value, x)
  np.testing.assert_allclose(
      log_det, np.linalg.slogdet(jacobian)[1], rtol=1e-6)
  frozen = block.frozen()
  np.testing.assert_allclose(
      frozen.inverse(y, solver=numerics.Anderson(atol=1e-12)), x, atol=1e-9)


def test_a_branch_may_take_a_condition_and_be_wide():
  wide = layers.Sequence([
      layers.SpectralDense(50, seed=1), layers.ConditionShift(
          2, kernel_initializer='ones'), layers.LipSwish(),
      layers.SpectralDense(3, seed=5)])
  block = layers.ResidualBlock(Mean(wide, layers.SpectralDense(3, seed=2)))
  x = tf.constant(np.random.default_rng(0).normal(size=[4, 3]), tf.float32)
  conditions = [tf.fill([4, 2], value) for value in (0.0, 1.0)]
  results = [block.forward_and_log_det(x, condition=c)[0] for c in conditions]
  for y, c in zip(results, conditions, strict=True):
    np.testing.assert_allclose(block(x, condition=c), y, atol=1e-5)
    np.testing.assert_allclose(block.inverse(y, condition=c), x, atol=1e-4)
  assert np.abs(results[0] - results[1]).max() > 1e-2
  assert block.g.largest_event((None, 3)) == 50
