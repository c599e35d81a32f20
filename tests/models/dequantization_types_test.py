"""Types of dequantisation: what they are made of, and refusals."""

import numpy as np
import pytest
import tensorflow as tf

from tests import schemas
from tests import testing
from tf_resflow import models


def test_stored_models_have_uniform_noise():
  stored = models.model_from_json('{"model": "vector", "event_size": 3}')
  assert stored.dequantization == 'uniform'


def test_every_pixel_has_a_condition_of_its_own():
  """What moves the noise of one is the neighbourhood; not its own noise."""
  flow = models.ResidualFlowConfig(
      image_shape=(6, 6, 1), num_levels=17, num_blocks=(1,),
      hidden_channels=4, num_dense_blocks=0,
      dequantization='variational:1,channels=4').build('float64')
  learned = flow.bijection.parts[0]
  for v in learned.trainable_variables:
    v.assign_add(tf.random.stateless_normal(v.shape, [0, 1], dtype=v.dtype))
  x = tf.fill([1, 6, 6, 1], tf.constant(0.4, tf.float64)).numpy()
  before = learned(x).numpy()
  other = x.copy()
  other[0, 0, 0, 0] += 5.0 / 17.0
  moved = np.abs(learned(other).numpy() - before)[0, ..., 0] > 1e-12
  assert moved[0, 1] and moved[2, 1] and not moved[-1, -2]


def test_whole_numbers_of_tables():
  """Training has another bound, which is tight for the right noise.

  Evaluation is that of uniform noise.
  """
  fields = dict(event_size=2, num_blocks=1, hidden_units=(4,),
                schema=schemas.make_schema(types=['integer', 'real']))
  flow = models.VectorFlowConfig(
      **fields, dequantization='variational:2,channels=4').build('float64')
  plain = models.VectorFlowConfig(**fields).build('float64')
  learned = flow.augmentation.noise
  assert learned.columns == (0,)
  x = np.float64([[3.0, 0.2], [0.0, -1.0]] * 2000)
  # At first both are the same.
  np.testing.assert_allclose(
      flow.augment(x, seed=0).y, plain.augment(x, seed=0).y, atol=1e-6)
  exact = plain.log_prob(x[:2], estimator='exact')
  bounds = {}
  for scale in 0.0, 0.3:
    for v in learned.trainable_variables:
      v.assign_add(scale * tf.random.stateless_normal(
          v.shape, [0, 1], dtype=v.dtype))
    np.testing.assert_array_equal(
        flow.log_prob(x[:2], estimator='exact'), exact)
    y, log_weight = flow.augment(x, seed=0)
    np.testing.assert_array_equal(
        flow.augmentation.project(y), x)
    weights = plain.joint_log_prob(y, estimator='exact') + log_weight
    # Importance weights, whose mean is the probability of a cell.
    np.testing.assert_allclose(
        np.log(np.mean(np.exp(weights.numpy().reshape([-1, 2])), axis=0)),
        exact, atol=0.02)
    bounds[scale] = np.mean(weights)
  assert bounds[0.3] < bounds[0.0] < np.mean(exact)


@pytest.mark.parametrize('config_class, values, message', [
    (models.VectorFlowConfig, dict(dequantization='variational'),
     'dequantization=variational has no effect without columns of integers'),
    (models.VectorFlowConfig, dict(
        dequantization='variational', event_size=1,
        schema=schemas.make_schema(types=['real'])),
     'dequantization=variational has no effect without columns of integers'),
    (models.ResidualFlowConfig, dict(dequantization='variational:0'),
     'dequantization=variational:0: expected at least one block and'),
    (models.ResidualFlowConfig, dict(dequantization='learned'),
     'dequantization=learned: expected one of uniform, variational')])
def test_refusals(config_class, values, message):
  testing.check_refusal(config_class, values, message)
