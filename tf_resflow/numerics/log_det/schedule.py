"""When a series ends, and the weights of its terms until then."""

from typing import Any

import numpy as np
import tensorflow as tf


class Schedule:
  """The weights `c_k` of one draw; `state` is what decides on the next term.

  Attributes:
    state: a structure of tensors, the state before the first term.
    max_terms: a Python int beyond which there are no terms, or None. XLA needs
      it to differentiate loops.
  """

  state: Any = ()
  max_terms: int | None = None

  def continues(self, k: tf.Tensor, state: Any) -> tf.Tensor:
    """Whether term `k` is computed."""
    raise NotImplementedError

  def weights(self, k: tf.Tensor, state: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns `c_k` of the value and `c_k` of the gradient vector."""
    raise NotImplementedError

  def advance(self, k: tf.Tensor, u: tf.Tensor, state: Any) -> Any:
    """Returns the state that decides on term `k + 1`, after `u_k`."""
    del k, u
    return state


class TabulatedSchedule(Schedule):
  """Weights that are known beforehand, of a number of terms that is drawn.

  Args:
    num_terms: int32 scalar.
    weights: NumPy array, `c_k` of the value for `k = 0, 1, ...`.
    gradient_weights: the same of the gradient vector, equal by default.
    dtype: of the weights.
  """

  def __init__(self, num_terms: tf.Tensor, weights: np.ndarray,
               gradient_weights: np.ndarray | None, dtype: tf.DType):
    self._num_terms = num_terms
    self._weights = tf.constant(weights, dtype)
    self._gradient_weights = self._weights if gradient_weights is None else (
        tf.constant(gradient_weights, dtype))
    self.max_terms = weights.size - 1

  def continues(self, k: tf.Tensor, state: Any) -> tf.Tensor:
    return k <= self._num_terms

  def weights(self, k: tf.Tensor, state: Any) -> tuple[tf.Tensor, tf.Tensor]:
    return self._weights[k], self._gradient_weights[k]


class SurvivalSchedule(Schedule):
  """Weights that follow the size of the terms, see `AdaptiveRoulette`."""

  def __init__(self, draw: Any, num_exact_terms: int, tail: float,
               batch_dependent: bool):
    self._threshold = draw.stop
    self._num_exact_terms = num_exact_terms
    self._tail = tail
    self._batch_dependent = batch_dependent
    # P_k of the next term, and the size of u_1: of the batch, or of every
    # example.
    zeros = tf.zeros_like(self._size(draw.probe))
    self.state = tf.ones_like(zeros), zeros

  def _size(self, u):
    """The root mean square of the batch, `[]`, or of examples, `[B, 1...]`."""
    axes = None if self._batch_dependent else list(range(1, u.shape.rank))
    return tf.sqrt(tf.reduce_mean(
        tf.square(u), axes, keepdims=not self._batch_dependent))

  def _survives(self, state):
    return tf.cast(state[0], tf.float64) >= self._threshold

  def continues(self, k: tf.Tensor, state: Any) -> tf.Tensor:
    return tf.reduce_any(self._survives(state))

  def weights(self, k: tf.Tensor, state: Any) -> tuple[tf.Tensor, tf.Tensor]:
    # The series of an example ends where others go on.
    c = tf.where(self._survives(state), 1.0 / state[0], 0.0)
    return tf.reshape(c, [-1]), c

  def advance(self, k: tf.Tensor, u: tf.Tensor, state: Any) -> Any:
    survival, first = state
    # The probability is a constant of the estimate, not a part of it.
    size = self._size(tf.stop_gradient(u))
    first = tf.where(k == 1, size, first)
    next_k = tf.cast(k + 1, size.dtype)
    ratio = tf.math.divide_no_nan(size, self._tail * first * next_k)
    is_exact = k + 1 <= self._num_exact_terms
    return tf.where(is_exact, survival, tf.minimum(survival, ratio)), first
