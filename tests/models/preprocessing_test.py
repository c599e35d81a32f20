"""Preprocessing, by name."""

import numpy as np
import tensorflow as tf

from tf_resflow import models
from tf_resflow.configuration import registries

_X = tf.constant([[[[0.2], [0.7]]]])


def make(name, **fields):
  config = models.ResidualFlowConfig(
      image_shape=(1, 2, 1), num_blocks=(1,), **fields)
  return registries.PREPROCESSORS.get(name)(config, 'float32')


def test_values():
  np.testing.assert_allclose(
      make('standardize', mean=(0.5,), std=(0.25,))(_X), (_X - 0.5) / 0.25)
  s = 0.1 + 0.8 * _X
  np.testing.assert_allclose(
      make('logit', logit_alpha=0.1)(_X), np.log(s / (1.0 - s)), rtol=1e-5)
  np.testing.assert_array_equal(make('none')(_X), _X)
