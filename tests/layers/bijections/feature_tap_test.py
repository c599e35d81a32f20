"""FeatureTap: the identity that lets features out."""

import numpy as np
import tensorflow as tf

from tests import loops
from tf_resflow import layers


@loops.each([None, [2, 3]])
def test_features(shape):
  x = tf.reshape(tf.range(12.0), [2, 6])
  result = layers.FeatureTap(shape).transform(x)
  np.testing.assert_array_equal(result.value, x)
  np.testing.assert_array_equal(result.log_det, np.zeros(2))
  (feature,) = result.features
  np.testing.assert_array_equal(feature, np.reshape(x, [2, *(shape or [6])]))
