"""Rows of which some columns are given: the others are drawn."""

import logging
from typing import Any

import numpy as np

from tf_resflow import errors
from tf_resflow import models
from tf_resflow.columns import cells
from tf_resflow.columns import mapping
from tf_resflow.columns import rows as rows_lib
from tf_resflow.evaluation import batch_map
from tf_resflow.evaluation import conditional_sampling
from tf_resflow.evaluation import example_files
from tf_resflow.evaluation import likelihood
from tf_resflow.numerics import random
from tf_resflow.workflow import explaining
from tf_resflow.workflow import given as given_lib

_logger = logging.getLogger(__name__)
# Numbers of one state of all chains that move at once.
_NUM_NUMBERS = 20_000
# Draws for which a row has four chains: at least five states for each; and the
# most draws.
_DRAWS_PER_CHAINS, _MAX_DRAWS = 200, 200_000
# What is given is improbable if a smaller share of the samples of the flow has
# less density of it; and most sets of given columns of which that is known.
_IMPROBABLE, _MAX_PATTERNS = 0.01, 16


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
    num_samples: number of rows, of each row of `given`, at most 200,000.
    given: a dict from names of columns to a number, to the ends `(low, high)`
      of an interval, of whole numbers both included (None for no end), or to a
      list of whole numbers; or a data frame, an array or the path of a table,
      of which columns that are absent, and empty cells, are drawn. With the
      columns of the condition of a flow `p(x|c)`, unless this is given.
    condition: one for all rows, or one for each, see `models.Flow`.
    seed: of all draws.
    **settings: see `evaluation.EvaluationSettings`.

  Returns:
    A data frame with the columns of the table; of a frame, the rows of each row
    side by side, with its label. Its `attrs` are, by row of `given`,
    `log_prob_given`, the log of the density of the numbers that are given (of
    the probability over the step of grids, as log p(x)), times the probability
    of intervals given these, nats, by importance sampling; `rank`, the share of
    samples of the flow (given the conditions of the rows) with less density of
    the numbers, NaN without any, and where rows have more than 16 sets of given
    columns; `effective_size` and `r_hat`, those of the chains.

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
  rows, intervals = given_lib.read(flow, given, condition)
  errors.check(len(rows) and rows.is_complete.all(), 'given', f'{len(rows)} '
               'rows', 'rows without an empty cell in the condition')
  sampler = _Sampler(flow, rows, intervals, seed, settings)
  x, found = sampler.run(num_samples)
  rank, is_improbable = sampler.ranks(found.log_prob_given)
  if not found.has_converged.all():
    row = int(np.argmin(found.has_converged))
    raise errors.InvalidValueError(
        'given', problem='is too hard to sample for'
        + f' row {row + 1}' * (len(rows) > 1) + ': '
        f'effective draws {found.effective_size[row]:.0f}, potential scale '
        f'reduction {found.r_hat[row]:.2f}, expected at least '
        f'{conditional_sampling.MIN_EFFECTIVE:.0f} and at most '
        f'{conditional_sampling.MAX_R_HAT}; log p(given) is about '
        f'{found.log_prob_given[row]:.1f}', advice='Give less, or wider '
        'intervals; or train a flow with the given columns in condition_on.')
  if is_improbable.any():
    _logger.warning(
        'What is given%s is improbable under the flow, which has seen few such '
        'rows: its draws may mean little.', '' if len(rows) == 1 else
        f' {cells.describe_rows(rows.index, is_improbable)}')
  frame = rows_lib.to_frame(
      flow.schema, x.reshape([-1, x.shape[-1]]), None if
      rows.condition is None else np.repeat(
          rows.condition, num_samples, axis=0))
  if cells.is_frame(given):
    frame.index = np.repeat(given.index, num_samples)
  frame.attrs = {name: values.tolist() for name, values in {
      'rank': rank, **found._asdict()}.items()}
  return frame


