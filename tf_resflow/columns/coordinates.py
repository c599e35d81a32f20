"""Rows of columns as standardised numbers, of which mixtures are fitted."""

from collections.abc import Sequence
import dataclasses
from typing import Any

import numpy as np

from tf_resflow.columns import mapping


@dataclasses.dataclass(frozen=True, eq=False)
class Coordinates:
  """Maps rows to standardised numbers, whose means may depend on conditions.

    z = (f(x + u) - m(c)) / s

  `f` are the types of the columns; `u` is a point of the cell in columns of
  whole numbers, and 0 in others; `m` is linear in the condition (ridge, its
  strength by leave-one-out), or constant.

  Attributes:
    specs: of the types of the columns.
    mean: `m`, `[D]`, or a regression of scikit-learn on conditions `[N, C]`.
    std: `s`, `[D]`.
  """

  specs: Sequence[str]
  mean: Any
  std: np.ndarray

  def __call__(
      self, x: np.ndarray, condition: np.ndarray | None = None,
      noise: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """Returns `z` and `log|det dz/dx|`, see `mapping.mapped`."""
    y, log_det = mapping.mapped(self.specs, x, noise)
    mean = self.mean if condition is None else self.mean.predict(
        condition).reshape([len(x), *[1] * (y.ndim - 2), -1])
    return (y - mean) / self.std, log_det - np.sum(np.log(self.std))


def fitted(
    specs: Sequence[str], x: np.ndarray, noise: np.ndarray,
    condition: np.ndarray | None = None,
) -> tuple[Coordinates, np.ndarray, np.ndarray]:
  """Fits coordinates to rows; arguments are those of a call.

  Returns:
    The coordinates, and `z` and `log|det dz/dx|` of the rows. With conditions
    means in `z` are fitted to other folds of the rows, five as they follow one
    another: of its own rows a regression leaves too little.
  """
  y, log_det = mapping.mapped(specs, x, noise)
  regression, expected = None, y.mean(axis=0)
  if condition is not None:
    from sklearn import model_selection
    regression = _ridge().fit(condition, y)
    expected = model_selection.cross_val_predict(
        _ridge(), condition, y).reshape(y.shape)
  std = (y - expected).std(axis=0)
  return (Coordinates(specs, regression or expected, std),
          (y - expected) / std, log_det - np.sum(np.log(std)))


def slopes(y: np.ndarray, condition: np.ndarray) -> np.ndarray:
  """Returns the slopes `A`, `[C, D]`, of the regression `y ~ c A + b`.

  It is that of `Coordinates`, of rows `[N, D]` on conditions `[N, C]`.
  """
  scaler, ridge = _ridge().fit(condition, y)
  return (np.atleast_2d(ridge.coef_) / scaler.scale_).T


def _ridge():
  from sklearn import linear_model
  from sklearn import pipeline
  from sklearn import preprocessing
  return pipeline.make_pipeline(
      preprocessing.StandardScaler(),
      linear_model.RidgeCV(np.logspace(-3, 3, 7)))


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
