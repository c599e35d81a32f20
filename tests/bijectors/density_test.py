"""The density of events against the change of variables, by hand."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import bijectors as tfb

from tf_resflow import bijectors


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_of_a_scale(dtype):
  distribution = bijectors.distribution(
      tfb.Scale(tf.constant(2.0, dtype)), 3, dtype)
  assert distribution.dtype == dtype and distribution.event_shape == [3]
  x = np.array([[0.5, -1.0, 0.25], [0.0, 0.0, 0.0]])
  expected = (-0.5 * np.sum((2.0 * x)**2, axis=1)
              - 1.5 * np.log(2.0 * np.pi) + 3.0 * np.log(2.0))
  np.testing.assert_allclose(
      distribution.log_prob(tf.constant(x, dtype)), expected, rtol=1e-6)
  samples = distribution.sample(20_000, seed=0)
  np.testing.assert_allclose(np.std(samples, axis=0), 0.5, rtol=0.03)
