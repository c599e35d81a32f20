"""Whether one kind of run is better than another: seeds and examples."""

from typing import NamedTuple

import numpy as np
from numpy import typing as npt
from scipy import stats

from tf_resflow import errors

LEVEL = 0.95


class Estimate(NamedTuple):
  """A mean over seeds and examples, with its confidence interval.

  Attributes:
    stderr: from both sources, see `of_seeds_and_examples`.
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
  stderr = float(np.hypot(
      stats.sem(values.mean(axis=1)), stats.sem(values.mean(axis=0))))
  mean, width = float(values.mean()), stats.t.ppf(
      0.5 + level / 2, num_seeds - 1) * stderr
  return Estimate(mean, stderr, float(mean - width), float(mean + width))
