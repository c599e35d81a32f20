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

  def evaluate(self, weights, x):
    return sum(
        part.evaluate(w, x) for part, w in zip(
            self.parts, weights, strict=True)) / 2


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
