"""Conditions `c` of `p(x|c)`, and the layers by which they enter a network."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tf_resflow import errors
from tf_resflow.layers import base_layer
from tf_resflow.layers.base_layer import Tensors
from tf_resflow.layers.lipschitz import lipschitz_layer


class ConditionSpec(NamedTuple):
  """The specification of the condition of one example: numbers, or a label.

  All conditions are validated by `convert`, also those of a file or a request.

  Attributes:
    shape: shape of the condition of one example; `()` for a label.
    num_labels: number of labels, integers from 0; 0 for numbers.

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

  @property
  def expected(self) -> str:
    """The expected values, as messages describe them."""
    if self.num_labels:
      return f'labels [B], integers from 0 to {self.num_labels - 1}'
    return f'numbers [{", ".join(map(str, ("B", *self.shape)))}]'

  def tensor_spec(self, dtype: tf.DType) -> tf.TensorSpec:
    """Returns the `tf.TensorSpec` of converted conditions, for signatures."""
    return tf.TensorSpec(
        [None, *self.shape], tf.int32 if self.num_labels else dtype,
        'condition')

  def convert(self, condition: Any, dtype: str = 'float32',
              is_encoded: bool = False) -> tf.Tensor:
    """Converts a condition to a tensor `[B, ...]`, or `[1, ...]` for all.

    Args:
      condition: a tensor, an array or a list; without a batch axis, `[...]`, it
        is the condition of all examples.
      dtype: dtype of numbers; labels are int32.
      is_encoded: whether it is the output of a network, which may be infinite
        or NaN if weights have diverged.

    Raises:
      InvalidValueError: if the condition is missing or does not match. Labels
        that do not exist and numbers that are not finite raise
        `tf.errors.InvalidArgumentError` in a graph; under XLA, which drops
        assertions, results are NaN.
    """
    self._check(condition is not None, None, 'Give it as condition=.')
    condition = self.of_any_shape(condition, dtype)
    # Integers are numbers, too.
    is_right = condition.dtype.is_integer or (
        condition.dtype.is_floating and not self.num_labels)
    shape = condition.shape
    self._check(
        is_right and shape.rank in (len(self.shape), len(self.shape) + 1)
        and shape[shape.rank - len(self.shape):].is_compatible_with(self.shape),
        f'a tensor {condition.dtype.name} {shape}')
    if self.num_labels:
      # Checked before the cast: int32 does not hold all given integers.
      labels = tf.cast(condition, tf.int64)
      condition = tf.cast(self._legal(
          labels, (labels >= 0) & (labels < self.num_labels)), tf.int32)
    else:
      condition = tf.cast(condition, dtype)
      if not is_encoded:
        condition = self._legal(condition, tf.math.is_finite(condition))
    return condition[tf.newaxis] if shape.rank == len(self.shape) else condition

  def of_any_shape(self, condition: Any, dtype: str) -> tf.Tensor:
    """Converts a condition to a tensor of any dtype and shape."""
    try:
      return tf.convert_to_tensor(
          condition, dtype_hint=None if self.num_labels else dtype)
    except (TypeError, ValueError):
      self._check(False, repr(condition))

  def _legal(self, condition, is_legal):
    """Returns a tensor behind a check of its entries."""
    if tf.executing_eagerly():
      wrong = np.asarray(condition)[~np.asarray(is_legal)]
      if wrong.size:
        self._check(False, wrong[0] if self.num_labels else
                    'numbers that are not finite')
      return condition
    with tf.control_dependencies([tf.debugging.Assert(
        tf.reduce_all(is_legal),
        [f'condition: expected {self.expected}, not', condition])]):
      return tf.identity(condition)

  def _check(self, condition, value, advice=''):
    errors.check(condition, 'condition', value, self.expected, advice)


def common_spec(parts: Iterable[Any]) -> ConditionSpec | None:
  """Returns the common `ConditionSpec` of all parts that have one, or None.

  Args:
    parts: bijections, or the conditional layers of a network.
  """
  parts = [part for part in parts if part.takes_condition]
  specs = {part.condition_spec: part for part in parts}
  errors.check(
      len(specs) < 2, 'condition', ' and '.join(
          f'{part.condition_spec.expected} ({part.name})'
          for part in specs.values()),
      'the same for all parts of a bijection or network', 'Wrap a part in '
      'layers.Conditional to encode the common condition for it.')
  return parts[0].condition_spec if parts else None


