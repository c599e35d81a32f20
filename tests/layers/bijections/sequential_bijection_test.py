"""Compositions of bijections: order, seeds, properties of the parts."""

import numpy as np
import tensorflow as tf

from tests import cases
from tests import networks
from tf_resflow import layers
from tf_resflow import numerics


def inputs(size=4):
  return tf.random.stateless_normal([size, 3], [0, 1])


def test_the_first_part_is_applied_first():
  chain = layers.SequentialBijection([
      layers.Standardize([1.0] * 3, [2.0] * 3), layers.Flatten(),
      layers.Standardize([5.0] * 3, [0.5] * 3)])
  y, log_det = chain.forward_and_log_det(inputs())
  np.testing.assert_allclose(y, ((inputs() - 1.0) / 2.0 - 5.0) / 0.5, rtol=1e-5)
  np.testing.assert_allclose(log_det, np.zeros(4), atol=1e-6)
  np.testing.assert_allclose(chain.inverse(y), inputs(), atol=1e-5)
  assert chain.bi_lipschitz_bounds() == (1.0, 1.0, None, 'construction')


def test_every_part_that_draws_has_a_seed_of_its_own():
  """Numbered by order among those, whatever stands between them."""
  blocks = [layers.ResidualBlock(networks.dense_g('float32'))
            for _ in range(2)]
  chain = layers.SequentialBijection(
      [layers.Flatten(), blocks[0], layers.ActNorm(), blocks[1]])
  chain(inputs())
  log_det = chain.forward_and_log_det(inputs(), seed=7)[1]
  x, expected = inputs(), 0.0
  for number, part in enumerate((blocks[0], chain.parts[2], blocks[1])):
    seed = numerics.random.fold_in(7, number // 2)
    x, term = part.forward_and_log_det(x, seed=seed)
    expected += term
  np.testing.assert_allclose(log_det, expected, rtol=1e-6)


def test_what_is_said_of_the_parts():
  chain = cases.BIJECTIONS['chain'].make()
  assert chain.is_random and not chain.takes_condition
  assert [type(b).__name__ for b in chain.leaves()] == [
      'Squeeze', 'ActNorm', 'FeatureTap', 'Flatten', 'ResidualBlock', 'ActNorm']
  assert len(chain.constrained_layers()) == 2
  assert not chain.is_initialized
  x = cases.BIJECTIONS['chain'].inputs()
  features = chain.transform(x).features
  # What leaves at the split, then what the tap lets out.
  assert [f.shape for f in features] == [[4, 2, 2, 2]] * 2
  assert chain.is_initialized


def test_the_empty_chain_is_the_identity():
  chain = layers.SequentialBijection([])
  y, log_det = chain.forward_and_log_det(inputs())
  np.testing.assert_array_equal(y, inputs())
  np.testing.assert_array_equal(log_det, np.zeros(4))
  np.testing.assert_array_equal(chain.inverse(y), inputs())
