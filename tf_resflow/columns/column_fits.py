"""Types, location, scale and correlations of columns, from training rows."""

from collections.abc import Sequence
import dataclasses
import logging
import re
from typing import Any

import numpy as np

from tf_resflow import errors
from tf_resflow.columns import column_checks
from tf_resflow.columns import column_choice
from tf_resflow.columns import column_types
from tf_resflow.columns import correlations
from tf_resflow.columns import mapping
from tf_resflow.columns import schema as schema_lib
from tf_resflow.specs import fields
from tf_resflow.specs import registries

_logger = logging.getLogger(__name__)
# Larger whole numbers plus a fraction are rounded too much in float32.
_LARGEST_WHOLE = 2**20
# Least number of values of a grid, and step in robust standard deviations.
_MIN_GRID_VALUES = 20
_MIN_STEP = 0.01
# Share of distinct values up to which finer grids with an atom are grids, too.
_MAX_SHARE_OF_VALUES = 0.5
# Mean of a grid from 0, in standard deviations, from which on its samples are
# hardly ever negative.
_MIN_STDS = 3.0
# Mean log-likelihood of a Gaussian of mapped values that a type has to gain,
# nats a row, and in all.
_MIN_GAIN = 0.02
_MIN_TOTAL_GAIN = 3.0
# Share of the distinct values of a column that float32 has to keep apart.
_MIN_SHARE_OF_VALUES = 0.9
# Rounding of standardised, whitened rows, which costs about 1e-3 nats a row,
# above which they are float64, in so many rows; and that of float64 which is
# refused.
_MAX_ROUNDING = 3e-4
_MAX_ROUNDED_ROWS = 10_000
_MAX_FLOAT64_ROUNDING = 3e-5
# Weight of a column in a direction, beside the largest, from which it is named.
_MIN_SHARE_OF_WEIGHT = 0.02


def _gaussian_log_likelihood(column_type, x):
  """Returns the largest mean of `log p(x)` if `f(x)` is Gaussian, nats."""
  noise = mapping.cell_points(1)[np.arange(len(x)) % 16]
  y, log_slope = mapping.mapped([column_type.spec()], x[:, np.newaxis], noise)
  return float(np.mean(log_slope) - 0.5 * np.log(
      2.0 * np.pi * np.e * max(y.var(), 1e-300)))


def candidates(
    x: np.ndarray, others: Sequence[float] | np.ndarray = (),
) -> tuple[column_types.ColumnType, ...]:
  """Returns the types that a column `[N]` may have, the simplest one first.

  They support `others`, too. They are grids if all values are multiples of one
  step, at least 20 different ones, and the step is at least 1 % of a robust
  standard deviation, or values repeat and have no bounded density; and if all
  are whole numbers, none above 2^20. Grids from 0 have only the logarithm,
  whose samples are not negative, unless their mean is far above 0. Of other
  numbers bounds of [0, 1] and [0, 100] are tried, no others, and only where no
  value is rounded to a bound in float32.
  """
  known = np.concatenate([x, others])
  step, largest = column_types.step_of(known), np.abs(known).max()
  num_values = step and len(np.unique(np.rint(x / step)))
  is_grid = largest <= step * _LARGEST_WHOLE and (
      num_values >= _MIN_GRID_VALUES) and (
          step >= _MIN_STEP * column_types.Heavy.fitted(x).scale or
          num_values <= _MAX_SHARE_OF_VALUES * len(x) and
          column_checks.unbounded([''], x[:, np.newaxis], ['real']))
  if is_grid or np.all(known == np.round(known)) and largest <= _LARGEST_WHOLE:
    step = step if is_grid else 1.0
    found = [column_types.Integer.fitted(known, step)]
    if known.min() < 0.0 or x.mean() > _MIN_STDS * x.std():
      found += [column_types.SignedInteger(step),
                column_types.HeavyInteger.fitted(x, step)]
    return tuple(dict.fromkeys(found))
  return (column_types.Real(), *(
      candidate for candidate in (
          column_types.Log(), column_types.Heavy.fitted(x), *(
              column_types.Logit(upper) for upper in (1.0, 100.0)
              # Otherwise it is as good as the logarithm.
              if x.max() > upper / 2))
      if np.all(candidate.supports(column_types.rounded(known)))))


def detected(
    x: np.ndarray, others: Sequence[float] | np.ndarray = (),
) -> column_types.ColumnType:
  """Returns the type of a column `[N]` by itself, one of its `candidates`.

  It is that under which the values are most likely if mapped values are
  Gaussian, as for the power of Box and Cox.

  Example:
    >>> rng = np.random.default_rng(0)
    >>> x = rng.standard_normal(1000)
    >>> detected(x), detected(np.exp(x)), detected(np.round(9 * x))
    (real, log, signed_integer)
    >>> detected(np.round(x, 1)), detected(25 * np.round(99 + 9 * x))
    (signed_integer:0.1, integer:25)

  References:
    Box and Cox, 1964, An Analysis of Transformations, Section 3.
  """
  best, *alternatives = candidates(x, others)
  highest = _gaussian_log_likelihood(best, x)
  margin = max(_MIN_GAIN, _MIN_TOTAL_GAIN / len(x))
  for candidate in alternatives:
    value = _gaussian_log_likelihood(candidate, x)
    if value > highest + margin:
      best, highest = candidate, value
  return best


