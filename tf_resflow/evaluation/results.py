"""What evaluations return: numbers, values of every example, bounds, notes."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
import dataclasses
import math
import os
import textwrap
from typing import Any, Self

import numpy as np

from tf_resflow import errors
from tf_resflow import models
from tf_resflow.columns import rows as rows_lib
from tf_resflow.columns import table_files

_CHANGED = 'have changed since they were read'


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Results:
  """What an evaluation of a flow found.

  Attributes:
    numbers: numbers and texts by name, also nested, for JSON.
    arrays: values of every example by name, for a file.
    bounds: Lipschitz bounds of all blocks that have some.
    notes: what people should know, a sentence each.
    unit_notes: what stands beside a number in the table, by its name.
    cells_fn: returns the examples as data frames, one after another, if they
      are rows.

  Example:
    >>> results = Results(numbers={'nats': 0.5}, arrays={'log_prob': [-0.5]})
    >>> results.extended(numbers={'step': 3}).report()
    {'nats': 0.5, 'step': 3}
    >>> results.frame().to_dict('records')
    [{'log_prob': -0.5}]
    >>> results
    nats 0.5
    of every example, by frame(): log_prob
  """

  numbers: Mapping[str, Any]
  arrays: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  bounds: Sequence[models.LipschitzReport] = ()
  notes: tuple[str, ...] = ()
  unit_notes: Mapping[str, str] = dataclasses.field(default_factory=dict)
  cells_fn: Callable[[], Iterable[Any]] | None = None

  def extended(
      self, numbers: Mapping[str, Any] | None = None,
      arrays: Mapping[str, Any] | None = None, notes: Sequence[str] = (),
      first: Mapping[str, Any] | None = None) -> Self:
    """Returns the results with more numbers, arrays and notes.

    Numbers of `first` stand before the others.
    """
    return dataclasses.replace(
        self, numbers={**(first or {}), **self.numbers, **(numbers or {})},
        arrays={**self.arrays, **(arrays or {})}, notes=(*self.notes, *notes))

  def __repr__(self) -> str:
    """Returns the numbers, notes, and what there is of every example."""
    return '\n'.join([textwrap.fill(', '.join(
        f'{name} {_format(value)}' for name, value in _flat(self.numbers)), 80),
                      *self.notes, 'of every example, by frame(): '
                      f'{", ".join(self.arrays)}'])

  def report(self) -> dict[str, Any]:
    """Returns the numbers, a dict for JSON."""
    return dict(self.numbers)

  def table(self) -> str:
    """Returns the bounds of the blocks and the numbers as readable tables."""
    return format_table(self.numbers, self.bounds, self.unit_notes)

  def frame(self) -> Any:
    """Returns the examples as a data frame, with columns of scores appended.

    Raises:
      InvalidValueError: if they have a column of such a name.
    """
    import pandas as pd  # Takes a second.

    return pd.concat([*self.frames()])

  def frames(self) -> Iterator[Any]:
    """Yields the `frame` in the parts in which its rows were read."""
    import pandas as pd  # Takes a second.

    # Nothing is estimated in a single repeat.
    scores = {name: self.arrays[name] for name in rows_lib.SCORES if name in (
        self.arrays) and (name != 'log_prob_stderr' or len(
            self.arrays.get('log_det_repeats', (0, 0))) > 1)}
    index = pd.RangeIndex(1, len(self.arrays['log_prob']) + 1, name='row')
    end = 0
    for cells in [pd.DataFrame(
        index=index)] if self.cells_fn is None else self.cells_fn():
      part = slice(end, end := end + len(cells))
      errors.check(end <= len(index), 'inputs', problem=_CHANGED)
      if cells.index.name is None:
        cells = cells.set_axis(index[part])
      with errors.format_errors(
          'inputs', ', '.join(map(str, cells)), 'rows without scores'):
        rows_lib.check_free(cells, list(scores))
      yield cells.assign(**{  # Integers, also beside missing values.
          name: pd.array(values[part], rows_lib.SCORES[name])
          for name, values in scores.items()})
    errors.check(end == len(index), 'inputs', problem=_CHANGED)

  def lowest(self, num_rows: int, columns: Sequence[str] = ()) -> str:
    """Returns the `num_rows` rows with the lowest log p(x) as text.

    Of their cells those of `columns` are shown, by default all.
    """
    import pandas as pd  # Takes a second.

    frame = pd.concat(
        [part.nsmallest(num_rows, 'log_prob') for part in self.frames()]
    ).nsmallest(num_rows, 'log_prob').dropna(subset='log_prob')
    name = frame.index.name
    cells = {*columns} & {*frame} or {*frame}
    shown = [c for c in frame if c in cells or (
        c in rows_lib.SCORES and c != 'explanation')]
    return frame[shown].rename_axis(index=None, columns=name).to_string(
        float_format='{:.6g}'.format)

  def write(self, path: str | os.PathLike) -> None:
    """Writes the `frame` to a table, or the arrays to an .npz file.

    A table, .csv or .parquet, is written in parts; it appears whole, or not at
    all.
    """
    if table_files.is_table(path):
      table_files.write(path, self.frames())
    else:
      np.savez(path, **{
          name: np.array(values, str) if np.asarray(values).dtype == object
          else values for name, values in self.arrays.items()})


def _flat(report, prefix=''):
  """Yields names and values of a report; nested names are `NAME.KEY`."""
  for name, value in report.items():
    if isinstance(value, dict):
      yield from _flat(value, f'{prefix}{name}.')
    else:
      yield f'{prefix}{name}', value


def _format(value, missing='not computed', digits='.6g'):
  if value is None:
    return missing
  return f'{value:{digits}}' if isinstance(value, float) else str(value)


def _norm_name(order):
  """Returns the name of an l_p norm; None stands for all, NaN for none."""
  return 'any' if order is None else 'none' if math.isnan(order) else (
      f'l_{order:.3g}')


def format_table(
    report: Mapping[str, Any], bounds: Sequence[models.LipschitzReport] = (),
    notes: Mapping[str, str] | None = None) -> str:
  """Returns the bounds of all blocks and a report as readable tables.

  The product of norms of a block is that of its layers by power iteration.

  Args:
    report: names and values, also nested.
    bounds: see `models.LipschitzReport`.
    notes: what stands beside a value, by its name.
  """
  rows = {name: f'{_format(value)} {(notes or {}).get(name, "")}'.rstrip()
          for name, value in _flat(report)}
  width = max(map(len, rows))
  lines = [
      f'{bound.name:12}{_format(bound.power_iteration, "unknown", ".6f"):>17}'
      f'{_format(bound.certificate, "uncertified", ".6f"):>13}'
      f'  {_norm_name(bound.order):8}{", ".join(bound.methods)}'
      for bound in bounds]
  if bounds:
    lines = [f'{"block":12}{"product of norms":>17}{"certificate":>13}'
             '  norm    layers certified by', *lines, '']
  return '\n'.join(lines + [
      f'{name:{width}}  {value}' for name, value in rows.items()])
