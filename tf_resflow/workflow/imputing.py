"""Rows of which some columns are given: the others are drawn."""

from collections.abc import Mapping
import dataclasses
import logging
import os
from typing import Any, NamedTuple, Self

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
from tf_resflow.evaluation import conditional_sampling
from tf_resflow.evaluation import likelihood
from tf_resflow.numerics import random
from tf_resflow.workflow import explaining

_logger = logging.getLogger(__name__)
# Rows whose chains move at once.
_NUM_ROWS = 500
# Draws for which a row has four chains: at least five states for each.
_DRAWS_PER_CHAINS = 200
# Share of the samples of the flow with a lower density of the given columns,
# below which that is said.
_IMPROBABLE = 0.01


def sample_given(
    flow: models.Flow, num_samples: int, given: Any, condition: Any = None, *,
    seed: int = 0, **settings: Any) -> Any:
  """Draws rows of a table of which some columns are given.

  From `p(x_u | x_g)`, by the exact log p of a flow of all columns, that was
  trained for no choice of given ones: by four Markov chains or a multiple of
  it, see `evaluation.conditional_sampling`. A given whole number restricts its
  coordinate to its cell.

  Args:
    flow: of `fit` or `load`, or another one, of vectors, with exact
      log-determinants, as those of up to 64 columns have.
    num_samples: number of rows, of each row of `given`.
    given: a dict from names of columns to a number, to the ends `(low, high)`
      of an interval, both included (None for no end), or to a list of whole
      numbers; or a data frame, or the path of a table, of which columns that
      are absent, and empty cells, are drawn. With the columns of the condition
      of a flow `p(x|c)`, unless this is given.
    condition: one for all rows, see `models.Flow`.
    seed: of all draws.
    **settings: see `evaluation.EvaluationSettings`.

  Returns:
    A data frame with the columns of the table; of a frame, the rows of each row
    side by side, with its label. Its `attrs` are, by row of `given`,
    `log_prob_given`, the log of the density of the numbers that are given,
    times the probability of intervals given these, nats; `rank`, the share of
    samples of the flow with less of it; `effective_size` and `r_hat`, those of
    the chains.

  Raises:
    InvalidValueError: if the flow is of images, or its log-determinants are
      estimated; the values given do not suit it; or chains did not converge:
      if the effective number of draws of a column is below 100, or its
      potential scale reduction above 1.05.

  Example:
    >>> flow = models.VectorFlowConfig(event_size=2, num_blocks=1).build()
    >>> flow.initialize(np.random.default_rng(0).normal(size=[50, 2]))
    >>> frame = sample_given(flow, 3, {'x0': 0.5, 'x1': (0.0, None)})
    >>> frame['x0'].tolist(), bool((frame['x1'] > 0.0).all())
    ([0.5, 0.5, 0.5], True)
  """
  errors.check(num_samples >= 1, 'num_samples', num_samples, 'a number >= 1')
  sampler = _Sampler(flow, seed, settings)
  known = _Known.read(flow, given, condition)
  errors.check(known.rows.is_complete.all(), 'given', 'an empty cell in the '
               'condition', 'all of it')
  chains = sampler.run(known, num_samples)
  converged = chains.has_converged
  if not converged.all():
    row = int(np.argmin(converged))
    raise errors.InvalidValueError(
        'given', problem='is too hard to sample for'
        + f' row {row + 1}' * (len(converged) > 1) + ': '
        f'effective draws {chains.effective_size[row]:.0f}, potential scale '
        f'reduction {chains.r_hat[row]:.2f}, expected at least '
        f'{conditional_sampling.MIN_EFFECTIVE:.0f} and at most '
        f'{conditional_sampling.MAX_R_HAT}', advice='Give less, or wider '
        'intervals; or train a flow with the given columns in condition_on.')
  x = sampler.values(known, chains.draws(num_samples))
  frame = rows_lib.to_frame(
      flow.schema, x.reshape([-1, x.shape[-1]]), None if
      known.rows.condition is None else np.repeat(
          known.rows.condition, num_samples, axis=0))
  if known.rows.frame is not None:
    frame.index = np.repeat(known.rows.frame.index, num_samples)
  ranks = sampler.ranks(known, chains.log_prob_given)
  if (low := ranks < _IMPROBABLE).any():
    _logger.warning(
        'What is given%s is improbable: less than %d %% of the samples of the '
        'flow have a lower density of it; where it has seen few rows, its '
        'draws mean little.',
        f' in {low.sum()} of {len(low)} rows' * (len(low) > 1),
        round(100 * _IMPROBABLE))
  frame.attrs = {name: values.tolist() for name, values in (
      ('log_prob_given', chains.log_prob_given), ('rank', ranks),
      ('effective_size', chains.effective_size), ('r_hat', chains.r_hat))}
  return frame


