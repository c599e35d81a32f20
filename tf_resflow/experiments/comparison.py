"""Whether one kind of run is better: by seeds and examples, or by folds."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy import typing as npt
from scipy import stats

from tf_resflow import errors

LEVEL = 0.95


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

  def text(self, unit: str = '') -> str:
    """Returns the mean and the interval as text."""
    return (f'{self.mean:+.4f} [{self.low:+.4f}, {self.high:+.4f}] '
            f'{unit}').rstrip()


def of_seeds_and_examples(
    values: npt.ArrayLike, level: float = LEVEL) -> Estimate:
  """Returns the mean of values of several trained models on the same examples.

  With `m_s` the mean of seed `s` and `m_i` that of example `i`,

    stderr^2 = var_s(m_s) / S + var_i(m_i) / N,

  and the interval is that of Student's t with `S - 1` degrees of freedom, since
  the spread of few seeds is known worst. It is too wide rather than too narrow:
  the second term has a share of the noise of seeds, too. Of differences
  `a_si - b_si` of two models the examples are paired.

  Args:
    values: `[S, N]`, S >= 2 and N >= 2.
    level: probability of the interval.

  Example:
    >>> of_seeds_and_examples([[1.0, 2.0], [1.0, 3.0]]).mean
    1.75
  """
  values = np.asarray(values, np.float64)
  errors.check(
      values.ndim == 2 and min(values.shape) >= 2 and bool(
          np.isfinite(values).all()), 'values',
      f'an array {list(values.shape)}', '[S, N], finite, 2 or more of both')
  num_seeds, _ = values.shape
  return _estimate(values.mean(), np.hypot(
      stats.sem(values.mean(axis=1)), stats.sem(values.mean(axis=0))),
                   num_seeds, level)


def of_folds(values: npt.ArrayLike, num_folds: int, level: float = LEVEL
             ) -> Estimate:
  """Returns the mean of values of a repeated cross-validation.

  With `v_j` the mean of the test rows of one of `J` folds,

    stderr^2 = (1 / J + n_test / n_train) var_j(v_j),

  and the interval is that of Student's t with `J - 1` degrees of freedom. The
  second term stands for what folds share: training rows, and of repetitions the
  test rows, too. With `K` folds it is `1 / (K - 1)`, however often they are
  drawn again.

  Args:
    values: `[J]`, of all folds of all repetitions; J >= 2.
    num_folds: K >= 2, of one repetition.
    level: probability of the interval.

  Example:
    >>> of_folds([1.0, 2.0, 3.0, 2.0], num_folds=2).mean
    2.0

  References:
    Nadeau and Bengio, 2003, Inference for the Generalization Error, Section 3.
  """
  values = np.asarray(values, np.float64)
  errors.check(
      values.ndim == 1 and len(values) >= 2 and bool(
          np.isfinite(values).all()), 'values',
      f'an array {list(values.shape)}', '[J], finite, 2 or more')
  errors.check(num_folds >= 2, 'num_folds', num_folds, 'a number >= 2')
  variance = 1.0 / len(values) + 1.0 / (num_folds - 1)
  return _estimate(values.mean(), np.sqrt(variance) * values.std(ddof=1),
                   len(values), level)


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


def _estimate(mean, stderr, num_models, level):
  width = stats.t.ppf(0.5 + level / 2, num_models - 1) * stderr
  return Estimate(*map(float, (mean, stderr, mean - width, mean + width)))
