"""The protocol of invertible layers."""

import keras


class InvertibleLayer(keras.layers.Layer):
  """A layer `f` with a log-determinant and an inverse.

  Events are `[...]` behind one batch axis; `log_det` is `log|det df/dx|`, in
  nats, shape `[B]`. `call` is the forward direction. Subclasses define
  `forward_and_log_det` and `inverse`.

  Example:
    >>> class Double(layers.InvertibleLayer):
    ...   def forward_and_log_det(self, x, seed=None):
    ...     log_det = x.shape[1] * tf.math.log(2.0)
    ...     return 2.0 * x, tf.fill([tf.shape(x)[0]], log_det)
    ...   def inverse(self, y):
    ...     return 0.5 * y
    >>> y, log_det = Double().forward_and_log_det(tf.ones([5, 3]))
    >>> log_det.shape
    TensorShape([5])
  """

  def forward_and_log_det(self, x, seed=None):
    """Returns `f(x)` and `log|det df/dx|`.

    Args:
      x: `[B, ...]`.
      seed: None, a Python int or an int32 tensor `[2]`; ignored by layers that
        draw nothing.

    Returns:
      `y`: `[B, ...]`; `log_det`: `[B]`, nats.
    """
    raise NotImplementedError

  def inverse(self, y):
    """Returns `x` with `f(x) = y`."""
    raise NotImplementedError

  def call(self, inputs):
    return self.forward_and_log_det(inputs)[0]

  def compute_output_shape(self, input_shape):
    return input_shape