def impute(
    flow: models.Flow, rows: Any, *, draws: int = 1, condition: Any = None,
    seed: int = 0, **settings: Any) -> Any:
  """Fills the empty cells of rows by draws given their other cells.

  As `sample_given`; it supposes that cells are missing at random: whether one
  is depends on what is known of its row, not on its own value.

  Args:
    flow: see `sample_given`.
    rows: a data frame, or the path of a table. Columns that the flow does not
      know stay as they are; those that it knows, but for the condition, may be
      absent.
    draws: number of completed copies: a share of their differences is what is
      not known of the cells.
    condition: see `sample_given`.
    seed: of all draws.
    **settings: see `evaluation.EvaluationSettings`; `verbose=1` shows a bar.

  Returns:
    The frame without gaps in the columns of the flow; with several draws one
    below the other, with the level `draw` of the index, from 1. Rows without
    their condition, and those whose chains did not converge, keep their gaps,
    which a warning says.

  Raises:
    InvalidValueError: see `sample_given`.

  Example:
    >>> import pandas as pd
    >>> flow = models.VectorFlowConfig(event_size=2, num_blocks=1).build()
    >>> flow.initialize(np.random.default_rng(0).normal(size=[50, 2]))
    >>> frame = pd.DataFrame({'x0': [0.5, None], 'x1': [None, 1.0]})
    >>> impute(flow, frame).isna().sum().tolist()
    [0, 0]
  """
  import pandas as pd

  errors.check(draws >= 1, 'draws', draws, 'a number >= 1')
  verbose = settings.pop('verbose', 0)
  sampler = _Sampler(flow, seed, settings)
  known = _Known.read(flow, rows, condition, 'rows')
  frame = rows if cells.is_frame(rows) else known.rows.frame
  own_names = {str(name): name for name in frame.columns}
  has_gaps = np.isnan(known.rows.x).any(axis=1)
  places = np.flatnonzero(has_gaps & known.rows.is_complete)
  unknown = int((has_gaps & ~known.rows.is_complete).sum())
  filled = np.repeat(known.rows.x[np.newaxis], draws, axis=0)
  bar = batch_map.progress_bar(len(places), verbose)
  failed = 0
  for start in range(0, len(places), _NUM_ROWS):
    part = places[start:start + _NUM_ROWS]
    one = known.take(part)
    chains = sampler.run(one, draws)
    x = np.moveaxis(sampler.values(one, chains.draws(draws)), 1, 0)
    good = chains.has_converged
    filled[:, part[good]] = x[:, good]
    failed += int((~good).sum())
    bar.add(len(part))
  for count, why in ((unknown, 'lack their condition'), (
      failed, 'could not be sampled: their chains did not converge')):
    if count:
      _logger.warning('%d rows keep their gaps: they %s.', count, why)
  copies = []
  for x in filled:
    drawn = rows_lib.to_frame(flow.schema, x)
    copies.append(frame.copy())
    for name, old in zip(flow.schema.by_name(schema_lib.MODELLED),
                         known.rows.x.T, strict=True):
      if np.isnan(old).any():
        copies[-1][own_names.get(name, name)] = drawn[name].to_numpy()
  return copies[0] if draws == 1 else pd.concat(
      copies, keys=range(1, draws + 1), names=['draw'])


