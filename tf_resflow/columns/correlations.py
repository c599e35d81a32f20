"""Correlations of standardised rows: thin directions, and noise for them."""

from typing import Any

import numpy as np

from tf_resflow.columns import column_choice

# Correlations of more columns are not stored.
_MAX_WHITENED = 64
# Eigenvalues of correlations below this are those of thin directions.
_THIN = 0.02
# Candidates of `smoothing`, and the rows that it uses.
_SMOOTHINGS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)
_MAX_ROWS = 5000


def smoothing(z: np.ndarray) -> float:
  """Returns the standard deviation of noise that a Gaussian does best with.

  That is the `h` with the highest five-fold cross-validated likelihood of a
  Gaussian with the covariance of standardised rows `[N, D]` plus `h^2 I`. A row
  counts for 10 nats at most, compared with the `h` of the highest median, so
  that far ones do not decide. It is small where there are many rows, or
  columns that nearly depend on each other.

  Example:
    >>> rng = np.random.default_rng(0)
    >>> [smoothing(rng.standard_normal([n, 5])) for n in (10, 50, 2000)]
    [0.5, 0.5, 0.1]
  """
  log_prob = column_choice.held_out_log_prob(
      z[:_MAX_ROWS], np.square(_SMOOTHINGS))
  usual = log_prob[np.argmax(np.median(log_prob, axis=1))]
  gains = np.clip(log_prob - usual, -column_choice.MAX_DIFFERENCE,
                  column_choice.MAX_DIFFERENCE)
  return _SMOOTHINGS[int(np.argmax(gains.sum(axis=1)))]


def whitening(z: np.ndarray, weight: Any = None) -> tuple[float, ...]:
  """Returns a matrix that widens directions in which columns hardly vary.

  Columns that nearly depend on each other leave the data so thin that a flow of
  bounded slopes takes long to widen them. With eigenvalues `l` of the
  correlations of standardised rows `[N, D]` of a `weight` `[N]` or of equal
  ones (shrunk where rows are few), the
  matrix `W` multiplies directions by

    w(l)^2 = 1 + (t / (t + l))^2 / l,    t = 0.02,

  up to a rotation: those with `l << t` by `1 / sqrt(l)`, to unit variance,
  others by nearly 1.

  Returns:
    The lower triangle of `W`, row by row, see `layers.Standardize`; empty for
    one column, or more than 64.

  References:
    Ledoit and Wolf, 2004, A Well-Conditioned Estimator for Large-Dimensional
    Covariance Matrices.
  """
  size = z.shape[1]
  if not 1 < size <= _MAX_WHITENED:
    return ()
  if weight is not None:
    z = z * np.sqrt(weight / np.mean(weight))[:, np.newaxis]
  if len(z) > 2 * size:
    correlations = z.T @ z / len(z)
  else:  # Without shrinkage it is nearly singular by chance.
    from sklearn import covariance  # Takes a second.
    correlations, _ = covariance.ledoit_wolf(z, assume_centered=True)
  values, vectors = np.linalg.eigh(correlations)
  values = np.maximum(values, 1e-10)
  widths = 1.0 + np.square(_THIN / (_THIN + values)) / values
  gram = (vectors * widths) @ vectors.T
  # W^T W = gram with a lower triangular W: Cholesky's factor, turned around.
  matrix = np.linalg.cholesky(gram[::-1, ::-1]).T[::-1, ::-1]
  return tuple(matrix[np.tril_indices(size)].tolist())
