"""What is given of rows: numbers, intervals, and empty cells."""

from collections.abc import Mapping
import dataclasses
import numbers
import os
from typing import Any

import numpy as np

from tf_resflow import errors
from tf_resflow import evaluation
from tf_resflow import models
from tf_resflow.columns import cells
from tf_resflow.columns import mapping
from tf_resflow.columns import rows as rows_lib
from tf_resflow.columns import schema as schema_lib
from tf_resflow.columns import table_files
from tf_resflow.evaluation import batch_map


def read(
    flow: models.Flow, given: Any, condition: Any = None, name: str = 'given',
) -> tuple[rows_lib.Rows, dict[int, list[list[float]]]]:
  """Reads what is given of rows, see `workflow.sample_given`; or raises.

  Args:
    flow: whose columns they are.
    given, condition: those of `sample_given`.
    name: of the argument, for messages.

  Returns:
    `Rows` with NaN for what is not given, of which those are complete that lack
    no condition; and, by places of columns, the ends of intervals in what their
    types take.
  """
  import pandas as pd

  schema = flow.schema
  modelled = [*schema.by_name(schema_lib.MODELLED)]
  roles = schema_lib.OF_FLOWS if condition is None and schema.is_named else (
      schema_lib.MODELLED,)
  known = [*schema.by_name(*roles)]
  intervals: dict[str, Any] = {}
  if isinstance(given, str | os.PathLike):
    with errors.format_errors(name, given, 'a table'):
      frame = table_files.read_frame(given)
  elif isinstance(given, Mapping):
    cells_given = {str(column): value for column, value in given.items()}
    for column, value in cells_given.items():
      # As an empty cell 'nan' would be drawn.
      errors.check(
          column not in modelled or not isinstance(value, str)
          or cells.is_number(value.strip()), name, f'{column}={value}',
          'a number')
    intervals = {column: cells_given.pop(column)
                 for column, value in [*cells_given.items()]
                 if np.iterable(value) and not isinstance(value, str)}
    frame = table_files.plain(pd.DataFrame([cells_given]))
  else:
    errors.check(
        cells.is_frame(given) or np.shape(given)[1:] == (len(modelled),), name,
        f'a {type(given).__name__} of shape {np.shape(given)}',
        f'a dict, a data frame, a path, or an array [N, {len(modelled)}]')
    frame = table_files.plain(given if cells.is_frame(given) else
                              pd.DataFrame(given, columns=modelled))
  errors.check(len(frame), name, 'a table without rows', 'some rows')
  # A name that is misspelt would be a column to draw.
  if name == 'given':
    unknown = sorted({*frame.columns, *intervals} - {*known})
    errors.check(
        not unknown, name, ', '.join(unknown),
        f'columns of the flow: {", ".join(known)}', ' '.join(
            filter(None, (errors.did_you_mean(c, known) for c in unknown))))
  else:
    with errors.format_errors(name, 'a table', 'all columns of the flow'):
      cells.check_present(known, frame.columns)
  rows = rows_lib.read(schema, frame.assign(**dict.fromkeys(
      [c for c in modelled if c not in frame], np.nan)), name, 'gaps', roles)
  if condition is not None:
    rows = dataclasses.replace(rows, condition=batch_map.conditions_for(
        flow, rows_lib.condition_array(schema, condition), len(rows)))
  elif flow.condition_spec is not None:
    errors.check(rows.condition is not None, 'condition', problem='is missing',
                 advice='This flow is p(x|c).')
    rows = evaluation.example_files.read_rows(rows, flow, name)
  types = mapping.of_specs(schema.types, rows.x)
  for on_grids in [False, *[True] * isinstance(given, Mapping)]:
    _, problem = mapping.with_density(
        schema.types, rows.x, modelled, frame.index, on_grids)
    errors.check(not problem, name, problem='has a value that its column '
                 f'cannot take: {problem}')
  return rows, {i: _intervals(column, intervals[column], types[i])
                for i, column in enumerate(modelled) if column in intervals}


def _intervals(name, value, column_type):
  """Returns the ends of intervals in what a type takes, or raises."""
  is_pair, what = isinstance(value, tuple), f'{name}={value}'
  ends = [(-np.inf, np.inf)[i % 2] if end is None and is_pair else end
          for i, end in enumerate(value)]
  errors.check(
      ends and all(isinstance(end, numbers.Real) for end in ends)
      and (not is_pair or len(ends) == 2), 'given', what,
      'a number, ends (low, high), or a list of whole numbers')
  errors.check(is_pair or column_type.is_integer, 'given', what, 'a number, or '
               'two ends (low, high)', 'Lists are for whole numbers.')
  low, high = np.array([ends] if is_pair else [(end, end) for end in sorted(
      ends)], np.float64).T
  if column_type.is_integer:  # The cells of the multiples inside.
    low = np.ceil(low / column_type.step - 1e-9)
    high = np.floor(high / column_type.step + 1e-9) + 1.0
  low, high = (np.clip(end, *column_type.bounds) for end in (low, high))
  errors.check(
      np.all(low < high), 'given', what, 'an interval or numbers that are '
      f'{column_type.expected}, low < high')
  is_first = np.r_[True, low[1:] > high[:-1]]  # Cells side by side are one.
  return np.stack([low[is_first], high[np.roll(is_first, -1)]], 1).tolist()