class _Known(NamedTuple):
  """What is known of rows: numbers, NaN elsewhere, and intervals of columns.

  Attributes:
    rows: of which `is_complete` is whether no condition is lacking.
    intervals: ends in units of the columns, by their places.
  """

  rows: rows_lib.Rows
  intervals: dict[int, list[tuple[float, float]]]

  def take(self, which: np.ndarray) -> Self:
    """Returns some of the rows."""
    return self._replace(rows=self.rows.take(which))

  @classmethod
  def read(cls, flow: models.Flow, given: Any, condition: Any,
           name: str = 'given') -> Self:
    """Reads what is given of each row, see `sample_given`; or raises."""
    import pandas as pd

    schema = flow.schema
    modelled = [*schema.by_name(schema_lib.MODELLED)]
    roles = (schema_lib.MODELLED,) if condition is not None or not (
        schema.is_named and schema.conditions) else schema_lib.OF_FLOWS
    intervals = {}
    if isinstance(given, str | os.PathLike):
      with errors.format_errors(name, given, 'a table'):
        frame = table_files.read_frame(given)
    elif isinstance(given, Mapping):
      intervals = {
          column: value for column, value in given.items()
          if np.ndim(value) or isinstance(value, set)}
      frame = pd.DataFrame([{
          column: np.nan if column in intervals else value
          for column, value in given.items()}])
    else:
      frame = table_files.plain(given if cells.is_frame(given) else
                                pd.DataFrame(given, columns=modelled))
    known = [*schema.by_name(*roles)]
    if name == 'given' or not {*frame.columns} & {*known}:
      unknown = [column for column in frame.columns if column not in known]
      errors.check(not unknown, name, ', '.join(map(str, unknown)),
                   f'columns of the flow: {", ".join(known)}')
    absent = [column for column in modelled if column not in frame]
    all_rows = rows_lib.read(
        schema, frame.assign(**dict.fromkeys(absent, np.nan)), name, 'gaps',
        roles)
    if condition is not None:
      all_rows = dataclasses.replace(
          all_rows, condition=batch_map.conditions_for(
              flow, rows_lib.condition_array(schema, condition), len(all_rows)))
    all_rows = evaluation.example_files.read_rows(all_rows, flow, name)
    types = mapping.of_specs(schema.types, all_rows.x)
    for i, column_type in enumerate(types):
      values = all_rows.x[:, i:i + 1]
      _, problem = mapping.with_density(
          [column_type.spec()], values[~np.isnan(values[:, 0])],
          [modelled[i]])
      errors.check(not problem, name, problem=f': {problem}')
    return cls(all_rows, {
        modelled.index(column): _intervals(
            column, value, types[modelled.index(column)])
        for column, value in intervals.items()})


def _intervals(name, value, column_type):
  """Returns the ends of intervals in the units of a type, or raises."""
  if isinstance(value, tuple):
    errors.check(len(value) == 2, name, value, 'two ends, (low, high)')
    pairs = [tuple(sign * np.inf if end is None else float(end)
                   for sign, end in zip((-1, 1), value, strict=True))]
  else:
    errors.check(column_type.is_integer, name, value, 'a number, or the ends '
                 '(low, high) of an interval', 'Lists are for whole numbers.')
    pairs = [(float(one), float(one)) for one in sorted({*value})]
  found = []
  for low, high in pairs:
    if column_type.is_integer:
      # The multiples inside, and their cells.
      low, high = -np.floor(-low / column_type.step + 1e-9), np.floor(
          high / column_type.step + 1e-9) + 1.0
    errors.check(low < high, name, value, 'an interval with numbers inside')
    found.append((low, high))
  return found


