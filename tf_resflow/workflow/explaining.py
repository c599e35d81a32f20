"""Why rows are odd: which of their columns do not suit the others."""

from collections.abc import Iterator, Sequence
import logging
import math
import time
from typing import Any

import numpy as np

from tf_resflow import errors
from tf_resflow import evaluation
from tf_resflow import models
from tf_resflow.columns import cells
from tf_resflow.columns import column_types
from tf_resflow.columns import rows as rows_lib
from tf_resflow.evaluation import conditionals as conditionals_lib

_logger = logging.getLogger(__name__)
# Rows with a density above this quantile of that of samples are not odd.
_USUAL = 0.05
# Nats in which two replacements are equally good.
_TIE = 1.0


def explain(
    flow: models.Flow, rows: Any, *, top: int | None = 10,
    columns: str | Sequence[str] | None = None, level: float = 0.9,
    max_columns: int = 3, condition: Any = None, **settings: Any) -> Any:
  """Returns which columns make rows odd, by `p(x_i | other columns)`.

  That is `p(x) / integral p(x) dx_i`, from the exact log p of the flow; see
  `evaluation.conditionals`. It says what is unusual given the other columns,
  which may themselves be the wrong ones: so columns are also replaced by their
  likeliest values, first the one that raises the density most, then a second
  and a third, until the row is no longer odd: until its density is above that
  of one in twenty samples of the flow. Densities are those of the numbers to
  which the types of the columns map, so that units play no part.

  Args:
    flow: of `fit` or `load`, or another one, of vectors, with exact
      log-determinants, as those of up to 64 columns have.
    rows: those of `score`; rows with an empty cell are passed over.
    top: number of rows, those of the lowest log p(x); None for all.
    columns: names of the columns to report, by default all.
    level: probability of the sets of usual values.
    max_columns: most columns that are replaced at once.
    condition: of arrays, see `score`.
    **settings: see `evaluation.EvaluationSettings`.

  Returns:
    A data frame with a line for each row and column; rows begin with the
    oddest, its columns with the one whose replacement helps most. `row`, its
    label in the index of the rows, or its number, from 1, in an array;
    `log_prob`, log p(x) of the row, nats; `p_model`, the share of samples of
    the flow with no higher one, which is a p-value if the flow is right;
    `column`, `value`; `p_value`, the probability of values at most as dense
    given the other columns, times the number of columns, at most 1 (of whole
    numbers: at most as probable);
    `usual`, the shortest set with a probability of `level`, perhaps of several
    intervals; `likeliest`, the value with the highest density; `gain`, by how
    much it raises the log-density, nats; `is_normalised`, whether the
    quadrature converged to 1e-3; `replaced`, 1, 2, ... for the columns that
    were replaced at once, in this order, and otherwise 0; `explanation`, a
    sentence on the row. Values that a column cannot take are replaced first;
    their `p_value` is 0, and their `gain` infinite.

  Raises:
    InvalidValueError: if the flow is of images, or its log-determinants are
      estimated; or an argument or row does not suit it.

  Example:
    >>> flow = models.VectorFlowConfig(event_size=2, num_blocks=1).build()
    >>> flow.initialize(np.random.default_rng(0).normal(size=[50, 2]))
    >>> found = explain(flow, np.array([[0.1, 9.0]]))
    >>> found[['column', 'value', 'replaced']].values.tolist()
    [['x1', 9.0, 1], ['x0', 0.1, 0]]
  """
  import pandas as pd

  names = flow.schema.names
  shown = names if columns is None else cells.as_names(columns)
  unknown = [name for name in shown if name not in names]
  errors.check(not unknown, 'columns', ', '.join(unknown),
               f'columns of the flow: {", ".join(names)}')
  errors.check(top is None or top > 0, 'top', top, 'a number > 0')
  rows = evaluation.example_files.read_rows(
      rows, flow, missing='nan', condition=condition)
  is_complete = rows.is_complete & np.isfinite(rows.x).all(axis=1)
  errors.check(is_complete.any(), 'rows', f'{len(rows)} of them', 'a row '
               'without an empty cell')
  labels = np.arange(1, len(rows) + 1) if rows.index is None else rows.index
  return pd.DataFrame(
      {'row': labels[is_complete][row], **line}
      for row, lines in explanations(
          flow, rows.take(is_complete), top, level=level,
          max_columns=max_columns, **settings)
      for line in lines if line['column'] in shown)


def check(flow: models.Flow, **settings: Any) -> evaluation.EvaluationSettings:
  """Returns the settings of explanations, if a flow can have some."""
  settings.setdefault('strategy', flow.run and flow.run.strategy)
  used = evaluation.EvaluationSettings.of(flow, **settings)
  errors.check(not flow.is_image, 'flow', 'one of images', 'one of vectors')
  errors.check(
      not flow.is_random_with(used.estimator), 'estimator', used.estimator,
      'exact log-determinants, as of up to 64 columns',
      'The noise of estimates hides single columns.')
  return used


