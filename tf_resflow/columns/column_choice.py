"""Types of all columns, chosen together."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tf_resflow.columns import column_types
from tf_resflow.columns import mapping

_Types = tuple[column_types.ColumnType, ...]

_MAX_ROWS = 2000
_NUM_FOLDS = 5
# Columns of larger tables are not changed one by one.
_MAX_COLUMNS = 20
_MAX_ROUNDS = 3
# Fewer rows for each coordinate say nothing of how columns go together.
_MIN_ROWS = 3
# Added to the variances of standardised columns.
_REGULARIZATION = 1e-9
# Paired standard errors by which a change has to be better.
_NUM_STDERRS = 2.0
# What a row counts for at most, so that far ones do not decide, nats.
MAX_DIFFERENCE = 10.0


def chosen(
    options: Sequence[_Types], one_by_one: _Types, x: np.ndarray,
    condition: np.ndarray | None = None) -> _Types:
  """Chooses the type of each column among its options.

  Sets of types are compared by the log-likelihood of rows that are held out, in
  the units of the table, if the mapped columns together are Gaussian (given the
  condition, with linear means), as for the powers of Andrews et al. So types
  suit one another: three columns whose logarithms depend linearly on each other
  all have logarithms, or none of them has.

  The search begins with the best of three sets: no maps, logarithms, and the
  types of columns one by one. Then types of single columns are changed where
  that is better by two paired standard errors. Of the sets within one standard
  error of the best, that with the fewest maps is taken.

  Args:
    options: types of each column, the simplest one first.
    one_by_one: that of each column by itself.
    x: training rows, `[N, D]`, values that all options support; 2,000 of them
      are used at most.
    condition: `[N, K]`, or None.

  Example:
    >>> rng = np.random.default_rng(0)
    >>> height, weight = np.exp([[0.1], [0.2]] * rng.standard_normal((2, 900)))
    >>> x = np.stack([height, weight, weight / height**2], axis=1)
    >>> x *= np.exp(1e-4 * rng.standard_normal(x.shape))
    >>> real, log = column_types.Real(), column_types.Log()
    >>> chosen([(real, log)] * 3, (real, log, log), x)
    (log, log, log)

  References:
    Andrews, Gnanadesikan and Warner, 1971, Transformations of Multivariate
    Data.
  """
  comparison = _Comparison(x, condition)
  if len(comparison.x) < _MIN_ROWS * comparison.size:
    return one_by_one
  # A column that is constant in the rows that are used says nothing.
  options = [those if np.ptp(column) > 0.0 else (t,)
             for those, column, t in zip(
                 options, comparison.x.T, one_by_one, strict=True)]
  best = max((
      one_by_one, _suited([t.untransformed() for t in one_by_one], options),
      _suited([t.logarithmic() for t in one_by_one], options),
  ), key=lambda types: comparison.gain(types, one_by_one)[0])
  if len(options) <= _MAX_COLUMNS:
    best = _changed_one_by_one(best, options, comparison)

  def num_maps(types):
    return sum(t != t.untransformed() for t in types)

  def is_as_good(types):
    gap, stderr = comparison.gain(best, types)
    return gap <= stderr

  return min([best, *filter(is_as_good, comparison.tried)], key=num_maps)


def held_out_log_prob(
    z: np.ndarray, variances: Sequence[float] | np.ndarray = (0.0,),
) -> np.ndarray:
  """Returns log-densities of Gaussians fitted to the other four of five folds.

  Args:
    z: standardised rows, `[N, D]`.
    variances: `[H]`, that of independent noise in all columns.

  Returns:
    `[H, N]`, nats, but for a constant.
  """
  fold = np.arange(len(z)) % _NUM_FOLDS
  result = np.empty([len(variances), len(z)])
  for i in range(_NUM_FOLDS):
    others = z[fold != i]
    values, vectors = np.linalg.eigh(
        np.cov(others.T, ddof=0).reshape([z.shape[1]] * 2))
    values = np.maximum(values, 0.0) + _REGULARIZATION + np.reshape(
        variances, [-1, 1])  # [H, D]
    squares = np.square((z[fold == i] - others.mean(axis=0)) @ vectors)
    result[:, fold == i] = -0.5 * (
        (1.0 / values) @ squares.T + np.log(values).sum(axis=1, keepdims=True))
  return result


def _suited(types, options):
  """Returns types where columns can have them, and the simplest elsewhere."""
  return tuple(t if t in those else those[0]
               for t, those in zip(types, options, strict=True))


def _changed_one_by_one(best, options, comparison):
  """Returns types after all changes of one column that are clearly better."""
  for _ in range(_MAX_ROUNDS):
    before = best
    for i, those in enumerate(options):
      for option in those:
        types = (*best[:i], option, *best[i + 1:])
        gain, stderr = comparison.gain(types, best)
        if gain > _NUM_STDERRS * stderr:
          best = types
    if best == before:
      break
  return best


class _Comparison:
  """Compares types by the log-likelihood of rows that are held out.

  Attributes:
    tried: maps types to the log-likelihood of each row, `[N]`, nats.
    x: the rows that are used, `[N, D]`.
    size: number of coordinates of them and of the condition.
  """

  def __init__(self, x, condition):
    rows = np.linspace(0, len(x) - 1, min(len(x), _MAX_ROWS)).astype(int)
    self.tried: dict[_Types, Any] = {}
    self.x = x[rows]
    self._noise = np.random.default_rng(0).random(self.x.shape)
    self._condition = _standardized(condition[rows] if (
        condition is not None) else np.empty([len(rows), 0]))[0]
    self.size = self.x.shape[1] + self._condition.shape[1]

  def gain(self, types, other):
    """Returns the mean difference of rows, and its standard error."""
    for key in (types, other):
      if key not in self.tried:
        self.tried[key] = self._log_prob(key)
    difference = np.clip(self.tried[types] - self.tried[other],
                         -MAX_DIFFERENCE, MAX_DIFFERENCE)
    return difference.mean(), difference.std() / np.sqrt(len(difference))

  def _log_prob(self, types):
    """Returns log p(x, c), where p(c) is the same for all types."""
    y, log_det = mapping.mapped(
        [t.spec() for t in types], self.x, self._noise)
    z, std = _standardized(y)
    z = np.concatenate([z, self._condition], axis=1)
    return log_det - np.sum(np.log(std)) + held_out_log_prob(z)[0]


def _standardized(y):
  """Returns columns of mean 0 and deviation 1, and their deviations."""
  std = y.std(axis=0)
  std = np.where(std > 0.0, std, 1.0)
  return (y - y.mean(axis=0)) / std, std
