"""Chain computes what tfb.Chain does."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import bijectors as tfb

from tf_resflow import bijectors
from tf_resflow import layers
from tf_resflow import numerics


def _parts():
  def make_block(i):
    g = keras.Sequential([
        keras.Input((4,)), layers.SpectralDense(5, seed=i), layers.LipSwish(),
        layers.SpectralDense(4, seed=i + 10)])
    return bijectors.ResidualBlock(
        g, estimator=numerics.Exact(), name=f'block_{i}')

  return [make_block(1), bijectors.ActNorm([4]), make_block(2),
          tfb.Reshape([4], [2, 2])]


def test_values_and_log_dets_are_those_of_tfb_chain():
  parts = _parts()
  ours, theirs = bijectors.Chain(parts), tfb.Chain(parts)
  x = tf.random.stateless_normal([5, 2, 2], [0, 1])
  theirs.forward(x)  # Initialises ActNorm.
  y = ours.forward(x)
  np.testing.assert_array_equal(y, theirs.forward(tf.identity(x)))
  np.testing.assert_allclose(
      ours.forward_log_det_jacobian(x, 2),
      theirs.forward_log_det_jacobian(tf.identity(x), 2), rtol=1e-6)
  np.testing.assert_allclose(ours.inverse(tf.identity(y)), x, atol=1e-5)
  np.testing.assert_allclose(
      ours.inverse_log_det_jacobian(tf.identity(y), 1),
      -ours.forward_log_det_jacobian(x, 2), atol=1e-5)
  assert ours.forward_event_shape([2, 2]) == [4]


def test_keywords_of_no_part_are_refused():
  chain = bijectors.Chain(_parts()[:2])
  for method in (chain.forward, chain.inverse, functools.partial(
      chain.forward_log_det_jacobian, event_ndims=1)):
    with pytest.raises(ValueError, match=(
        r"keywords=\['seed'\]: expected names of parts of \w+: block_1, ")):
      method(tf.ones([1, 4]), seed=1, block_1={'seed': 2})
