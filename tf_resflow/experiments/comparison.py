"""Whether one kind of run is better: by seeds and examples, or by folds."""

from collections.abc import Sequence
import math
from typing import NamedTuple

import numpy as np
from numpy import typing as npt
from scipy import stats

# Probability of the intervals.
_LEVEL = 0.95


class Estimate(NamedTuple):
  """A mean over trained models and examples, with its confidence interval.

  Attributes:
    stderr: see `of_seeds_and_examples` and `of_folds`.
    low, high: the interval.
  """

  mean: float
  stderr: float
  low: float
  high: float

  @property
  def is_decided(self) -> bool:
    """Whether the interval excludes zero."""
    return self.low > 0.0 or self.high < 0.0

  def text(self, unit: str) -> str:
    """Returns the mean and the interval as text."""
    return f'{self.mean:+.4f} [{self.low:+.4f}, {self.high:+.4f}] {unit}'


def of_seeds_and_examples(values: npt.ArrayLike) -> Estimate:
  """Returns the mean of values of several trained models on the same examples.

  With `m_s` the mean of seed `s` and `m_i` that of example `i`,

    stderr^2 = var_s(m_s) / S + var_i(m_i) / N,

  see `of_errors` for the interval. It is too wide rather than too narrow: the
  second term has a share of the noise of seeds, too. Of differences
  `a_si - b_si` of two models the examples are paired. One seed has the second
  term alone: it says nothing of others.

  Args:
    values: `[S, N]`, finite, N >= 2.

  Example:
    >>> of_seeds_and_examples([[1.0, 2.0], [1.0, 3.0]]).mean
    1.75
  """
  values = np.asarray(values, np.float64)
  num_seeds, num_examples = values.shape
  return of_errors(
      values.mean(), stderr_of_seeds(values.mean(axis=1)), num_seeds,
      stats.sem(values.mean(axis=0)), num_examples)


def stderr_of_seeds(means: npt.ArrayLike) -> float:
  """Returns the standard error of the mean of seeds; 0 if there is one."""
  return float(stats.sem(means)) if np.size(means) > 1 else 0.0


def of_errors(
    mean: float, stderr_of_seeds: float, num_seeds: int,
    stderr_of_examples: float, num_examples: float = math.inf) -> Estimate:
  """Returns the estimate of a mean with two standard errors, `a` and `b`.

  The interval is that of Student's t, with the degrees of freedom of

    a^2 + b^2,  (a^2 + b^2)^2 / (a^4 / (S - 1) + b^4 / (N - 1)).

  They are `S - 1` where seeds make the error, and many where examples do.

  References:
    Satterthwaite, 1946, An Approximate Distribution of Estimates of Variance
    Components.
  """
  a, b = np.square([stderr_of_seeds, stderr_of_examples])
  terms = a**2 / max(num_seeds - 1, 1) + b**2 / (num_examples - 1)
  freedom = (a + b)**2 / terms if terms else math.inf
  return _estimate(mean, np.sqrt(a + b), freedom)


def of_folds(values: npt.ArrayLike, num_folds: int) -> Estimate:
  """Returns the mean of values of a repeated cross-validation.

  With `v_j` the mean of the test rows of one of `J` folds,

    stderr^2 = (1 / J + n_test / n_train) var_j(v_j),

  and the interval is that of Student's t with `J - 1` degrees of freedom. The
  second term stands for what folds share: training rows, and of repetitions the
  test rows, too. With `K` folds it is `1 / (K - 1)`, however often they are
  drawn again.

  Args:
    values: `[J]`, of all folds of all repetitions; finite, J >= 2.
    num_folds: K >= 2, of one repetition.

  Example:
    >>> of_folds([1.0, 2.0, 3.0, 2.0], num_folds=2).mean
    2.0

  References:
    Nadeau and Bengio, 2003, Inference for the Generalization Error, Section 3.
  """
  values = np.asarray(values, np.float64)
  variance = 1.0 / len(values) + 1.0 / (num_folds - 1)
  return _estimate(values.mean(), np.sqrt(variance) * values.std(ddof=1),
                   len(values) - 1)


def of_finalists(
    values: Sequence[npt.ArrayLike], num_folds: int = 0) -> Estimate:
  """Returns the mean of values `[N]` of the examples of each finalist.

  Examples that have no finite value, by any of the models that were tested on
  them, are left out.

  Args:
    values: of finalists that were tested on the same examples or, with
      `num_folds`, each on those of its fold.
    num_folds: see `of_folds`; 0 for none.
  """
  if num_folds:
    return of_folds([np.mean(each, where=np.isfinite(each)) for each in values],
                    num_folds)
  stacked = np.asarray(values)
  return of_seeds_and_examples(stacked[:, np.isfinite(stacked).all(axis=0)])


def _estimate(mean, stderr, freedom):
  width = stats.t.ppf(0.5 + _LEVEL / 2, freedom) * stderr
  return Estimate(*map(float, (mean, stderr, mean - width, mean + width)))