def explanations(
    flow: models.Flow, rows: rows_lib.Rows, top: int | None = None, *,
    level: float = 0.9, max_columns: int = 3, **settings: Any,
) -> Iterator[tuple[int, list[dict[str, Any]]]]:
  """Yields the places of odd rows, and their lines of `explain`.

  The arguments are those of `explain`; no cell of the rows is empty.
  """
  found = conditionals_lib.Conditionals(flow, settings=check(flow, **settings))
  errors.check(0.0 < level < 1.0, 'level', level, 'a number between 0 and 1')
  # As `score` rounds them.
  x = np.float64(
      rows.x if flow.schema.dtype else column_types.rounded(rows.x))
  log_prob = found.log_probs(x, rows.condition)
  order = np.argsort(log_prob, kind='stable')[:top]
  references: dict[Any, conditionals_lib.Reference] = {}
  start = time.monotonic()
  for count, row in enumerate(order):
    given = None if rows.condition is None else rows.condition[row]
    key = None if given is None else given.tobytes()
    if key not in references:
      references[key] = found.reference(given)
    yield int(row), _lines(
        found, references[key], x[row], rows.x[row], flow.schema.names,
        float(log_prob[row]), level, max_columns)
    if not count and len(order) > 1:
      seconds = time.monotonic() - start
      _logger.info(
          'Explained one row in %.1f s; the other %d take about %.0f s.',
          seconds, len(order) - 1, seconds * (len(order) - 1))


def _lines(found, reference, x, values, names, log_prob, level, max_columns):
  """Returns the lines of one row."""
  wrong = np.flatnonzero(~found.supports(x))
  x = x.copy()
  x[wrong] = reference.x[reference.log_density.argmax(), wrong]
  every = found(x, range(len(x)), reference)
  replaced, is_usual = _replacements(
      found, reference, x, every, wrong, max_columns)
  gains = [np.inf if i in wrong else one.gain for i, one in enumerate(every)]
  order = sorted(range(len(x)), key=lambda i: -gains[i])
  usual = [' or '.join(dict.fromkeys(
      ' to '.join(dict.fromkeys(_digits(one, v, high - low) for v in (low, high)
                                )) for low, high in one.interval(level)))
           for one in every]
  share = np.mean(reference.log_prob <= log_prob)
  text = (f'log p {log_prob:.2f}, lower in {share:.1%} of the samples of the '
          'flow')
  if replaced:
    first = next(iter(replaced))
    causes = [first, *(i for i in order if i != first
                       and gains[first] - gains[i] < _TIE)]
    text += '; odd is ' + ('one of ' if causes[1:] else '') + ', '.join(
        f'{names[i]} {_digits(every[i], values[i])} ('
        + (f'not {found.types[i].expected}; ' if i in wrong else '')
        + f'given the others {level:.0%} are {usual[i]})' for i in causes)
    if len(replaced) > 1 or not is_usual:
      text += ('; usual' if is_usual else '; no single cell explains it: '
               'better, but still odd,') + ' would be ' + ', '.join(
              f'{names[i]} {_digits(every[i], value)}'
              for i, value in replaced.items())
  p_model = (share * len(reference.x) + 1.0) / (len(reference.x) + 1.0)
  return [{
      'log_prob': log_prob, 'p_model': p_model, 'column': names[i],
      'value': float(values[i]),
      'p_value': 0.0 if i in wrong else min(1.0, every[i].tail() * len(x)),
      'usual': usual[i], 'likeliest': every[i].mode, 'gain': gains[i],
      'is_normalised': every[i].is_normalised,
      'replaced': [*replaced, i].index(i) + 1 if i in replaced else 0,
      'explanation': text} for i in order]


def _digits(one, value, width=0.0):
  """A value of a column as text, with the digits that tell such a width."""
  if one.column_type.is_integer:
    return f'{value:.15g}'
  ratio = abs(value / width) if width else 1.0
  return f'{value:.{max(6, math.ceil(np.log10(max(ratio, 1.0))) + 3)}g}'


def _replacements(found, reference, x, every, wrong, max_columns):
  """Returns likeliest values of columns by their places; if they suffice.

  Those that a column cannot take are first. Each further column is the one that
  raises the density most beside the others, which then move once more; none is
  needed if the row is usual.
  """
  usual = np.quantile(reference.log_density, _USUAL)
  values: dict[int, float] = {}
  x = x.copy()
  while True:
    now = found.log_densities(x[np.newaxis], reference.condition)[0]
    left = [i for i in wrong if i not in values]
    if not left and now >= usual or len(values) >= min(max_columns, len(x)):
      return values, bool(now >= usual and not left)
    others = [i for i in range(len(x)) if i not in values]
    if values:
      every = dict(zip(others, found(
          x, others, reference, max_rounds=2), strict=True))
    for i in (max(left or others, key=lambda i: every[i].gain), *values):
      (one,) = found(x, [i], reference)
      values[i] = x[i] = one.mode
