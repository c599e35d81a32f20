"""What a condition of one example is, checks of it, and how it enters."""

from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tf_resflow import errors
from tf_resflow.layers import base_layer


class ConditionSpec(NamedTuple):
  """What the condition of one example is: numbers, or a label.

  Attributes:
    shape: of that of one example; `()` for a label.
    num_labels: number of labels, integers from 0; 0 for numbers.
    names: of the numbers of a vector, where they have some.

  Example:
    >>> spec = layers.ConditionSpec(shape=(), num_labels=10)
    >>> spec.convert([3, 1]).shape
    TensorShape([2])
    >>> spec.convert([3, 12])
    Traceback (most recent call last):
    tf_resflow.errors.InvalidValueError: condition=12: expected labels [B], ...
  """

  shape: tuple[int, ...]
  num_labels: int = 0
  names: tuple[str, ...] = ()

  @property
  def expected(self) -> str:
    """What messages ask for."""
    if self.num_labels:
      return f'labels [B], whole numbers from 0 to {self.num_labels - 1}'
    names = f', {", ".join(self.names)}' if self.names else ''
    return f'numbers [{", ".join(map(str, ("B", *self.shape)))}]{names}'

  def convert(self, condition: Any, dtype: str = 'float32') -> tf.Tensor:
    """Returns what a user gave as a tensor; see `as_tensor`.

    Raises:
      InvalidValueError: as `as_tensor`; outside of graphs also for numbers that
        are not finite.
    """
    condition = self.as_tensor(condition, dtype)
    if condition.dtype.is_floating and tf.executing_eagerly():
      self._check(
          bool(tf.reduce_all(tf.math.is_finite(condition))),
          'numbers that are not finite', '')
    return condition

  def as_tensor(self, condition: Any, dtype: str = 'float32') -> tf.Tensor:
    """Returns a condition as a tensor `[B, ...]`, or `[1, ...]` for all.

    Args:
      condition: what was given, a tensor, an array or a list; that of a single
        example, `[...]`, is that of all.
      dtype: of numbers; labels are int32.

    Raises:
      InvalidValueError: if there is none, or it is no such condition. Labels
        that do not exist are found in a graph by
        `tf.errors.InvalidArgumentError`; under XLA, which drops assertions,
        they make NaN.
    """
    self._check(condition is not None, None, 'Give it as condition=.')
    condition = self.of_any_shape(condition, dtype)
    # Python's whole numbers are numbers.
    is_right = condition.dtype.is_integer or (
        condition.dtype.is_floating and not self.num_labels)
    shape = condition.shape
    self._check(
        is_right and shape.rank in (len(self.shape), len(self.shape) + 1)
        and shape[shape.rank - len(self.shape):].is_compatible_with(self.shape),
        f'a tensor {condition.dtype.name} {shape}', '')
    # The range first: int32 does not hold all labels that may be given.
    condition = tf.cast(
        self._existing(tf.cast(condition, tf.int64)), tf.int32
    ) if self.num_labels else tf.cast(condition, dtype)
    return condition[tf.newaxis] if shape.rank == len(self.shape) else condition

  def of_any_shape(self, condition: Any, dtype: str) -> tf.Tensor:
    """Returns a condition as a tensor, which has any dtype and shape yet.

    Raises:
      InvalidValueError: if it is none.
    """
    try:
      return tf.convert_to_tensor(
          condition, dtype_hint=None if self.num_labels else dtype)
    except (TypeError, ValueError):
      self._check(False, repr(condition), '')

  def _existing(self, labels):
    """Returns labels; those that do not exist are an error."""
    is_known = (labels >= 0) & (labels < self.num_labels)
    if tf.executing_eagerly():
      foreign = np.asarray(labels)[~np.asarray(is_known)]
      self._check(not foreign.size, foreign[0] if foreign.size else '', '')
      return labels
    with tf.control_dependencies([tf.debugging.Assert(
        tf.reduce_all(is_known),
        [f'condition: expected {self.expected}, not', labels])]):
      return tf.identity(labels)

  def _check(self, condition, value, advice):
    errors.check(condition, 'condition', value, self.expected, advice)


def check_batch(condition: tf.Tensor, x: tf.Tensor) -> None:
  """Raises `InvalidValueError` unless a condition goes with the batch of `x`.

  Args:
    condition: `[B, ...]`, or `[1, ...]` for all examples.
    x: `[B, ...]`.
  """
  given, size = condition.shape[0], x.shape[0]
  errors.check(
      given in (1, size) or None in (given, size), 'condition',
      f'a batch of {given}', f'one of {size}, as the inputs, or of 1 for all')


def as_batch(tensor: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
  """Returns a tensor `[B, ...]` or `[1, ...]` as one with the batch of `x`.

  Raises:
    InvalidValueError: if its batch has another size.
  """
  check_batch(tensor, x)
  return tf.broadcast_to(tensor, tf.concat(
      [tf.shape(x)[:1], tensor.shape[1:]], axis=0))


class ConditionMatrix(base_layer.BaseLayer):
  """A layer that takes conditions `[B, K]`, which a matrix `W` multiplies.

  A mixin. What is done with `W c` is up to the layer.

  Args:
    condition_size: `K`, numbers of a condition.
    kernel_initializer: Keras initializer of `W`; zeros, the default, make no
      difference at first.
    **kwargs: of `keras.layers.Layer`.

  Raises:
    InvalidValueError: if there are no numbers.
  """

  def __init__(
      self, condition_size: int, kernel_initializer: Any = 'zeros', **kwargs):
    super().__init__(**kwargs)
    errors.check(
        isinstance(condition_size, (int, np.integer)) and condition_size > 0,
        'condition_size', condition_size, 'a number from 1')
    self.condition_size = int(condition_size)
    self.condition_spec = ConditionSpec((self.condition_size,))
    self.kernel_initializer = keras.initializers.get(kernel_initializer)

  def add_matrix(self, size: int) -> None:
    """Adds `W`, `[K, size]`."""
    self.kernel = self.add_weight(
        name='condition_kernel', shape=(self.condition_size, size),
        initializer=self.kernel_initializer)

  def project(self, condition: Any) -> tf.Tensor:
    """Returns `W c`, `[B, size]`, or `[1, size]` for all examples.

    Raises:
      InvalidValueError: if it is no such condition, see `ConditionSpec`.
    """
    return tf.linalg.matmul(
        self.condition_spec.as_tensor(condition, self.compute_dtype),
        tf.convert_to_tensor(self.kernel.value))
