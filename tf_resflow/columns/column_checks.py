"""Checks of the values of columns: what has no density, or hardly one."""

from collections.abc import Sequence
import logging
from typing import Any

import numpy as np

from tf_resflow import errors
from tf_resflow.columns import column_types
from tf_resflow.columns import mapping

_logger = logging.getLogger(__name__)
# Least standard deviation over the largest value: float32 has 7 digits.
_MIN_RELATIVE_STD = 1e-4
# The same of columns that may be float64, which has 16 digits.
_MIN_MODELLED_STD = 1e-8
# Largest value whose square float32 has.
_LARGEST = 1e18
# Values that stand for missing ones in many files.
_MISSING = {-1, -9, -99, -999, -9999, 999, 9999, 99999, 2**31 - 1, -2**31}
# Largest number of different whole numbers that are better a condition.
_FEW_VALUES = 6
# Largest share of distinct values in a column that is taken for discrete.
_MAX_SHARE_OF_VALUES = 0.1
# Of an atom: least share of rows, times that of the values beside it, and rows.
_MIN_ATOM, _MIN_ATOM_RATIO, _MIN_ATOM_ROWS = 0.02, 5, 100
# Of a heap: least step in robust standard deviations and in steps of the grid,
# share of the values that are not 0, and distinct ones.
_MIN_HEAP_STEP, _MIN_STEPS, _MIN_HEAP, _MIN_HEAP_VALUES = 0.01, 4, 0.5, 5


def column_problem(
    train: np.ndarray, test: np.ndarray, is_condition: bool = False) -> str:
  """Returns why a column, float64, cannot be learned, or ''.

  Conditions are float32.

  Example:
    >>> column_problem(np.ones(8), np.ones(2))
    'has the value 1 in all training rows: it has no density'
  """
  largest, std = np.abs(np.concatenate([train, test])).max(), train.std()
  if np.ptp(train) == 0:
    return f'has the value {train[0]:g} in all training rows: it has no density'
  if largest >= _LARGEST or std <= 1 / _LARGEST:
    return (f'reaches {largest:.3g} with standard deviation {std:.3g}, whose '
            'square float32 does not have; use other units')
  least = _MIN_RELATIVE_STD if is_condition else _MIN_MODELLED_STD
  if std < least * np.abs(train).max():
    return (f'has standard deviation {std:.3g} around mean {train.mean():.10g},'
            f' too small for float{32 if is_condition else 64}; subtract a '
            'constant')
  return ''


def _far_value(column: np.ndarray) -> tuple[float, ...]:
  """Returns a repeated or usual value further off than all others are wide."""
  for value in (column.min(), column.max()):
    others = column[column != value]
    count = len(column) - len(others)
    if (len(np.unique(others)) > 4 and (value in _MISSING or count > 2) and
        np.abs(others - value).min() > np.ptp(others)):
      return value, count, len(column), others.min(), others.max()
  return ()


def unbounded(
    names: Sequence[str], x: np.ndarray, types: Sequence[str],
) -> dict[str, str]:
  """Returns columns of which the likelihood is unbounded, and why.

  They are no grids and have few distinct values, or an atom, of which the
  largest is named: a value of at least 2 % of more than 100 rows, and of five
  times as many as any of the next three values on either side.

  Args:
    names, x, types: see `warn_of_density`.

  Example:
    >>> x = np.random.default_rng(0).normal(size=[200, 1]).clip(0.0)
    >>> unbounded(['rain'], x, ['real'])
    {'rain': 'is 0 in 49 % of 200 rows'}
  """
  found = {}
  for name, column, spec in zip(names, np.float64(x).T, types, strict=True):
    if column_types.ColumnType.get(spec).is_integer:
      continue
    mantissas, exponents = np.frexp(column)  # Without what is rounding.
    unit = column_types.FLOAT64_ROUNDING
    values, counts = np.unique(np.ldexp(
        unit * np.rint(mantissas / unit), exponents), return_counts=True)
    beside = np.delete(np.lib.stride_tricks.sliding_window_view(
        np.pad(counts, 3), 7), 3, axis=1)
    is_atom = counts >= np.maximum(
        _MIN_ATOM * len(column), _MIN_ATOM_RATIO * beside.max(axis=1))
    if len(values) <= _MAX_SHARE_OF_VALUES * len(column):
      found[name] = (f'has only {len(values)} distinct values in '
                     f'{len(column):,} rows')
    elif is_atom.any() and len(column) > _MIN_ATOM_ROWS:
      i = np.argmax(counts * is_atom)
      share = 100 * counts[i] / len(column)
      found[name] = (
          f'is {values[i]:.6g} in {share:.0f} % of {len(column):,} rows')
  return found


