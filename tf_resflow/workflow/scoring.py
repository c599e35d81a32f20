"""Scores of given rows: log p(x), membership in the training data, p-values."""

import dataclasses
import math
import os
from typing import Any, NamedTuple, Self

import numpy as np
from scipy import stats

from tf_resflow import conversion
from tf_resflow import errors
from tf_resflow import evaluation
from tf_resflow import models
from tf_resflow import training
from tf_resflow.columns import cells
from tf_resflow.columns import column_types
from tf_resflow.columns import rows as rows_lib
from tf_resflow.columns import table_files
from tf_resflow.training import files
from tf_resflow.workflow import explaining
from tf_resflow.workflow import held_out as held_out_lib
from tf_resflow.workflow import runs

# With fewer held-out rows than this over a false discovery rate, no row can be
# marked unless a twentieth of all are.
_LEAST_SHARE = 20
# Arrays that rows need to be shown with scores, and where these are estimates.
_LIGHT = 'log_prob', 'in_training', 'hashes', 'has_density', 'off_grid'
_ESTIMATES = 'log_prob_stderr', 'log_det_repeats', 'log_prob_repeats'
# Nats. A row that also stands in the test part has the same score up to this,
# in whatever batch. It only makes p-values larger.
_ROUNDING = 1e-4


