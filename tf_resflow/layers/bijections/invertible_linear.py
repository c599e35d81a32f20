"""Invertible linear maps of vectors, and of the channels of images."""

from collections.abc import Sequence
import math

import keras
import numpy as np
import tensorflow as tf

from tf_resflow import errors
from tf_resflow.layers import base_layer
from tf_resflow.layers.bijections import bijection
from tf_resflow.layers.bijections import invertible_matrix
from tf_resflow.layers.bijections.bijection import PassResult
from tf_resflow.layers.bijections.bijection import PassSettings
from tf_resflow.specs import registries


class MatrixBijection(bijection.Bijection):
  """`y = W x` for every row `x` of an event, with a trained matrix `W`.

  `log_det = P log|det W|` with `P` rows per event. `W`, its inverse and its
  log-determinant are computed in float64. A pass in either direction raises
  `tf.errors.InvalidArgumentError` if `W` is numerically singular: if its
  condition number is above 1e4 in float32, or above 1e12 in float64. Under XLA,
  which drops assertions, everything is NaN then.

  The arguments are those of `InvertibleLinear`.
  """

  def __init__(
      self, parameterization: str = 'free', seed: int | None = None,
      initial_matrix: Sequence[Sequence[float]] | None = None, **kwargs):
    super().__init__(**kwargs)
    self.parameterization = registries.MATRICES.check(
        parameterization, 'parameterization')
    self.seed = seed
    self.initial_matrix = None
    if initial_matrix is not None:
      matrix = np.asarray(initial_matrix, np.float64)
      invertible_matrix.check('initial_matrix', np.linalg.cond(matrix, 1),
                              tf.as_dtype(self.compute_dtype))
      self.initial_matrix = matrix.tolist()

  def row_size(self, event_shape: Sequence[int]) -> int:
    """Returns `D`, the size of a row of an event."""
    raise NotImplementedError

  def build(self, input_shape: tuple) -> None:
    event_shape = tuple(input_shape[1:])
    size = self.row_size(event_shape)
    matrix = np.asarray(
        np.eye(size)[np.random.default_rng(self.seed).permutation(size)]
        if self.initial_matrix is None else self.initial_matrix)
    errors.check(
        len(matrix) == size, 'initial_matrix', f'an array {matrix.shape}',
        f'[{size}, {size}], for events {event_shape}')
    self._size, self._num_rows = size, math.prod(event_shape) // size
    self._maker = registries.MATRICES.get(self.parameterization)()
    initial = self._maker.initial_weights(matrix)
    for weights, trainable in zip(initial, (True, False), strict=True):
      for name, value in weights.items():
        setattr(self, name, self.add_weight(
            name=name, shape=value.shape, trainable=trainable,
            dtype=value.dtype.name if value.dtype.kind == 'i' else None,
            initializer=keras.initializers.Constant(value)))
    self._names = [name for weights in initial for name in weights]

  def _evaluate(self):
    """Returns `W` and `log|det W|`, float64."""
    return self._maker.evaluate({
        name: tf.cast(w, tf.float64) if w.dtype.is_floating else w
        for name in self._names
        for w in [tf.convert_to_tensor(getattr(self, name).value)]})

  def _apply(self, x, is_inverse):
    """Returns `W x` or `W^-1 x` of every row."""
    matrix, log_det = self._evaluate()
    inverse, condition = invertible_matrix.inverse_and_condition(matrix)
    factor, log_det = invertible_matrix.checked(
        [inverse, -self._num_rows * log_det] if is_inverse else
        [matrix, self._num_rows * log_det], condition,
        tf.as_dtype(self.compute_dtype), f'{self.name}.matrix')
    y = tf.linalg.matmul(
        tf.reshape(x, [-1, self._size]), factor, transpose_b=True)
    return PassResult(tf.reshape(y, [tf.shape(x)[0], *x.shape[1:]]),
                      bijection.common_log_det(x, log_det))

  def matrix(self) -> tf.Tensor:
    """Returns `W`, float64 `[D, D]`."""
    return self._evaluate()[0]

  def check_weights(self) -> None:
    _, condition = invertible_matrix.inverse_and_condition(self.matrix())
    invertible_matrix.check(f'{self.name}.matrix', float(condition),
                            tf.as_dtype(self.compute_dtype))

  def forward_pass(self, x: tf.Tensor, settings: PassSettings) -> PassResult:
    return self._apply(x, is_inverse=False)

  def inverse_pass(self, y: tf.Tensor, settings: PassSettings) -> PassResult:
    return self._apply(y, is_inverse=True)

  def bi_lipschitz_bounds(self) -> bijection.BiLipschitzBounds:
    values = np.linalg.svd(self.matrix().numpy(), compute_uv=False)
    return bijection.BiLipschitzBounds(
        float(values[-1]), float(values[0]), order=2.0, bound_source='weights')


@base_layer.configured
class InvertibleLinear(MatrixBijection):
  """`y = W x` for events as vectors `x`, `[D]`, with a trained matrix `W`.

  `log_det = log|det W|`. A numerically singular matrix is an error, see
  `MatrixBijection`.

  Args:
    parameterization: 'free', where `W` is trained, or 'lu', where the factors
      of `W = P L (U + diag(signs exp(log_scale)))` are.
    seed: Python int that makes the initial matrix, a random permutation,
      deterministic.
    initial_matrix: the initial matrix `[D, D]`, in place of a permutation.

  Raises:
    InvalidValueError: if `initial_matrix` is numerically singular.

  Example:
    >>> linear = layers.InvertibleLinear(
    ...     initial_matrix=[[0.0, 2.0], [1.0, 0.0]])
    >>> linear(tf.constant([[3.0, 4.0]])).numpy().tolist()
    [[8.0, 3.0]]
    >>> bijectors.InvertibleLinear([2], layer=linear).forward(
    ...     [[3.0, 4.0]]).numpy().tolist()
    [[8.0, 3.0]]
    >>> layers.InvertibleLinear(initial_matrix=[[1.0, 1.0], [1.0, 1.0]])
    Traceback (most recent call last):
    tf_resflow.errors.InvalidValueError: initial_matrix=condition number inf:
    expected at most 1e+04 in float32. The matrix is numerically singular; ...

  References:
    Kingma and Dhariwal, 2018, Glow, Section 3.2.
  """

  def row_size(self, event_shape: Sequence[int]) -> int:
    return math.prod(event_shape)


@base_layer.configured
class InvertibleConv1x1(MatrixBijection):
  """The invertible 1 x 1 convolution: `y = W x` for the channels of a pixel.

  For images `[H, W, C]`; `log_det = H W log|det W|`. A numerically singular
  matrix is an error, see `MatrixBijection`.

  Args:
    parameterization: see `InvertibleLinear`, as the others.
    seed: seed of the initial matrix, a permutation of the channels.
    initial_matrix: the initial matrix `[C, C]`.

  Example:
    >>> conv = layers.InvertibleConv1x1('lu', seed=1)
    >>> y, log_det = conv.forward_and_log_det(tf.ones([5, 2, 2, 3]))
    >>> np.allclose(conv.inverse(y), 1.0, atol=1e-5)
    True

  References:
    Chen et al., 2019, Residual Flows, Section 5.4 (Tables 4 and 5).
  """

  def row_size(self, event_shape: Sequence[int]) -> int:
    errors.check(len(event_shape) == 3, 'event_shape', tuple(event_shape),
                 'images [H, W, C]', 'Use InvertibleLinear for vectors.')
    return event_shape[-1]
