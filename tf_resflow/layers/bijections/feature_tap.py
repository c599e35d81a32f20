"""Features of a classifier, on the way to the latents."""

from collections.abc import Sequence

import tensorflow as tf

from tf_resflow.layers import base_layer
from tf_resflow.layers.bijections import bijection


@base_layer.configured
class FeatureTap(bijection.Bijection):
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

  def forward_pass(self, x: tf.Tensor, settings: bijection.PassSettings
                   ) -> bijection.PassResult:
    feature = x if self.shape is None else tf.reshape(
        x, [tf.shape(x)[0], *self.shape])
    return bijection.PassResult(
        x, bijection.zero_log_det(x), features=(feature,))

  def inverse_pass(self, y: tf.Tensor, settings: bijection.PassSettings
                   ) -> bijection.PassResult:
    return bijection.PassResult(y, bijection.zero_log_det(y))