def _heap(column: np.ndarray) -> str:
  """Describes a coarse grid on which most but not all values lie, or ''."""
  width = column_types.Heavy.fitted(column).scale
  least = max(_MIN_HEAP_STEP * width, _MIN_STEPS * column_types.step_of(column))
  column = column[column != 0.0]  # It is a multiple of everything.
  for power in range(int(np.log10(100.0 * width)) + 1, -9, -1):
    for factor in (5.0, 2.5, 2.0, 1.0):
      step = float(f'{factor}e{power}')
      units = np.rint(column / step)
      on = units[np.isclose(column / step, units, 1e-9, 0.0)]
      if step < least or len(on) == len(column):
        return ''
      if len(on) >= _MIN_HEAP * len(column) and (
          len(np.unique(on)) >= _MIN_HEAP_VALUES):
        return f'{step:g} ({100 * len(on) / len(column):.0f} %)'
  return ''


def warn_of_density(
    names: Sequence[str], train: np.ndarray, types: Sequence[str]) -> None:
  """Warns of modelled columns that are better no density.

  Of those for which the likelihood is unbounded, of few whole numbers, and of
  values most of which lie on a coarse grid.

  Args:
    names: of the D columns.
    train: `[N, D]`.
    types: specs of their `ColumnType`.
  """
  columns, few, heaps = {}, [], []
  thin = unbounded(names, train, types)
  for name, column, spec in zip(names, np.float64(train).T, types, strict=True):
    far, num_values = _far_value(column), len(np.unique(column))
    if heap := _heap(column):
      heaps.append(f'{name}: {heap}')
    if far:
      _logger.warning(
          'Column %s has %.12g in %d of %d rows, far from all others (%g to %g)'
          ': if it stands for missing values, empty these cells.', name, *far)
    if not column_types.ColumnType.get(spec).is_integer:
      columns[name] = column
      if name in thin and not far:
        _logger.warning(
            'Column %s %s: the likelihood is unbounded there. Numbers of a grid'
            ' have probabilities (--column_types=%s:integer:STEP); or leave it '
            'out, or make it a condition.', name, thin[name], name)
    elif num_values <= _FEW_VALUES:
      few.append(f'{name} ({num_values})')
  if few:
    _logger.warning(
        'Few different whole numbers are in %s; samples have others, too. Make '
        'such columns a condition, to model the others given these.',
        ', '.join(few))
  if heaps:
    _logger.warning(
        'Most values, not all, are multiples of one number, which flows smooth '
        'over: %s.', ', '.join(heaps))
  if len(train) > len(columns) > 1:
    values, vectors = np.linalg.eigh(np.corrcoef(list(columns.values())))
    if values[0] < _MIN_RELATIVE_STD**2:
      among = np.array([*columns])[np.abs(vectors[:, 0]) > _MIN_RELATIVE_STD]
      _logger.warning(
          'The columns %s are linearly dependent: the likelihood is unbounded. '
          'Remove one of them.', ', '.join(among))


def rows_off_grids(
    x: np.ndarray, types: Sequence[str], names: Sequence[str] = (),
    index: Any = None, noun: str = 'rows') -> np.ndarray:
  """Returns which rows have a value between the multiples of a step, `[N]`.

  They are named in a warning. The arguments are those of `rows_with_density`.
  """
  is_on, places = mapping.with_density(
      types, x, names, index, on_grids=True)
  if places:
    _logger.warning(
        '%d of %d %s have a value between those that its column can take, and '
        'stand for the cell that it is in, from the next lower one on: %s.',
        np.sum(~is_on), len(x), noun, places)
  return ~is_on


def rows_with_density(
    x: np.ndarray, types: Sequence[str], names: Sequence[str] = (),
    index: Any = None, noun: str = 'rows') -> np.ndarray:
  """Returns which rows have values that their columns can take, bool `[N]`.

  Others, such as those with a negative number in a column of positive ones, or
  one that float32 rounds to a bound, are named in a warning.

  Args:
    x, types, names, index: see `mapping.with_density`.
    noun: what the warning calls the rows.

  Raises:
    InvalidValueError: if there are no such rows.
  """
  has_density, places = mapping.with_density(types, x, names, index)
  if places:
    _logger.warning(
        '%d of %d %s have no density with these types of columns in float32, '
        'and are left out of the mean: %s. Use --column_types=NAME:real, or '
        '--drop=NAME, in a new run.', np.sum(~has_density), len(x), noun,
        places)
  errors.check(
      has_density.any(), 'inputs', problem='have no density in any row')
  return has_density
