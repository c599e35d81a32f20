"""Features of a classifier, on the way to the latents."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tf_resflow.layers import base_layer
from tf_resflow.layers.bijections import bijection


@base_layer.configured
class FeatureTap(bijection.SolvingBijection):
  """The identity, which lets its input out as a feature.

  So the features of a classifier come from the pass that computes the density.

  Args:
    shape: of an event in which the feature appears; that of the input by
      default.
    **kwargs: of `keras.layers.Layer`.

  Example:
    >>> layers.FeatureTap().transform(tf.zeros([5, 2])).features[0].shape
    TensorShape([5, 2])
  """

  slopes = bijection.SlopeBounds(1.0, 1.0)

  def __init__(self, shape: Sequence[int] | None = None, **kwargs):
    super().__init__(**kwargs)
    self.shape = None if shape is None else tuple(shape)

  def transform(self, x: tf.Tensor, **unused: Any) -> bijection.Transformed:
    feature = x if self.shape is None else tf.reshape(
        x, [tf.shape(x)[0], *self.shape])
    return bijection.Transformed(
        x, bijection.zero_log_det(x), features=(feature,))

  def solve_inverse(self, y: tf.Tensor, **unused: Any) -> bijection.Inverted:
    return bijection.Inverted(y)