class _Sampler:
  """Chains of rows under a flow, in the numbers of its types of columns."""

  def __init__(self, flow, seed, settings):
    self.settings = dataclasses.replace(
        explaining.check(flow, seed=seed, **settings), num_repeats=1,
        verbose=0)
    self._flow = flow
    self._types = mapping.of_specs(
        flow.schema.types, np.empty([0, *flow.event_shape]))
    dtype = np.dtype(flow.input_dtype)
    self._limits = [tuple(
        float(t.forward(np.float64(end), np)) for end in t.limits(dtype))
                    for t in self._types]
    self._log_probs = likelihood.LogProbs(
        batch_map.frozen(flow, self.settings.strategy), self.settings,
        models.Flow.joint_log_prob)
    self._proposal: Any = None

  def run(self, known, num_draws):
    """Returns the chains of rows, of which so many draws are needed."""
    self._fit(known.rows.condition)
    return conditional_sampling.run_chains(
        self._density_fn(known.rows.condition), self._proposal,
        self._given(known), conditional_sampling.NUM_CHAINS * -(
            -num_draws // _DRAWS_PER_CHAINS), self.settings.seed)

  def ranks(self, known, log_prob):
    """Returns shares of samples with a lower density of what is given."""
    x, condition = self._samples(
        conditional_sampling.NUM_RANKED, known.rows.condition, 2)
    ranks = np.empty(len(log_prob))
    gaps = np.isnan(known.rows.x)
    # Rows of which the same columns are given are compared with the same.
    patterns, place = np.unique(gaps, axis=0, return_inverse=True)
    for i, pattern in enumerate(patterns):
      others = known._replace(rows=rows_lib.Rows(
          x=np.where(pattern, np.nan, x), is_complete=np.full(len(x), True)))
      density = conditional_sampling.evidence(
          self._density_fn(condition), self._proposal, self._given(others),
          self.settings.seed)
      which = place.ravel() == i
      ranks[which] = np.mean(density < log_prob[which, np.newaxis], axis=1)
    return ranks

  def values(self, known, y):
    """Returns the values of draws `[N, S, D]`, and what is given as it is."""
    x = np.stack([
        t.values(np.floor(inside)) if t.is_integer else inside
        for t, inside in zip(self._types, self._inside(y), strict=True)],
                 axis=-1)
    given = known.rows.x[:, np.newaxis]
    return np.where(np.isnan(given), x, given)

  def _fit(self, condition):
    """Fits the proposal to samples, if this has not been done yet."""
    if self._proposal is not None:
      return
    x, _ = self._samples(conditional_sampling.NUM_SAMPLES, condition, 1)
    noise = np.random.default_rng(self.settings.seed).uniform(
        1e-6, 1.0, size=x.shape)
    self._proposal = conditional_sampling.Proposal(mapping.mapped(
        self._flow.schema.types, x, noise)[0], self.settings.seed)

  def _samples(self, count, condition, key):
    """Returns samples, given conditions of rows drawn at random, and these."""
    if condition is not None:
      condition = condition[np.random.default_rng(
          self.settings.seed).integers(len(condition), size=count)]
    return np.float64(self._flow.sample(count, condition, seed=random.fold_in(
        self.settings.seed, key).values)), condition

  def _given(self, known):
    """Returns what is known of rows, in mapped numbers."""
    x = known.rows.x
    width = max(map(len, known.intervals.values()), default=1)
    low, high = (np.full([*x.shape, width], sign * np.inf) for sign in (1, -1))
    for i, (t, values) in enumerate(zip(self._types, x.T, strict=True)):
      is_known = ~np.isnan(values)
      pairs = known.intervals.get(i, [(-np.inf, np.inf)])
      for place, pair in enumerate(pairs):
        low[:, i, place], high[:, i, place] = (
            self._mapped(i, end, sign)
            for sign, end in zip((-1, 1), pair, strict=True))
      units = t.units(values[is_known], np)
      for ends, end in ((low, units), (high, units + 1.0 * t.is_integer)):
        ends[is_known, i, 0] = t.forward(
            np.maximum(end, np.finfo(self._flow.input_dtype).tiny)
            if t.is_integer and t.bounds[0] == 0.0 else end, np)
    return conditional_sampling.Given(low, high)

  def _mapped(self, i, end, sign):
    """Returns the mapped end of an interval, infinite beyond the support."""
    low, high = self._types[i].bounds
    if not low < end < high:
      return sign * np.inf
    return float(self._types[i].forward(np.float64(end), np))

  def _inside(self, y):
    """Returns what types take of mapped numbers, column by column."""
    return [t.inside(np.float64(column), np)
            for t, column in zip(self._types, np.moveaxis(y, -1, 0),
                                 strict=True)]

  def _density_fn(self, condition):
    """Returns the log-density of mapped numbers of rows by their places."""
    low, high = np.array(self._limits).T

    def log_density(y, rows):
      events = np.stack(self._inside(y), axis=-1)
      batches = batch_map.slices(
          self._flow, np.asarray(events, self._flow.input_dtype),
          None if condition is None else condition[rows],
          self.settings.batch_size)
      found = self._log_probs(lambda repeat: batches, len(y)).mean(axis=0)
      found = found - sum(t.log_slope(column, np) for t, column in zip(
          self._types, y.T, strict=True))
      return np.where(((y >= low) & (y <= high)).all(axis=1) & ~np.isnan(found),
                      found, -np.inf)

    return log_density
