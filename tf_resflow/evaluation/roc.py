"""The area under a ROC curve, with its standard error."""

from typing import NamedTuple

import numpy as np
from numpy import typing as npt
from scipy import stats
from sklearn import metrics

from tf_resflow import errors


class Auroc(NamedTuple):
  """The area under a ROC curve.

  Attributes:
    value: of the area, in [0, 1]; 1/2 for a score that says nothing.
    stderr: its data error, across examples.
  """

  value: float
  stderr: float


def auroc(inside: npt.ArrayLike, outside: npt.ArrayLike) -> Auroc:
  """Says how well a score, high inside, tells two samples from each other.

  With scores `X_1 ... X_m` inside and `Y_1 ... Y_n` outside,

    AUROC = sum_ij psi(X_i, Y_j) / (m n),
    psi(x, y) = 1 if x > y, 1/2 if x = y, else 0,

  which is the statistic of Mann and Whitney over `m n`, and an unbiased
  estimate of `P(X > Y) + P(X = Y) / 2`. Below 1/2 the examples outside have the
  higher scores.

  The standard error is that of DeLong et al., which supposes no distribution.
  Of the deviation of a U-statistic from its mean, all but what vanishes faster
  is a sum of two independent means,

    AUROC - E ~ mean_i (V_i - E) + mean_j (W_j - E),
    V_i = mean_j psi(X_i, Y_j),   W_j = mean_i psi(X_i, Y_j),

  so that `stderr^2 = var(V) / m + var(W) / n`, with sample variances. The
  components follow from ranks, ties at their mean: `V_i` is the rank of `X_i`
  in both samples together less that in its own, over `n`, and `1 - W_j`
  likewise.

  Where the samples do not overlap the formula gives 0, which says no more than
  that there was no example in between.

  Args:
    inside: `[m]`, 2 or more finite numbers.
    outside: `[n]`, likewise.

  Raises:
    InvalidValueError: if they are not.

  Example:
    >>> auroc([0.5, 0.7, 0.9], [0.1, 0.7]).value
    0.75

  References:
    DeLong, DeLong and Clarke-Pearson, 1988, Comparing the Areas under Two or
    More Correlated Receiver Operating Characteristic Curves; Sun and Xu, 2014,
    Fast Implementation of DeLong's Algorithm (ranks).
  """
  parts = [_checked('inside', inside), _checked('outside', outside)]
  pooled = np.concatenate(parts)
  value = metrics.roc_auc_score(
      np.repeat([1, 0], [len(part) for part in parts]), pooled)
  ranks = np.split(stats.rankdata(pooled), [len(parts[0])])
  variance = sum(
      np.var((ranks[i] - stats.rankdata(part)) / len(parts[1 - i]), ddof=1) /
      len(part) for i, part in enumerate(parts))
  return Auroc(float(value), float(np.sqrt(variance)))


def estimator_stderr(inside: np.ndarray, outside: np.ndarray) -> float:
  """Returns the part of an estimator in the error of the AUROC of means.

  By the jackknife over the repeats: with `A_r` the AUROC of the scores that are
  averaged over all repeats but `r`,

    stderr^2 = (R - 1) / R sum_r (A_r - mean A)^2.

  Args:
    inside: `[R, m]`, independent estimates of every score.
    outside: `[R, n]`.

  Returns:
    The standard error; 0 for `R = 1`, scores that are no estimates.

  References:
    Efron and Stein, 1981, The Jackknife Estimate of Variance.
  """
  num_repeats = len(inside)
  errors.check(len(outside) == num_repeats, 'outside',
               f'{len(outside)} repeats', f'{num_repeats}, as inside')
  if num_repeats == 1:
    return 0.0
  means = [[(a.sum(axis=0) - a[r]) / (num_repeats - 1)
            for a in (inside, outside)] for r in range(num_repeats)]
  values = [auroc(*pair).value for pair in means]
  return float(np.sqrt((num_repeats - 1) * np.var(values)))


def _checked(name, scores):
  """Returns scores as float64; names those that are none."""
  scores = np.asarray(scores, np.float64)
  errors.check(
      scores.ndim == 1 and scores.size > 1, name, f'scores {scores.shape}',
      '[N], 2 or more', 'A standard error needs them.')
  num_bad = np.count_nonzero(~np.isfinite(scores))
  errors.check(
      num_bad == 0, name, f'{num_bad} NaN or infinite of {scores.size} scores',
      'finite numbers', 'Look at those examples first.')
  return scores