def score(
    flow: models.Flow, rows: Any, *, condition: Any = None,
    diagnose: bool = True, fdr: float | None = None, explain: int = 0,
    verify: bool = False, certify: bool | None = None,
    part_size: int | None = None, **settings: Any) -> evaluation.Results:
  """Scores given rows or images by their log p(x).

  Rows of a table are found by the names of their columns, in any order; those
  with an empty cell keep their place, without scores (they are an error where
  the table of the run may have none: `missing='error'`).

  Args:
    flow: of `fit` or `load`, or another one. In float64 (`load(workdir,
      dtype='float64')`) rounding plays no part.
    rows: the path of a table or of an .npz file with an array `x`; a pandas
      data frame; `columns.rows.Rows`; or an array, vectors `[N, D]` or
      dequantised images `[N, H, W, C]`.
    condition: of arrays, for a flow `p(x|c)`, `[N, ...]`; that of other rows
      stands beside them.
    diagnose: whether to compare vectors with the data of the run, by
      `in_training` and `p_value`.
    fdr: marks rows by `odd`, 1 or 0, so that of those marked at most this share
      is like the rows that were held out: by the procedure of Benjamini and
      Hochberg on `p_value`, on average over what was held out. Rows that stand
      in a part of the run, in whose case this says nothing, have neither.
    explain: number of rows, those of the lowest log p(x), that get
      `odd_columns`, the names of those that do not suit the others, and an
      `explanation`, see `explain`.
    verify: whether to invert the examples and to compute Lipschitz bounds, too.
    certify: then, whether they are guaranteed; by default for vectors and small
      built-in data sets.
    part_size: about how many rows of the file of a table are in memory at a
      time. Then `arrays` have only what `frame` needs, `Results.frames`,
      `write` and `lowest` read the file again, and nothing can be explained or
      verified.
    **settings: see `evaluation.EvaluationSettings`; the repeats are averaged.

  Returns:
    `frame()` has the rows with columns appended: `log_prob`, nats;
    `log_prob_stderr`, where log-determinants are estimated; `in_training`, 1
    for rows that the run was trained on, else 0; `p_value`, see
    `evaluation.statistics.conformal_p_values`; and, if there are such rows,
    `off_grid`, 1 for those with a value between the multiples of the step of
    its column, which stand for the cell that it is in. The `arrays` are these,
    `x`, the condition, and those of `evaluation.evaluate_inputs`; the report
    has the keys of `evaluation.evaluate` (those of inverses and bounds if they
    were asked for), and `num_with_empty_cells`, `num_in_training` and the mean
    of the other rows, `nats_not_in_training`. What cannot be known is left out,
    and a note says so.

  Raises:
    InvalidValueError: if the rows do not suit the flow or have a column of
      scores already, or the training rows of the run are damaged.

  Example:
    >>> flow = models.VectorFlowConfig(event_size=2, num_blocks=1).build()
    >>> import pandas as pd
    >>> frame = pd.DataFrame({'x1': [1.0, None], 'x0': [0.5, 2.0]})
    >>> list(score(flow, frame).frame())
    ['x1', 'x0', 'log_prob']
  """
  if not isinstance(rows, str | os.PathLike):
    part_size = None
  errors.check(not (part_size and (explain or verify)), 'part_size', part_size,
               problem='cannot be used with explain or verify')
  diagnoses = diagnose and not flow.is_image and flow.run is not None
  errors.check(fdr is None or diagnoses, 'fdr', fdr,
               problem='requires vectors, the run of their flow, and diagnose')
  errors.check(fdr is None or 0.0 < fdr < 1.0, 'fdr', fdr,
               'a number between 0 and 1')
  # Before what takes long, because it may be damaged.
  known = flow.run.known_rows() if diagnoses else None
  settings.setdefault('strategy', flow.run and flow.run.strategy)
  used = (explaining.check if explain else evaluation.EvaluationSettings.of)(
      flow, **settings)
  evaluate = evaluation.likelihood.evaluator(flow, settings=used)
  held_out: Any = held_out_lib.find(flow, evaluate, used) if diagnoses else None
  tested = None if fdr is None else _Tested.of(flow, known, fdr, held_out)
  found, arrays = _evaluated(
      flow, _parts(flow, rows, condition, rows_lib.appended(fdr, explain),
                   part_size and used.batch_size * -(  # Whole batches.
                       -part_size // used.batch_size)),
      bool(part_size), evaluate, used, known)
  complete, hashes = found.complete(), arrays.pop('hashes', None)
  results = evaluation.report.report_inputs(
      flow, complete.x, arrays, settings=used, condition=complete.condition,
      verify=verify, certify=bool(certify) if flow.run is None else
      flow.run.should_certify(certify)).extended(first={
          **runs.header(flow, used), 'latent_order': 'channels_last'})
  if flow.run is not None and flow.run.is_converted:
    results = results.extended({'latent_order': 'channels_first'}, {
        'z': conversion.to_channels_first(flow, arrays['z']).numpy()})
  if diagnoses:
    results = _diagnosed(results, held_out, tested, hashes)
  results = _spread(results, found)
  if explain:
    results = _explained(results, flow, found, explain, used)
  return dataclasses.replace(
      results, cells_fn=None if flow.is_image else lambda: (
          table_files.read_frames(rows, size=part_size) if part_size else
          [rows_lib.to_frame(flow.schema, found.x, found.condition)
           if found.frame is None else found.frame]))


def _parts(flow, rows, condition, appended, size):
  """Yields given rows, those of a file in parts of a size if there is one."""
  missing = 'nan' if flow.run is None else flow.run.config.data.missing_in_rows
  for part in rows_lib.read_parts(
      flow.schema, rows, missing=missing, appended=appended, size=size
  ) if size else [rows]:
    yield evaluation.example_files.read_rows(
        part, flow, missing=missing, condition=condition, appended=appended)


def _evaluated(flow, parts, is_light, evaluate, settings, known):
  """Returns the rows of all parts, and arrays of the complete ones.

  Light ones are without cells, and without what is not appended to rows.
  """
  bar = evaluation.batch_map.progress_bar(
      None, settings.verbose) if is_light else None
  masks, places, arrays, first = [], [], [], 0
  for part in parts:
    complete = part.complete()
    if len(complete):
      found = _arrays(flow, complete, evaluate, known, first=first, bar=bar)
      names = _LIGHT + _ESTIMATES * (len(found['log_det_repeats']) > 1)
      arrays.append({name: found[name] for name in names if name in found}
                    if is_light else found)
      first += -(-len(complete) // settings.batch_size)
    masks.append(part.is_complete)
    places.append(part.frame[[]] if is_light else None)
  num_rows = sum(map(len, masks))
  errors.check(arrays, 'rows', f'{num_rows} of them', 'a row without an empty '
               'cell')
  if bar is not None:
    import pandas as pd  # Whoever has parts has it.

    bar.target = num_rows
    bar.update(num_rows)
    part = rows_lib.Rows(x=np.zeros([num_rows, 0]), frame=pd.concat(places),
                         is_complete=np.concatenate(masks))
    arrays = [{name: np.concatenate(
        [found.pop(name) for found in arrays],
        -1 if name.endswith('_repeats') else 0) for name in [*arrays[0]]}]
  return part, {**arrays[0], flow.unit: flow.to_loss(arrays[0]['log_prob'])}


def _arrays(flow, rows, evaluate, known, **options):
  """Returns what is known of complete rows by themselves."""
  x, condition = rows.x, rows.condition
  # As the flow was trained and is served; float64 is for what is computed.
  arrays = evaluate(x if flow.is_image or flow.schema.dtype else
                    column_types.rounded(x), condition, **options)
  arrays |= evaluation.report.check_rows(
      flow, x, arrays[flow.unit], rows.index)
  if known is not None:
    arrays['hashes'] = training.train_rows.row_hashes(
        x, condition, flow.schema.dtype)
    arrays['in_training'] = np.isin(arrays['hashes'], known).astype(np.int8)
  return {**arrays, **({} if flow.is_image else {'x': x}),
          **({} if condition is None else {'condition': condition})}


def _spread(results, rows):
  """Returns results with NaN for the rows with an empty cell."""
  is_empty = ~rows.is_complete
  if not is_empty.any():
    return results
  return results.extended(
      {'num_with_empty_cells': int(is_empty.sum())},
      {name: rows.spread(values, -1 if name.endswith('_repeats') else 0)
       for name, values in results.arrays.items()},
      [f'note: no score of {is_empty.sum()} of {len(rows)} rows: a cell is '
       f'empty {cells.describe_rows(rows.index, is_empty)}. Fill these cells, '
       'or train without their columns.'])


def _explained(results, flow, rows, num_rows, settings):
  """Adds what is odd about the rows of the lowest log p(x)."""
  names, texts = (np.full(len(rows), '', object) for _ in range(2))
  places = np.flatnonzero(rows.is_complete)
  for row, lines in explaining.explanations(
      flow, rows.complete(), num_rows, settings=settings):
    odd = sorted((line['replaced'], line['column']) for line in lines)
    names[places[row]] = ', '.join(name for place, name in odd if place)
    texts[places[row]] = lines[0]['explanation']
  return results.extended(arrays={
      'odd_columns': names, 'explanation': texts})


def _diagnosed(results, held_out, tested, hashes):
  """Adds what the data of the run say of rows; notes what cannot be known."""
  arrays = results.arrays
  if 'in_training' not in arrays:
    results = results.extended(notes=[
        f'note: no in_training: the run has no {files.TRAIN_ROWS}, like older '
        'and converted runs, and those on points that are drawn, or on more '
        f'than {training.train_rows.MAX_ROWS:,} rows.'])
  else:
    results = results.extended(_held_out(arrays['in_training'], arrays['nats']))
  if held_out.missing:
    return results.extended(notes=[
        'note: no p_value: the test part of the run is missing. '
        f'{held_out.missing}'])
  log_prob = held_out.log_prob_fn()
  if tested is not None:
    return tested.marked(results, ~np.isin(hashes, tested.known), log_prob)
  return results.extended(arrays={
      'p_value': evaluation.statistics.conformal_p_values(
          arrays['log_prob'] + _ROUNDING, log_prob, held_out.weights)})


class _Tested(NamedTuple):
  """What of new and held-out rows a false discovery rate can be kept with.

  Attributes:
    fdr: the rate.
    known: hashes of the rows in all parts of the data of the run.
    held_out: whether a row of the test part stands there once, and in no other
      part, `[M]`. Copies would not be drawn like new rows that are in none.
    notes: what is assumed.
  """

  fdr: float
  known: np.ndarray
  held_out: np.ndarray
  notes: list[str]

  @classmethod
  def of(cls, flow: models.Flow, known: Any, fdr: float,
         rows: held_out_lib.HeldOut) -> Self:
    """Returns them, or raises `InvalidValueError` if it cannot be kept."""
    errors.check(
        known is not None and rows.weights is None and not rows.missing, 'fdr',
        fdr, problem='requires a run without weights that knows its training '
        'and test rows', advice=rows.missing)
    hashes, others = rows.hashes_fn()
    known = np.r_[known, others]
    _, places, counts = np.unique(
        hashes, return_inverse=True, return_counts=True)
    held_out = ~np.isin(hashes, known) & (counts[places] == 1)
    needed = math.ceil(_LEAST_SHARE / fdr) - 1
    errors.check(
        held_out.sum() >= needed, 'fdr', fdr, f'at least {needed} held-out '
        f'rows, not {held_out.sum()}', 'Of so few it would mark more than one '
        f'in {_LEAST_SHARE}, or none. Train with a larger --test_share, or ask '
        'for a larger rate.')
    # The configuration does not have the options of frames.
    rule = flow.run.facts.get('test_rows', flow.run.config.data.test_rows)
    doubt = 'conditions included' if flow.condition_spec is not None else (
        '' if rule == 'random' else 'which were given' if rule == 'given' else
        f'which test_rows={rule} chose')
    return cls(fdr, np.r_[known, hashes], held_out, [
        'note: are usual new rows drawn like the held-out ones, '
        f'{doubt}?'] * bool(doubt))

  def marked(self, results: evaluation.Results, rows: np.ndarray,
             held_out: np.ndarray) -> evaluation.Results:
    """Adds p-values of new rows, and which are odd, by held-out log p(x)."""
    errors.check(rows.any(), 'fdr', self.fdr, problem='has no row to test: all '
                 'stand in the data of the run')
    p, odd = np.full([2, len(rows)], np.nan)
    p[rows] = evaluation.statistics.conformal_p_values(
        results.arrays['log_prob'][rows] + _ROUNDING, held_out[self.held_out])
    odd[rows] = stats.false_discovery_control(p[rows]) <= self.fdr
    num_tested, num_odd = int(rows.sum()), int(np.nansum(odd))
    least = math.ceil(num_tested / (self.fdr * (self.held_out.sum() + 1)))
    return results.extended(
        {'num_tested': num_tested, 'num_odd': num_odd},
        {'p_value': p, 'odd': odd}, [
            f'note: {num_odd} of {num_tested} rows are odd, of which at most a '
            f'share of {self.fdr:g} is like the {self.held_out.sum()} held-out '
            'rows, on average over such rows.' + (
                f' Fewer than {least} cannot be marked.' if least > 1 else ''),
            *[f'note: {np.sum(~rows)} rows have no p_value: they stand in the '
              'data of the run.'] * (not rows.all()), *self.notes])


def _held_out(in_training, nats):
  """Returns numbers about rows that the run was not trained on.

  The number of training rows, and the mean of the other rows; nothing if none
  or all of them are training rows.
  """
  is_new = in_training == 0
  values = nats[is_new]
  values = values[np.isfinite(values)]
  if is_new.all() or not len(values):
    return {}
  return {'num_in_training': int(np.sum(~is_new)),
          'nats_not_in_training': float(values.mean())}