def fit(
    schema: schema_lib.Schema, rows: np.ndarray,
    condition: Any = None, num_validation: int = 0,
    asked: Sequence[str] = (), dataset: str = 'dataset', index: Any = None,
    weight: Any = None) -> tuple[schema_lib.Schema, float]:
  """Fits a schema to the training part.

  Args:
    schema: names and roles of columns.
    rows: training part of `x` with validation, `[N, D]`.
    condition: coordinates of its conditions `[N, K]`, or labels, or None.
    num_validation: number of the last rows, which are held out; types have to
      support them, too.
    asked: types that were asked for, `NAME:TYPE`; others are detected. With
      'none' columns are only standardised.
    dataset: name of the data set, for messages.
    index: of the table of these rows, if there is one, for messages.
    weight: of rows, `[N]`, in moments and correlations; or None.

  Returns:
    The schema with types, moments of mapped columns and whitening, and the
    `smoothing`.

  Raises:
    InvalidValueError: if a type that was asked for does not suit its column,
      or a column has one value in all training rows.
  """
  specs = _asked(schema, asked, dataset)
  size, names = len(rows) - num_validation, schema.names
  errors.check(
      size > 1, 'num_validation', num_validation, f'at most {len(rows) - 2}, '
      f'as {dataset} has {len(rows)} training examples')
  rows = np.asarray(rows, np.float64)
  x, weight = rows[:size], None if weight is None else weight[:size]
  counted = x if weight is None else x[weight > 0.0]
  errors.check(len(counted), 'sample_weight', 'zeros', 'a positive number',
               'All training rows but those for validation have none.')
  for name, column in zip(names, counted.T, strict=True):
    errors.check(
        np.ptp(column) > 0, 'dataset', dataset, problem=f'has a column {name} '
        f'with the value {column[0]:g} in all training rows but those for '
        'validation', advice=f'It has no density: add --drop={name}, or take '
        'another --num_validation.')
  types = _chosen_types(
      {name: _of_spec(name, spec, rows[:, names.index(name)], size, index)
       for name, spec in specs.items()}, names, rows, size,
      condition[:size] if schema.conditions else None)
  y, _ = mapping.mapped([t.spec() for t in types], x)
  z = mapping.one_per_cell(y)
  y = y.reshape([-1, len(names)])
  weights = None if weight is None else np.repeat(weight, len(y) // size)
  columns = with_moments([
      dataclasses.replace(column, type=t.spec())
      for column, t in zip(schema.modelled, types, strict=True)], y, weights)
  mean, std = np.transpose([column.mean + column.std for column in columns])
  _check_digits(names, columns, y, x)
  column_checks.warn_of_density(names, x, [c.type for c in columns])
  if schema.conditions:
    columns += with_moments(schema.conditions, condition[:size], weight)
  is_plain = fields.NONE in asked
  fitted = schema_lib.Schema(
      columns=tuple(columns),
      whitening=() if is_plain else correlations.whitening(
          (y - mean) / std, weights))
  return dataclasses.replace(fitted, dtype=_dtype(fitted, x)), (
      0.0 if is_plain else correlations.smoothing((z - mean) / std))


def _chosen_types(asked, names, rows, size, condition):
  """Returns the types of columns, given those that were asked for."""
  parts = [(column[:size], column[size:]) for column in rows.T]
  types = tuple(asked.get(name) or detected(*part)
                for name, part in zip(names, parts, strict=True))
  if len(names) in (1, len(asked)):
    return types
  options = [(asked[name],) if name in asked else candidates(*part)
             for name, part in zip(names, parts, strict=True)]
  return column_choice.chosen(options, types, rows[:size], condition)


def _asked(schema, asked, dataset):
  """Returns the specs of types that were asked for, by column, or raises."""
  if fields.NONE in asked:
    errors.check(len(asked) == 1, 'column_types', ','.join(asked),
                 'none alone, or types of columns')
    return dict.fromkeys(schema.names, column_types.Real().spec())
  for text in asked:
    name, _, spec = text.partition(':')
    errors.check(
        name in schema.names and spec in registries.COLUMN_TYPES,
        'column_types', text, f'NAME:TYPE with a modelled column of {dataset} '
        f'and {registries.COLUMN_TYPES.expected}; or none', '' if (
            name in schema.names) else errors.did_you_mean(name, schema.names))
  return dict(text.partition(':')[::2] for text in asked)


def _of_spec(name, spec, x, size, index):
  """Returns a type that was asked for, fitted to the first rows, or raises."""
  column_type = column_types.ColumnType.get(spec, 'column_types')
  if ':' not in spec:
    column_type = type(column_type).fitted(x[:size])
  for on_grids in (False, True):
    is_right, places = mapping.with_density(
        [column_type.spec()], x[:, np.newaxis], [name], index, on_grids)
    errors.check(
        is_right.all(), 'column_types', f'{name}:{spec}', 'a type of which '
        f'all training values are {column_type.expected} in float32',
        f'{np.sum(~is_right):,} of {len(x):,} are not: {places}. Use '
        f'--column_types={name}:{_kind(detected(x).spec())}'
        f'{"" if index is None else f", or --drop={name}"}.')
  return column_type


def _check_digits(names, columns, rows, x):
  """Raises `InvalidValueError` if outliers cost other values their digits."""
  for name, column, y, raw in zip(names, columns, rows.T, x.T, strict=True):
    values = np.float32(y)
    left = (values - np.float32(column.mean)) / np.float32(column.std)
    num_values, num_left = len(np.unique(values)), len(np.unique(left))
    if len(x) == len(y):  # Not on a grid; a map may keep rounding apart.
      num_values = min(num_values, len(np.unique(np.float32(raw))))
    errors.check(
        num_left >= _MIN_SHARE_OF_VALUES * num_values, 'column_types',
        f'{name}:{column.type}', problem=f'leaves {num_left:,} of '
        f'{num_values:,} distinct values in float32, because of outliers such '
        f'as {y[np.argmax(np.abs(y - np.median(y)))]:g}',
        advice=f'Use another type, such as {name}:heavy, or remove them.')


def _dtype(schema, x):
  """Returns the dtype of rows that keeps their digits; or raises.

  What counts is the rounding of standardised and whitened rows in any direction
  in most rows, not near bounds, where few values are. As maps increase, the
  largest values are mapped from the least and the largest.
  """
  used = np.linspace(0, len(x) - 1, min(len(x), _MAX_ROUNDED_ROWS)).astype(int)
  x = np.concatenate([[x.min(axis=0), x.max(axis=0)], x[used]])
  mean, std = map(np.array, schema.moments(schema_lib.MODELLED))
  matrix = np.eye(len(mean))
  if schema.whitening:
    matrix[np.tril_indices(len(mean))] = schema.whitening
  specs = [column.type for column in schema.modelled]

  def mapped(dtype):
    return mapping.one_per_cell(
        mapping.mapped(specs, x.astype(dtype))[0]).astype(dtype)

  def standardized(y):
    return np.float64((y - mean.astype(y.dtype)) / std.astype(
        y.dtype) @ matrix.T.astype(y.dtype))

  y = mapped('float64')
  rounding = np.quantile(np.abs(
      standardized(mapped('float32')) - standardized(y)), 0.9, axis=0)
  if rounding.max() <= _MAX_ROUNDING:
    return None
  weights = np.abs(matrix)
  bounds = 2.0**-53 * weights @ (np.abs(y).max(axis=0) / std)  # In float64.
  worst = weights[np.argmax(bounds)]
  names = [name for name, weight in zip(schema.names, worst, strict=True)
           if weight > _MIN_SHARE_OF_WEIGHT * worst.max()]
  errors.check(
      bounds.max() <= _MAX_FLOAT64_ROUNDING, 'columns', ','.join(names),
      problem='vary too little for their size, together if not alone, for '
      'float64', advice='Subtract constants, or leave one of them out.')
  _logger.info('Rows are float64: float32 would cost digits of %s.',
               ', '.join(names))
  return 'float64'


def with_moments(
    columns: Sequence[schema_lib.Column], rows: np.ndarray, weight: Any = None,
) -> list[schema_lib.Column]:
  """Returns columns with the moments of their coordinates `[N, K]`."""
  rows = np.float64(rows)
  mean = np.average(rows, axis=0, weights=weight)
  std = np.sqrt(np.average(np.square(rows - mean), axis=0, weights=weight))
  moments = (schema_lib.by_column(columns, part) for part in (mean, std))
  return [
      dataclasses.replace(column, mean=tuple(mean.tolist()), std=tuple(
          value or 1.0 for value in std.tolist()))  # Of a level without rows.
      for column, mean, std in zip(columns, *moments, strict=True)]


def _kind(spec):
  """Returns the spec of a type without what is fitted."""
  return re.sub(':.*:.*', '', spec)


def described(schema: schema_lib.Schema) -> str:
  """Returns the types of columns in words; empty if all are real numbers.

  Example:
    >>> described(schema_lib.Schema(columns=[
    ...     schema_lib.Column(name=name, type=spec) for name, spec in (
    ...         ('a', 'log'), ('b', 'real'), ('c', 'heavy:0.0:1.0'))]))
    'log: a; heavy: c; others are real numbers'
  """
  if not schema.types:
    return ''
  kinds: dict[str, list[str]] = {}
  for name, spec in zip(schema.names, schema.types, strict=True):
    kinds.setdefault(_kind(spec), []).append(name)
  kinds.pop(column_types.Real().spec(), None)
  return '; '.join([
      *(f'{kind}: {", ".join(names)}' for kind, names in kinds.items()),
      'others are real numbers'])
