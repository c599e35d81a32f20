"""Trained square matrices, and checks that they are invertible."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import linalg
import tensorflow as tf

from tf_resflow import errors
from tf_resflow import private_apis

# Start of every error message about a matrix without an accurate inverse.
NUMERICALLY_SINGULAR = 'The matrix is numerically singular'

# Condition numbers |W|_1 |W^-1|_1 above which fewer than four digits of an
# inverse, and of a log-determinant, are right.
MAX_CONDITION = {tf.float32: 1e4, tf.float64: 1e12}

# Arrays by name.
Weights = dict[str, np.ndarray]


class Parameterization:
  """A parameterization of square matrices by trained weights."""

  def initial_weights(self, matrix: np.ndarray) -> tuple[Weights, Weights]:
    """Returns the trainable and the fixed weights of a matrix `[D, D]`."""
    raise NotImplementedError

  def evaluate(
      self, weights: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the matrix `W` and `log|det W|`.

    Args:
      weights: both, by the names of `initial_weights`; floats in float64.
    """
    raise NotImplementedError


class Free(Parameterization):
  """The entries of `W` are trained: `entries`, `[D, D]`."""

  def initial_weights(self, matrix: np.ndarray) -> tuple[Weights, Weights]:
    return {'entries': matrix}, {}

  def evaluate(
      self, weights: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
    matrix = weights['entries']
    # XLA has no determinants.
    _, r = tf.linalg.qr(matrix)
    return matrix, tf.reduce_sum(tf.math.log(tf.abs(tf.linalg.diag_part(r))))


class LU(Parameterization):
  """`W = P L (U + diag(signs exp(log_scale)))`.

  `P` permutes rows and is fixed, as the signs are; `L` is lower triangular with
  ones on its diagonal, `U` strictly upper triangular; `log|det W|` is
  `sum log_scale`. The three trained parts are stored as one matrix `factors`
  `[D, D]`: `L` below its diagonal, `U` above, `log_scale` on it.

  References:
    Kingma and Dhariwal, 2018, Glow, Section 3.2.
  """

  def initial_weights(self, matrix: np.ndarray) -> tuple[Weights, Weights]:
    permutation, lower, upper = linalg.lu(matrix)
    diagonal = np.diag(upper)
    factors = np.tril(lower, -1) + np.triu(upper, 1) + np.diag(
        np.log(np.abs(diagonal)))
    return {'factors': factors}, {
        'permutation': np.argmax(permutation, axis=1).astype(np.int32),
        'signs': np.sign(diagonal)}

  def evaluate(
      self, weights: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
    factors = weights['factors']
    log_scale = tf.linalg.diag_part(factors)
    # The strict parts, whatever the diagonal holds.
    upper = tf.linalg.set_diag(tf.linalg.band_part(factors, 0, -1),
                               weights['signs'] * tf.exp(log_scale))
    lower = tf.linalg.set_diag(
        tf.linalg.band_part(factors, -1, 0), tf.ones_like(log_scale))
    return (tf.gather(tf.linalg.matmul(lower, upper), weights['permutation']),
            tf.reduce_sum(log_scale))


def inverse_and_condition(matrix: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
  """Returns `W^-1`, float64 `[D, D]`, and the condition `|W|_1 |W^-1|_1`.

  If there is no inverse, the condition number is infinite and the inverse
  meaningless; nothing is raised, neither eagerly nor in a graph.
  """
  # Unlike other factorisations, this one exists for every matrix.
  q, r = tf.linalg.qr(matrix)
  pivots = tf.abs(tf.linalg.diag_part(r))
  # TensorFlow refuses to solve with a pivot that is 0.
  is_regular = tf.reduce_all((pivots > 0.0) & tf.math.is_finite(pivots))
  inverse = tf.linalg.triangular_solve(
      tf.where(is_regular, r, tf.eye(r.shape[0], dtype=r.dtype)),
      tf.transpose(q), lower=False)
  condition = tf.stop_gradient(_norm(matrix) * _norm(inverse))
  return inverse, tf.where(
      is_regular & tf.math.is_finite(condition), condition,
      tf.constant(np.inf, matrix.dtype))


def _norm(matrix):
  return tf.reduce_max(tf.reduce_sum(tf.abs(matrix), axis=0))


def _requirement(dtype):
  """Returns what is expected of a condition number, and advice."""
  return (f'at most {MAX_CONDITION[dtype]:.0e} in {dtype.name}',
          f'{NUMERICALLY_SINGULAR}; lower the learning rate or use float64.')


def check(name: str, condition: float, dtype: tf.DType) -> None:
  """Raises `InvalidValueError` if a condition number is too large."""
  errors.check(condition <= MAX_CONDITION[dtype], name,
               f'condition number {condition:.3g}', *_requirement(dtype))


def checked(
    values: Sequence[tf.Tensor], condition: tf.Tensor, dtype: tf.DType,
    name: str) -> list[tf.Tensor]:
  """Casts what depends on a matrix to a dtype, behind a check of the matrix.

  Args:
    values: tensors.
    condition: condition number of the matrix. If it is too large for `dtype`,
      it raises `tf.errors.InvalidArgumentError`, eagerly at once, else when the
      graph runs. Under XLA, which drops assertions, all values are NaN then.
    dtype: dtype in which the matrix is used.
    name: of the matrix.
  """
  is_regular = condition <= MAX_CONDITION[dtype]
  expected, advice = _requirement(dtype)
  with tf.control_dependencies(private_apis.assertions(is_regular, [
      f'{name}=condition number', condition,
      f'is refused: expected {expected}. {advice}'])):
    return [tf.cast(tf.where(
        is_regular, value, tf.constant(np.nan, value.dtype)), dtype)
            for value in values]
