"""What conditions `c` of `p(x|c)` are, and where they enter a network."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tf_resflow import errors
from tf_resflow.layers import base_layer
from tf_resflow.layers.lipschitz import lipschitz_layer


class ConditionSpec(NamedTuple):
  """What the condition of one example is: numbers, or a label.

  Whether a condition is legal is decided here alone; what reads one, from a
  file or a request, asks `convert`.

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

  def tensor_spec(self, dtype: tf.DType) -> tf.TensorSpec:
    """Returns what `convert` returns, for a signature."""
    return tf.TensorSpec(
        [None, *self.shape], tf.int32 if self.num_labels else dtype,
        'condition')

  def convert(self, condition: Any, dtype: str = 'float32',
              is_encoded: bool = False) -> tf.Tensor:
    """Returns a condition as a tensor `[B, ...]`, or `[1, ...]` for all.

    Args:
      condition: what was given, a tensor, an array or a list; that of a single
        example, `[...]`, is that of all.
      dtype: of numbers; labels are int32.
      is_encoded: whether a network made its numbers; those of one with weights
        that diverged may be infinite or NaN.

    Raises:
      InvalidValueError: if there is none, or it is no such condition. Labels
        that do not exist and numbers that are not finite are found in a graph
        by `tf.errors.InvalidArgumentError`; under XLA, which drops assertions,
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
        f'a tensor {condition.dtype.name} {shape}')
    if self.num_labels:
      # The range first: int32 does not hold all labels that may be given.
      labels = tf.cast(condition, tf.int64)
      condition = tf.cast(self._legal(
          labels, (labels >= 0) & (labels < self.num_labels)), tf.int32)
    else:
      condition = tf.cast(condition, dtype)
      if not is_encoded:
        condition = self._legal(condition, tf.math.is_finite(condition))
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
      self._check(False, repr(condition))

  def _legal(self, condition, is_legal):
    """Returns a tensor; entries that are not legal are an error."""
    if tf.executing_eagerly():
      wrong = np.asarray(condition)[~np.asarray(is_legal)]
      self._check(not wrong.size, 'numbers that are not finite'
                  if not self.num_labels else wrong[0] if wrong.size else '')
      return condition
    with tf.control_dependencies([tf.debugging.Assert(
        tf.reduce_all(is_legal),
        [f'condition: expected {self.expected}, not', condition])]):
      return tf.identity(condition)

  def _check(self, condition, value, advice=''):
    errors.check(condition, 'condition', value, self.expected, advice)


def common_spec(parts: Iterable[Any]) -> ConditionSpec | None:
  """Returns what the condition is that all parts with one take; or None.

  Args:
    parts: bijections, or the conditional layers of a network.

  Raises:
    InvalidValueError: if they take different ones.
  """
  parts = [part for part in parts if part.takes_condition]
  # Names are for messages alone.
  kinds = {part.condition_spec._replace(names=()): part for part in parts}
  errors.check(
      len(kinds) < 2, 'condition', ' and '.join(
          f'{part.condition_spec.expected} ({part.name})'
          for part in kinds.values()),
      'one for all parts of a chain or network', 'layers.Conditional gives a '
      'bijection a network of its own, from the condition of the whole.')
  return parts[0].condition_spec if parts else None


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
        self.condition_spec.convert(
            condition, self.compute_dtype, is_encoded=True),
        tf.convert_to_tensor(self.kernel.value))


class ConditionalLayer(ConditionMatrix, lipschitz_layer.LipschitzLayer):
  """A map `[B, ..., C] -> [B, ..., C]` that a condition chooses.

  Its bound, that in the input, holds for every condition. The condition passes
  the matrix once per pass: what a series or a solver evaluates again and again
  sees the result, its `context`. The arguments are those of `ConditionMatrix`.
  """

  domain = codomain = None
  lipschitz_bound = 1.0
  takes_condition = True

  def build(self, input_shape: tuple) -> None:
    self.add_matrix(input_shape[-1])
    # The shape of one number per channel.
    self._context_shape = (*[1] * (len(input_shape) - 2), input_shape[-1])

  def tensors(self) -> tuple[base_layer.Tensors, base_layer.Tensors]:
    return [], []  # `context` has seen the matrix.

  def conditional_layers(self) -> list[lipschitz_layer.LipschitzLayer]:
    return [self]

  def per_channel(self, condition: Any) -> tf.Tensor:
    """Returns `W c`, `[B, 1, ..., C]`."""
    return tf.reshape(self.project(condition), [-1, *self._context_shape])

  def call(self, inputs: tf.Tensor, condition: Any = None) -> tf.Tensor:
    return self.evaluate(self.present_weights(), inputs, *(
        base_layer.as_batch(t, inputs) for t in self.context(condition)))

  def structure(self) -> tuple:
    # What chooses is no part of the function that is evaluated.
    return type(self), self.dtype_policy.name, self._context_shape


@base_layer.configured
class ConditionShift(ConditionalLayer):
  """`x + W c`, per channel (the last axis): an isometry in every l_p.

  Behind the first linear layer of `g` it makes `g(x, c)` a contraction in `x`
  for every `c`, with the bound of the linear layers alone. The arguments are
  those of `ConditionMatrix`.

  Example:
    >>> g = keras.Sequential([
    ...     layers.SpectralDense(32, coeff=0.9), layers.ConditionShift(4),
    ...     layers.LipSwish(), layers.SpectralDense(2, coeff=0.9)])
    >>> block = layers.ResidualBlock(g)
    >>> y, _ = block.forward_and_log_det(
    ...     tf.ones([5, 2]), condition=tf.random.normal([5, 4]))
    >>> round(block.lipschitz_bound, 2)
    0.81
  """

  is_translation = True

  def context(self, condition: Any) -> tuple[tf.Tensor, ...]:
    return (self.per_channel(condition),)

  def effective_weights(
      self, variables: base_layer.Tensors, norms: base_layer.Tensors,
      input_scale: float | tf.Tensor = 1.0,
      output_scale: float | tf.Tensor = 1.0) -> base_layer.Tensors:
    # Of x -> output_scale (x + W c), where whatever comes before multiplies x
    # already, what the shift is multiplied by.
    return [tf.convert_to_tensor(output_scale, self.compute_dtype)]

  def evaluate(self, weights: base_layer.Tensors, x: tf.Tensor,
               shift: tf.Tensor) -> tf.Tensor:
    return x + weights[0] * shift


@base_layer.configured
class ConditionGate(ConditionalLayer):
  """`x phi(c)`, `phi = sigmoid(W c + 2)` in (0, 1), per channel.

  A contraction in every l_p for every `c`. At the end of `g` it makes
  `phi(c) g(x)`: the condition says how much a block does. The arguments are
  those of `ConditionMatrix`.

  Example:
    >>> gate = layers.ConditionGate(4)
    >>> y = gate(tf.ones([5, 2]), condition=tf.random.normal([5, 4]))
    >>> bool(tf.reduce_all((y > 0.0) & (y < 1.0)))
    True
  """

  def context(self, condition: Any) -> tuple[tf.Tensor, ...]:
    # Gates begin nearly open.
    return (tf.sigmoid(self.per_channel(condition) + 2.0),)

  def evaluate(self, weights: base_layer.Tensors, x: tf.Tensor,
               gate: tf.Tensor) -> tf.Tensor:
    return x * gate
