"""What follows for a bijection from its parts."""

import numpy as np
import tensorflow as tf

from tests import networks
from tf_resflow import layers


class Backwards(layers.Composite):
  """A bijection of the reversed numbers of vectors."""

  def __init__(self, inner):
    super().__init__(dtype=inner.compute_dtype)
    self.inner = inner

  @property
  def parts(self):
    return [self.inner]

  def with_parts(self, parts):
    return Backwards(*parts)

  def build(self, input_shape):
    self.inner.build(input_shape)

  def forward_pass(self, x, settings):
    return self.inner.forward_pass(x[:, ::-1], settings)

  def inverse_pass(self, y, settings):
    result = self.inner.inverse_pass(y, settings)
    return result._replace(value=result.value[:, ::-1])


def test_what_follows_from_parts():
  blocks = [layers.ResidualBlock(networks.dense_g('float64')) for _ in range(2)]
  backwards = Backwards(layers.Chain([
      blocks[0], layers.ActNorm(dtype='float64'), blocks[1]]))
  x = tf.random.stateless_normal([4, 3], [0, 0], dtype=tf.float64)
  assert not backwards.built
  y, log_det = backwards.forward_and_log_det(x, seed=1)
  assert backwards.is_random and not backwards.has_moving_statistics
  assert backwards.condition_spec is None and backwards.is_initialized
  assert backwards.elementary() == backwards.inner.parts
  assert len(backwards.constrained_layers()) == 2 * len(
      blocks[0].constrained_layers())
  assert backwards.estimators() == [block.estimator for block in blocks]
  assert blocks[0].function is blocks[1].function
  x_again, inverse_log_det = backwards.inverse_and_log_det(y, seed=1)
  np.testing.assert_allclose(x_again, x, atol=1e-4)
  np.testing.assert_allclose(inverse_log_det, -log_det, atol=1e-4)
  # Frozen, it keeps what its parts were.
  frozen = backwards.frozen()
  blocks[0].g.trainable_variables[0].assign_add([[1.0]])
  np.testing.assert_allclose(
      frozen.forward_and_log_det(x, seed=1)[1], log_det, rtol=1e-9)
  assert np.abs(backwards(x) - y).max() > 1e-3
