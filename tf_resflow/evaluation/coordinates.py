"""Rows of columns as standardised numbers, of which mixtures are fitted."""

from collections.abc import Sequence
import dataclasses
from typing import Any, Self

import numpy as np
from sklearn import linear_model
from sklearn import pipeline
from sklearn import preprocessing

from tf_resflow.columns import mapping

# Strengths of a ridge regression.
_STRENGTHS = np.logspace(-3, 3, 7)


@dataclasses.dataclass(frozen=True, eq=False)
class Coordinates:
  """Maps rows to standardised numbers, whose means may depend on conditions.

    z = (f(x + u) - m(c)) / s

  `f` are the types of the columns; `u` is a point of the cell in columns of
  whole numbers, and 0 in others; `m` is linear in the condition (ridge, its
  strength by leave-one-out), or constant.

  Attributes:
    specs: of the types of the columns.
    mean_fn: maps conditions `[N, C]` to means `[N, D]`, None to one `[D]`.
    std: `s`, `[D]`.
  """

  specs: Sequence[str]
  mean_fn: Any
  std: np.ndarray

  @classmethod
  def fitted(cls, specs: Sequence[str], x: np.ndarray, noise: np.ndarray,
             condition: np.ndarray | None = None) -> Self:
    """Fits `m` and `s` to rows; arguments are those of a call."""
    y, _ = mapping.mapped(specs, x, noise)
    if condition is None:
      mean = y.mean(axis=0)
      return cls(specs, lambda unused_condition: mean, y.std(axis=0))
    regression = pipeline.make_pipeline(
        preprocessing.StandardScaler(), linear_model.RidgeCV(_STRENGTHS)).fit(
            condition, y)

    def mean_of(c):
      return regression.predict(c).reshape([len(c), y.shape[1]])

    return cls(specs, mean_of, (y - mean_of(condition)).std(axis=0))

  def __call__(
      self, x: np.ndarray, condition: np.ndarray | None = None,
      noise: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """Returns `z` and `log|det dz/dx|`, see `mapping.mapped`."""
    y, log_det = mapping.mapped(self.specs, x, noise)
    mean = self.mean_fn(condition)
    if y.ndim > mean.ndim > 1:
      mean = mean[:, np.newaxis]
    return (y - mean) / self.std, log_det - np.sum(np.log(self.std))


def maps_of(specs: Sequence[str], x: np.ndarray) -> dict[str, tuple[str, ...]]:
  """Returns sets of types of columns, by what they are called.

  Args:
    specs: of given types.
    x: `[N, D]`, rows that all sets support.

  Returns:
    Types without maps; logarithms of all columns that have them; the given
    ones. Equal sets have the first of these names.

  Example:
    >>> maps_of(['heavy:0.0:1.0', 'real'], np.array([[1.0, -1.0], [2.0, 3.0]]))
    {'plain columns': ('real', 'real'), 'logarithms': ('log', 'real'),
     'mapped columns': ('heavy:0.0:1.0', 'real')}
  """
  types = mapping.of_specs(specs, x)
  logs = [t.logarithmic() for t in types]
  sets = {
      'plain columns': [t.untransformed() for t in types],
      'logarithms': [
          log if mapping.with_density([log.spec()], column)[0].all() else
          t.untransformed() for t, log, column in zip(
              types, logs, np.split(x, x.shape[1], axis=1), strict=True)],
      'mapped columns': types}
  names: dict[tuple[str, ...], str] = {}
  for name, chosen in sets.items():
    names.setdefault(tuple(t.spec() for t in chosen), name)
  return {name: chosen for chosen, name in names.items()}
