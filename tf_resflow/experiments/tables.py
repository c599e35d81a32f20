"""The twelve tables of docs/tables.md: data sets `tables:NAME`.

Five come with scikit-learn, the others are drawn from nothing that a competitor
models exactly. The last fifth of a fixed permutation is the test part; that of
`tables:NAME/REPETITION.FOLDofK` is one of K folds of another permutation.
"""

from collections.abc import Callable, Mapping
import dataclasses
import re
from typing import Any

import numpy as np
import pandas as pd
from sklearn import datasets as sklearn_datasets

from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow.datasets import data_config

_PERMUTATION_SEED = 99


@dataclasses.dataclass(frozen=True)
class Frames:
  """Opens data sets of data frames, `PREFIX:NAME`, and their folds.

  Args:
    prefix: of their names.
    frames: functions that make the frames, by name.

  Example:
    >>> one = pd.DataFrame({'x': range(15)})
    >>> open_fn = Frames('mine', {'one': lambda: one})
    >>> open_fn('one').num_test, open_fn('one/2.1of3').num_test
    (3, 5)
  """

  prefix: str
  frames: Mapping[str, Callable[[], pd.DataFrame]]

  options = (*data_config.FRAME_FIELDS, 'condition_on')

  def __call__(self, name: str, **options: Any) -> datasets.VectorInfo:
    """Returns a data set; see `datasets.table`.

    Args:
      name: of the frame, or `NAME/REPETITION.FOLDofK`, both from 0: a fold of a
        repeated cross-validation.
      **options: of `datasets.table`.
    """
    table, slash, fold = name.partition('/')
    dataset = f'{self.prefix}:{name}'
    errors.check(table in self.frames, 'dataset', dataset,
                 f'one of {", ".join(self.frames)}')
    frame = self.frames[table]()
    frame = frame.rename(columns=lambda column: column.replace('/', '_'))
    if slash:
      test, train = _fold(dataset, fold, len(frame))
    else:
      train, test = np.split(
          np.random.default_rng(_PERMUTATION_SEED).permutation(len(frame)),
          [len(frame) - len(frame) // 5])
    return datasets.table(frame.iloc[train], name=dataset,
                          test=frame.iloc[test], **options)


def _fold(dataset, text, num_rows):
  """Returns the indices of the rows of a fold and of the others, or raises."""
  numbers = re.fullmatch(r'(\d+)\.(\d+)of(\d+)', text)
  repetition, i, num_folds = map(int, numbers.groups() if numbers else [0] * 3)
  errors.check(
      i < num_folds and 2 <= num_folds <= num_rows // 2, 'dataset',
      dataset, 'a fold such as NAME/0.4of5')
  folds = np.array_split(np.random.default_rng(
      [_PERMUTATION_SEED, repetition]).permutation(num_rows), num_folds)
  return folds.pop(i), np.concatenate(folds)


def _smooth(seed: int, num_rows: int, num_columns: int, heavy_tails=False):
  """Draws nonlinear mixtures of uniform and Gaussian numbers.

  Columns have scales from 0.01 to 1,000; with heavy tails every third one has
  Student noise of two degrees of freedom.
  """
  rng = np.random.default_rng(seed)
  shape = num_rows, num_columns
  uniform, gaussian = rng.uniform(-1, 1, shape), rng.standard_normal(shape)
  mixing = rng.standard_normal((num_columns, num_columns)) / num_columns**0.5
  x = np.tanh(2 * uniform @ mixing)
  x = x + 0.3 * (gaussian @ mixing.T) * (1 + np.abs(uniform))
  x = x + 0.5 * np.sin(3 * np.roll(x, 1, axis=1))
  if heavy_tails:
    x[:, ::3] += 0.2 * rng.standard_t(2.0, x[:, ::3].shape)
  scale = 10.0 ** rng.uniform(-2, 3, num_columns)
  return x * scale + rng.uniform(-5, 5, num_columns)


def _near_copies():
  """Two columns repeat two others, but for a thousandth of noise."""
  x = _smooth(6, 3000, 6)
  noise = np.random.default_rng(7).standard_normal((3000, 2))
  return np.c_[x, x[:, :2] + 1e-3 * x[:, :2].std(0) * noise]


def _spirals():
  rng = np.random.default_rng(2)
  angle = 3 * np.pi * np.sqrt(rng.uniform(0.05, 1, 2000))
  radius = rng.choice([-1, 1], 2000) * angle
  x = np.c_[radius * np.cos(angle), radius * np.sin(angle)] / 5
  return x + 0.08 * rng.standard_normal((2000, 2))


def _housing() -> pd.DataFrame:
  """Eight columns as a census has them: positive, bounded, counts, places."""
  rng, n = np.random.default_rng(4), 6000
  income = np.exp(0.6 * rng.standard_normal(n) + 10.3)
  age = rng.integers(18, 90, n)
  rooms = rng.poisson(4 + income / 2e4) + 1
  share = 1 / (1 + np.exp(-(rng.standard_normal(n) + (age - 50) / 20)))
  latitude = np.where(
      rng.uniform(size=n) < 0.6, 34 + 0.3 * rng.standard_normal(n),
      38 + 0.5 * rng.standard_normal(n))
  longitude = -118 - 1.1 * (latitude - 34) + 0.2 * rng.standard_t(4, n)
  price = income * (2 + share) * np.exp(0.3 * rng.standard_normal(n))
  return pd.DataFrame({
      'income': income, 'age': age, 'rooms': rooms, 'share': share,
      'lat': latitude, 'lon': longitude, 'price': price,
      'tax': price * 0.011 + 20 * rng.standard_normal(n)})


def _drawn(draw: Callable, *arguments: Any, **options: Any) -> Callable:
  """Returns a function that draws a frame with columns x0, x1, ..."""
  return lambda: pd.DataFrame(draw(*arguments, **options)).add_prefix('x')


def _loaded(name: str, num_columns: int | None = None,
            **options: Any) -> Callable:
  return lambda: getattr(sklearn_datasets, f'load_{name}')(
      as_frame=True, **options).data.iloc[:, :num_columns]


TABLES: dict[str, Callable[[], pd.DataFrame]] = {
    'wine': _loaded('wine'), 'cancer10': _loaded('breast_cancer', 10),
    'cancer30': _loaded('breast_cancer'),
    'diabetes': _loaded('diabetes', scaled=False), 'iris': _loaded('iris'),
    'fifty': _drawn(_smooth, 1, 50, 2), 'spiral': _drawn(_spirals),
    'heavy': _drawn(_smooth, 3, 2000, 3, heavy_tails=True),
    'housing': _housing, 'twenty': _drawn(_smooth, 5, 5000, 20),
    'near': _drawn(_near_copies), 'sixty': _drawn(_smooth, 8, 100_000, 60)}

open_table = Frames('tables', TABLES)
