"""Activations that sort: permutations of their inputs, of slope one."""

import tensorflow as tf

from tf_resflow import errors
from tf_resflow.layers import base_layer
from tf_resflow.layers.lipschitz import activations


class _Sorting(activations.OfBoundOne):
  """Sorts channels.

  Where no two are equal the derivative is a permutation, so the Lipschitz
  constant is 1 in every l_p, and gradients keep their norms. The second
  derivative vanishes, as that of `ReLU`.
  """


@base_layer.configured
class MaxMin(_Sorting):
  """`[max(a, b), min(a, b)]` for the halves `a`, `b` of the channels.

  The channels are the last axis. Lipschitz constant 1 in every l_p: the
  derivative is a permutation wherever it exists.

  Args:
    **kwargs: of `keras.layers.Layer`.

  Raises:
    InvalidValueError: if the number of channels is odd.

  Example:
    >>> layers.MaxMin()(tf.constant([[1.0, 2.0, 3.0, 0.0]])).numpy().tolist()
    [[3.0, 2.0, 1.0, 0.0]]

  References:
    Anil, Lucas, Grosse, 2019, Sorting Out Lipschitz Function Approximation,
    Section 4.
  """

  def build(self, input_shape: tuple) -> None:
    errors.check(
        input_shape[-1] % 2 == 0, 'input_shape', tuple(input_shape),
        'an even number of channels', f'{self.name} compares them in pairs.')

  def _function(self, x: tf.Tensor) -> tf.Tensor:
    a, b = tf.split(x, 2, axis=-1)
    return tf.concat([tf.maximum(a, b), tf.minimum(a, b)], axis=-1)


@base_layer.configured
class FullSort(_Sorting):
  """The channels in ascending order; Lipschitz constant 1 in every l_p.

  Args:
    **kwargs: of `keras.layers.Layer`.

  Example:
    >>> layers.FullSort()(tf.constant([[2.0, 3.0, 1.0]])).numpy().tolist()
    [[1.0, 2.0, 3.0]]

  References:
    Anil, Lucas, Grosse, 2019, Sorting Out Lipschitz Function Approximation,
    Section 4.
  """

  _function = staticmethod(tf.sort)  # Along the last axis.
