"""Why rows are odd: which of their columns do not suit the others."""

from collections.abc import Iterator, Sequence
import datetime
import logging
import math
from typing import Any

import numpy as np

from tf_resflow import errors
from tf_resflow import evaluation
from tf_resflow import models
from tf_resflow.columns import column_types
from tf_resflow.columns import rows as rows_lib
from tf_resflow.evaluation import conditionals as conditionals_lib

_logger = logging.getLogger(__name__)
# Rows with a log p(x) above this quantile of samples are not odd.
_USUAL = 0.05
# Nats in which two replacements are equally good.
_TIE = 1.0


def explain(
    flow: models.Flow, rows: Any, *, top: int | None = 10,
    columns: Sequence[str] | None = None, level: float = 0.9,
    max_columns: int = 3, condition: Any = None, **settings: Any) -> Any:
  """Returns which columns make rows odd, by `p(x_i | other columns)`.

  That is `p(x) / integral p(x) dx_i`, from the exact log p of the flow; see
  `evaluation.conditionals`. It says what is unusual given the other columns,
  which may themselves be the wrong ones: so columns are also replaced by their
  likeliest values, first the one that raises log p(x) most, then a second and a
  third, until the row is no longer odd: until its log p(x) is above that of one
  in twenty samples of the flow.

  Args:
    flow: of `fit` or `load`, or another one, of vectors with at most 64
      columns.
    rows: those of `score`; rows with an empty cell are passed over.
    top: number of rows, those of the lowest log p(x); None for all.
    columns: names of the columns to report, by default all.
    level: probability of the sets of usual values.
    max_columns: most columns that are replaced at once.
    condition: of arrays, see `score`.
    **settings: see `evaluation.EvaluationSettings`.

  Returns:
    A data frame with a line for each row and column; rows begin with the
    oddest, its columns with the one whose replacement raises log p(x) most.
    `row`, its label in the index of the rows; `log_prob`, log p(x) of the row,
    nats; `column`, `value`; `p_value`, the probability of values at most as
    dense given the other columns, times the number of columns, at most 1 (the
    density is that of the mapped number, and of whole numbers the probability);
    `usual`, the shortest set with a probability of `level`, perhaps of several
    intervals; `likeliest`, the value with the highest density; `gain`, by how
    much it raises the log-density of the row, nats; `is_normalised`, whether
    the quadrature converged to 1e-3; `replaced`, 1, 2, ... for the columns
    that were replaced at once, in this order, and otherwise 0;
    `explanation`, a sentence on the row.

  Raises:
    InvalidValueError: if the flow is of images, or its log-determinants are
      estimated; or a column or row does not suit it.

  Example:
    >>> flow = models.VectorFlowConfig(event_size=2, num_blocks=1).build()
    >>> flow.initialize(np.random.default_rng(0).normal(size=[50, 2]))
    >>> found = explain(flow, np.array([[0.1, 9.0]]))
    >>> found[['column', 'value', 'replaced']].values.tolist()
    [['x1', 9.0, 1], ['x0', 0.1, 0]]
  """
  import pandas as pd

  names = flow.schema.names
  unknown = sorted({*(columns or names)} - {*names})
  errors.check(not unknown, 'columns', ', '.join(unknown),
               f'columns of the flow: {", ".join(names)}')
  rows = evaluation.example_files.read_rows(
      rows, flow, missing='nan', condition=condition).complete()
  labels = np.arange(1, len(rows) + 1) if rows.index is None else rows.index
  return pd.DataFrame(
      {'row': labels[row], **line}
      for row, lines in explanations(
          flow, rows, top, level=level, max_columns=max_columns, **settings)
      for line in lines if line['column'] in (columns or names))