def impute(
    flow: models.Flow, rows: Any, *, draws: int = 1, condition: Any = None,
    seed: int = 0, **settings: Any) -> Any:
  """Fills the empty cells of rows by draws given their other cells.

  As `sample_given`; it supposes that cells are missing at random: whether one
  is depends on what is known of its row, not on its own value.

  Args:
    flow: see `sample_given`.
    rows: a data frame, an array or the path of a table. Columns that the flow
      does not know stay as they are.
    draws: number of completed copies, whose differences show what is not known
      of the cells.
    condition: see `sample_given`.
    seed: of all draws.
    **settings: see `evaluation.EvaluationSettings`; `verbose=1` shows a bar.

  Returns:
    The frame without gaps in the columns of the flow, of which those that had
    some are numbers; with several draws one below the other, with the level
    `draw` of the index, from 1. Rows without their condition, and those whose
    chains did not converge, keep their gaps, which a warning says.

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
  known, intervals = given_lib.read(flow, rows, condition, 'rows')
  errors.check(not intervals, 'rows', 'intervals', 'cells')
  frame = rows if cells.is_frame(rows) else known.frame
  own_names = {str(name): name for name in frame.columns}
  has_gaps = np.isnan(known.x).any(axis=1)
  places = np.flatnonzero(has_gaps & known.is_complete)
  left = {'lack their condition': int((has_gaps & ~known.is_complete).sum())}
  filled = np.repeat(known.x[np.newaxis], draws, axis=0)
  if len(places):
    x, found = _Sampler(
        flow, known.take(places), {}, seed, settings).run(draws)
    good = found.has_converged
    filled[:, places[good]] = x[good].swapaxes(0, 1)
    left['could not be sampled: their chains did not converge'] = int(
        (~good).sum())
  for why, count in left.items():
    if count:
      _logger.warning('%d rows keep their gaps: they %s.', count, why)
  copies = []
  for x in filled:
    drawn = rows_lib.to_frame(flow.schema, x)
    copies.append(frame.copy())
    for name in np.array(flow.schema.names)[np.isnan(known.x).any(axis=0)]:
      copies[-1][own_names.get(name, name)] = drawn[name].to_numpy()
  return copies[0] if draws == 1 else pd.concat(
      copies, keys=range(1, draws + 1), names=['draw'])


class _Sampler:
  """Chains of rows under a flow, in the numbers of its types of columns.

  Coordinates of the condition follow these, and are given: so the proposal is
  fitted to both.
  """

  def __init__(self, flow, rows, intervals, seed, settings):
    self._verbose = settings.get('verbose', 0)
    self._settings = explaining.check(flow, **settings | {
        'seed': seed, 'num_repeats': 1, 'verbose': 0})
    self._flow, self._rows, self._intervals = flow, rows, intervals
    self._types = mapping.of_specs(flow.schema.types, rows.x)
    self._log_probs = likelihood.LogProbs(
        batch_map.frozen(flow, self._settings.strategy), self._settings,
        models.Flow.joint_log_prob, is_repeated=True)
    x, condition = self._samples(conditional_sampling.NUM_SAMPLES, 1)
    noise = np.random.default_rng(seed).uniform(1e-6, 1.0, size=x.shape)
    self._proposal = conditional_sampling.Proposal(np.concatenate([
        mapping.mapped(flow.schema.types, x, noise)[0],
        _flat(condition, len(x))], axis=1), seed)

  def run(self, num_draws):
    """Draws rows `[N, S, D]`; returns them, and the diagnosis of chains."""
    errors.check(
        isinstance(num_draws, int | np.integer)
        and 1 <= num_draws <= _MAX_DRAWS, 'num_samples', num_draws,
        f'a whole number from 1 to {_MAX_DRAWS:,}')
    num_chains = conditional_sampling.NUM_CHAINS * -(
        -num_draws // _DRAWS_PER_CHAINS)
    size = max(1, _NUM_NUMBERS // (num_chains * self._rows.x.shape[1]))
    bar = batch_map.progress_bar(len(self._rows), self._verbose)
    parts = []
    for start in range(0, len(self._rows), size):
      rows = self._rows.take(slice(start, start + size))
      states, (log_prob_given, *others) = conditional_sampling.run_chains(
          self._density_fn(rows.condition), self._proposal,
          self._given(rows, self._intervals), num_chains,
          [self._settings.seed, start])
      x = np.stack([
          t.values(np.floor(inside)) if t.is_integer else inside
          for t, inside in zip(self._types, self._inside(
              conditional_sampling.draws_of(states, num_draws)), strict=True)],
                   axis=-1)
      parts.append((np.where(np.isnan(rows.x[:, np.newaxis]), x,
                             rows.x[:, np.newaxis]),
                    log_prob_given + self._log_units(rows.x), *others))
      bar.add(len(rows))
    x, *found = map(np.concatenate, zip(*parts, strict=True))
    return x, conditional_sampling.Diagnosis(*found)

  def ranks(self, log_prob_given):
    """Returns shares of samples with less density of the numbers of rows, and
    which rows are improbable."""
    gaps = np.isnan(self._rows.x)
    patterns, place = np.unique(gaps, axis=0, return_inverse=True)
    rank, log_prob = np.full(len(gaps), np.nan), np.zeros(len(gaps))
    if len(patterns) > _MAX_PATTERNS:
      return rank, np.full(len(gaps), False)
    samples, condition = self._samples(conditional_sampling.NUM_RANKED, 2)
    for i in np.flatnonzero(~patterns.all(axis=1)):
      is_own = place.ravel() == i
      log_prob[is_own] = self._evidence(self._rows.take(is_own))
      others = self._evidence(example_files.read_rows(np.where(
          patterns[i], np.nan, samples), self._flow, condition=condition))
      rank[is_own] = np.mean(others < log_prob[is_own, np.newaxis], axis=1)
    # The second is the probability of the intervals given the numbers.
    return rank, (rank < _IMPROBABLE) | (
        log_prob_given - log_prob < np.log(_IMPROBABLE))

  def _evidence(self, rows):
    """Returns the log-density of what is known of rows."""
    return conditional_sampling.evidence(
        self._density_fn(rows.condition), self._proposal,
        self._given(rows, {}), self._settings.seed) + self._log_units(rows.x)

  def _samples(self, count, key):
    """Returns samples, given conditions of rows drawn at random, and these."""
    condition = self._rows.condition
    if condition is not None:
      condition = condition[np.random.default_rng(
          self._settings.seed).integers(len(condition), size=count)]
    return np.float64(self._flow.sample(count, condition, seed=random.fold_in(
        self._settings.seed, key).values)), condition

  def _log_units(self, x):
    """Returns the sum over given columns of log dy/dx, of grids -log step."""
    return np.nansum([0.0 * column - np.log(t.step) if t.is_integer else
                      t.log_slope(t.forward(column, np), np)
                      for t, column in zip(self._types, x.T, strict=True)], 0)

  def _given(self, rows, intervals):
    """Returns what is known of rows, in mapped numbers."""
    condition = _flat(rows.condition, len(rows))
    size, num_intervals = len(self._types), max(
        map(len, intervals.values()), default=1)
    ends = np.full(
        [2, len(rows), size + condition.shape[1], num_intervals], np.nan)
    ends[..., size:, 0] = condition
    for i, t in enumerate(self._types):
      units = t.units(rows.x[:, i], np)
      ends[..., i, 0] = units, units + 1.0 * t.is_integer
      if i in intervals:
        ends[..., i, :len(intervals[i])] = np.transpose(
            intervals[i])[:, np.newaxis]
      # Infinite at the ends of the support.
      low, high = t.bounds
      with np.errstate(divide='ignore', invalid='ignore'):
        ends[..., i, :] = np.select(
            [ends[..., i, :] <= low, ends[..., i, :] >= high],
            [-np.inf, np.inf], t.forward(ends[..., i, :], np))
    unknown = np.r_[-np.inf, np.full(num_intervals - 1, np.inf)]
    return conditional_sampling.Given(*(
        np.where(np.isnan(end), sign * unknown, end)
        for sign, end in zip((1, -1), ends, strict=True)))

  def _inside(self, y):
    """Returns what types take of mapped numbers, column by column."""
    with np.errstate(over='ignore'):
      return [t.inside(np.float64(column), np) for t, column in zip(
          self._types, np.moveaxis(y, -1, 0), strict=False)]

  def _density_fn(self, condition):
    """Returns the log-density of mapped numbers of rows by their places."""
    dtype = np.dtype(self._flow.input_dtype)
    low, high = np.transpose([t.forward(np.float64(t.limits(dtype)), np)
                              for t in self._types])

    def log_density(y, rows):
      y = y[:, :len(self._types)]
      found = self._log_probs.of_arrays(
          np.stack(self._inside(y), axis=-1),
          None if condition is None else condition[rows]) - sum(
              t.log_slope(column, np) for t, column in zip(
                  self._types, y.T, strict=True))
      return np.where(((y >= low) & (y <= high)).all(axis=1) & ~np.isnan(found),
                      found, -np.inf)

    return log_density


def _flat(condition, num_rows):
  """Returns the numbers of conditions, `[N, K]`."""
  return np.empty([num_rows, 0]) if condition is None else np.float64(
      condition).reshape([num_rows, -1])