class ConditionMatrix(base_layer.BaseLayer):
  """Mixin of layers that compute with `W c` of conditions `c`, `[B, K]`.

  Args:
    condition_size: `K`, size of a condition.
    kernel_initializer: Keras initializer of `W`; with zeros, the default,
      conditions have no effect at first.
  """

  def __init__(
      self, condition_size: int,
      kernel_initializer: str | keras.Initializer = 'zeros', **kwargs):
    super().__init__(**kwargs)
    errors.check(
        condition_size > 0, 'condition_size', condition_size, 'a number >= 1')
    self.condition_size = int(condition_size)
    self.condition_spec: Any = ConditionSpec((self.condition_size,))
    self.kernel_initializer = keras.initializers.get(kernel_initializer)

  def add_matrix(self, size: int) -> None:
    """Adds `W`, `[K, size]`."""
    self.kernel = self.add_weight(
        name='condition_kernel', shape=(self.condition_size, size),
        initializer=self.kernel_initializer)

  def project(self, condition: Any) -> tf.Tensor:
    """Returns `W c`, `[B, size]`, or `[1, size]` for all examples."""
    return tf.linalg.matmul(
        self.condition_spec.convert(
            condition, self.compute_dtype, is_encoded=True),
        tf.convert_to_tensor(self.kernel.value))


class ConditionalLayer(ConditionMatrix, lipschitz_layer.LipschitzLayer):
  """A map `[B, ..., C] -> [B, ..., C]` that depends on a condition.

  The condition is multiplied by the matrix once per pass; series and solvers
  evaluate the layer with the result, its `context`.

  Args:
    condition_size, kernel_initializer: see `ConditionMatrix`.
    positions: `(H, W)` of conditions `[B, H, W, K]`, one for each position of
      an event `[H, W, C]`; by default one for all.
  """

  domain = codomain = None
  lipschitz_bound = 1.0

  def __init__(
      self, condition_size: int,
      kernel_initializer: str | keras.Initializer = 'zeros',
      positions: Sequence[int] = (), **kwargs):
    super().__init__(condition_size, kernel_initializer, **kwargs)
    self.positions = tuple(positions)
    self.condition_spec = ConditionSpec((*self.positions, self.condition_size))

  def build(self, input_shape: tuple) -> None:
    *positions, size = input_shape[1:]
    errors.check(
        list(self.positions) in ([], positions), 'positions', self.positions,
        f'those of events, {tuple(positions)}')
    self.add_matrix(size)
    # The shape of one number per channel.
    self._context_shape = (*(self.positions or [1] * len(positions)), size)

  def tensors(self) -> tuple[Tensors, Tensors]:
    return [], []  # `context` has seen the matrix.

  def conditional_layers(self) -> list[lipschitz_layer.LipschitzLayer]:
    return [self]

  def per_channel(self, condition: Any) -> tf.Tensor:
    """Returns `W c`, `[B, 1, ..., C]`, or at all positions."""
    return tf.reshape(self.project(condition), [-1, *self._context_shape])


@base_layer.configured
class ConditionShift(ConditionalLayer):
  """`x + W c`, per channel (the last axis): an isometry in every l_p.

  After the first linear layer of `g` it makes `g(x, c)` depend on `c`. The
  arguments are those of `ConditionalLayer`.

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
      self, variables: Tensors, norms: Tensors,
      input_scale: float | tf.Tensor = 1.0,
      output_scale: float | tf.Tensor = 1.0) -> Tensors:
    # The factor of the shift in x -> output_scale (x + W c); the layer before
    # it has multiplied x already.
    return [tf.convert_to_tensor(output_scale, self.compute_dtype)]

  def evaluate(self, weights: Tensors, x: tf.Tensor,
               shift: tf.Tensor) -> tf.Tensor:
    return x + weights[0] * shift


@base_layer.configured
class ConditionGate(ConditionalLayer):
  """`x phi(c)`, `phi = sigmoid(W c + 2)` in (0, 1), per channel.

  A contraction in every l_p for every `c`. At the end of `g` it makes
  `phi(c) g(x)`: the condition scales the effect of a block. The arguments are
  those of `ConditionalLayer`.

  Example:
    >>> gate = layers.ConditionGate(4)
    >>> y = gate(tf.ones([5, 2]), condition=tf.random.normal([5, 4]))
    >>> bool(tf.reduce_all((y > 0.0) & (y < 1.0)))
    True
  """

  def context(self, condition: Any) -> tuple[tf.Tensor, ...]:
    # Gates begin nearly open.
    return (tf.sigmoid(self.per_channel(condition) + 2.0),)

  def evaluate(self, weights: Tensors, x: tf.Tensor,
               gate: tf.Tensor) -> tf.Tensor:
    return x * gate