def explanations(
    flow: models.Flow, rows: rows_lib.Rows, top: int | None = None, *,
    level: float = 0.9, max_columns: int = 3, **settings: Any,
) -> Iterator[tuple[int, list[dict[str, Any]]]]:
  """Yields the places of odd rows, and their lines of `explain`.

  The arguments are those of `explain`; no cell of the rows is empty.
  """
  used = evaluation.EvaluationSettings.of(flow, **settings)
  errors.check(not flow.is_image, 'flow', 'one of images', 'one of vectors')
  errors.check(
      not flow.is_random_with(used.estimator), 'flow',
      f'one of {flow.latent_size} columns', problem='cannot explain rows',
      advice='Its log p is estimated, with noise that hides single columns; of '
      'up to 64 columns it is exact.')
  errors.check(0.0 < level < 1.0, 'level', level, 'a number between 0 and 1')
  found = conditionals_lib.Conditionals(flow, settings=used)
  # As `score` rounds them.
  x = rows.x if flow.schema.dtype else column_types.rounded(rows.x)
  log_prob = found.log_probs(x, rows.condition)
  order = np.argsort(log_prob, kind='stable')[:top]
  _logger.info(
      'Explaining %d rows: about %s.', len(order), datetime.timedelta(
          seconds=math.ceil(len(order) * found.seconds(
              x[0], None if rows.condition is None else rows.condition[0]))))
  reference: Any = None
  for row in order:
    given = None if rows.condition is None else rows.condition[row]
    if reference is None or given is not None:
      reference = found.reference(given)
    yield int(row), _lines(
        found, reference, np.float64(x[row]), rows.x[row], flow.schema.names,
        float(log_prob[row]), level, max_columns)


def _lines(found, reference, x, cells, names, log_prob, level, max_columns):
  """Returns the lines of one row."""
  every = found(x, range(len(x)), reference)
  replaced = _replacements(found, reference, x, every, log_prob, max_columns)
  order = sorted(range(len(x)), key=lambda i: -every[i].gain)
  described = [' or '.join(
      f'{low:.6g}' if low == high else f'{low:.6g} to {high:.6g}'
      for low, high in one.interval(level)) for one in every]
  share = np.mean(reference.log_prob < log_prob)
  text = (f'log p {log_prob:.2f}, lower in {share:.1%} of the samples of the '
          'flow')
  if replaced:
    first = next(iter(replaced))
    causes = [first, *(
        i for i in order
        if i != first and every[first].gain - every[i].gain < _TIE)]
    text += '; odd is ' + ('one of ' if causes[1:] else '') + ', '.join(
        f'{names[i]} {cells[i]:.6g} (given the others {level:.0%} are '
        f'{described[i]})' for i in causes)
    if len(replaced) > 1:
      text += '; usual would be ' + ', '.join(
          f'{names[i]} {value:.6g}' for i, value in replaced.items())
  return [{
      'log_prob': log_prob, 'column': names[i], 'value': float(cells[i]),
      'p_value': min(1.0, every[i].tail() * len(x)), 'usual': described[i],
      'likeliest': every[i].mode, 'gain': every[i].gain,
      'is_normalised': every[i].is_normalised,
      'replaced': [*replaced, i].index(i) + 1 if i in replaced else 0,
      'explanation': text} for i in order]


def _replacements(found, reference, x, every, log_prob, max_columns):
  """Returns the likeliest values of the columns to replace, by their places.

  Each further column is the one that raises log p most beside the others, which
  then move once more; none is needed if the row is usual.
  """
  usual = np.quantile(reference.log_prob, _USUAL)
  values: dict[int, float] = {}
  x = x.copy()
  while log_prob < usual and len(values) < min(max_columns, len(x)):
    others = [i for i in range(len(x)) if i not in values]
    if values:
      every = dict(zip(others, found(
          x, others, reference, max_rounds=1), strict=True))
    for i in (max(others, key=lambda i: every[i].gain), *values):
      (one,) = found(x, [i], reference)
      values[i] = x[i] = one.mode
    log_prob = found.log_probs(x[np.newaxis], reference.condition)[0]
  return values
