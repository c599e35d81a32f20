"""Scores of given rows: log p(x), membership in the training data, p-values."""

import dataclasses
import math
from typing import Any

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
from tf_resflow.training import files
from tf_resflow.workflow import explaining
from tf_resflow.workflow import runs

# With fewer held-out rows than this over a false discovery rate, no row can be
# marked unless a twentieth of all are.
_LEAST_SHARE = 20
# Nats. A row that also stands in the test part has the same score up to this,
# in whatever batch. It only makes p-values larger.
_ROUNDING = 1e-4


def score(
    flow: models.Flow, rows: Any, *, condition: Any = None,
    diagnose: bool = True, fdr: float | None = None, explain: int = 0,
    verify: bool = False, certify: bool | None = None, **settings: Any,
) -> evaluation.Results:
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
  rows = evaluation.example_files.read_rows(
      rows, flow, missing='nan' if flow.run is None else
      flow.run.config.data.missing_in_rows, condition=condition,
      appended=rows_lib.SCORES)
  x, condition = (complete := rows.complete()).x, complete.condition
  errors.check(len(x), 'rows', f'{len(rows)} of them', 'a row without an empty '
               'cell')
  diagnoses = diagnose and not flow.is_image and flow.run is not None
  errors.check(fdr is None or diagnoses, 'fdr', fdr,
               problem='requires vectors, the run of their flow, and diagnose')
  errors.check(fdr is None or 0.0 < fdr < 1.0, 'fdr', fdr,
               'a number between 0 and 1')
  # Before what takes long, because it may be damaged.
  known = training.train_rows.read(flow.run.workdir) if diagnoses else None
  settings.setdefault('strategy', flow.run and flow.run.strategy)
  used = evaluation.EvaluationSettings.of(flow, **settings)
  # As the flow was trained and is served; float64 is for what is computed.
  arrays = evaluation.evaluate_inputs(
      flow, x if flow.is_image or flow.schema.dtype else
      column_types.rounded(x),
      condition=condition, settings=used)
  results = evaluation.report.report_inputs(
      flow, x, arrays, settings=used, condition=condition, index=complete.index,
      verify=verify, certify=bool(certify) if flow.run is None else
      flow.run.should_certify(certify)).extended(first={
          **runs.header(flow, used), 'latent_order': 'channels_last'})
  if flow.run is not None and flow.run.is_converted:
    results = results.extended({'latent_order': 'channels_first'}, {
        'z': conversion.to_channels_first(flow, arrays['z']).numpy()})
  results = results.extended(arrays={
      **({} if flow.is_image else {'x': x}),
      **({} if condition is None else {'condition': condition})})
  if diagnoses:
    results = _diagnosed(results, flow, known, used, fdr)
  if explain:
    results = _explained(results, flow, complete, explain, used)
  return _spread(results, flow, rows)


def _spread(results, flow, rows):
  """Returns results with NaN for the rows with an empty cell."""
  if not flow.is_image:
    results = dataclasses.replace(
        results, cells_fn=lambda: rows.frame if rows.frame is not None else
        rows_lib.to_frame(flow.schema, rows.x, rows.condition))
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
  for row, lines in explaining.explanations(
      flow, rows, num_rows, settings=settings):
    odd = sorted((line['replaced'], line['column']) for line in lines)
    names[row] = ', '.join(name for place, name in odd if place)
    texts[row] = lines[0]['explanation']
  return results.extended(arrays={
      'odd_columns': names.astype(str), 'explanation': texts.astype(str)})


def _diagnosed(results, flow, known, settings, fdr):
  """Adds what the data of the run say of rows; notes what cannot be known.

  `known` are the digests of the training rows, see `train_rows.read`.
  """
  arrays = results.arrays
  if known is None:
    results = results.extended(notes=[
        f'note: no in_training: the run has no {files.TRAIN_ROWS}, like older '
        'and converted runs, and those on points that are drawn, or on more '
        f'than {training.train_rows.MAX_ROWS:,} rows.'])
  else:
    in_training = np.isin(training.train_rows.row_hashes(
        arrays['x'], arrays.get('condition'), flow.schema.dtype), known
    ).astype(int)
    results = results.extended(
        _held_out(in_training, arrays[flow.unit], flow.unit),
        {'in_training': in_training})
  try:
    split = flow.run.open('test')
    test = split.arrays
  except errors.InvalidValueError as error:
    if fdr is not None:
      raise
    return results.extended(notes=[
        'note: no p_value: the test part of the run is missing. '
        f'{errors.sentence(error)}'])
  held_out = evaluation.evaluate_inputs(
      flow, test['x'].numpy(), condition=test.get('condition'),
      settings=settings)['log_prob']
  if fdr is not None:
    return _marked(results, flow, known, split, held_out, fdr)
  return results.extended(arrays={
      'p_value': evaluation.statistics.conformal_p_values(
          arrays['log_prob'] + _ROUNDING, held_out, split.weights)})


def _marked(results, flow, known, split, held_out, fdr):
  """Adds p-values of rows that were used for nothing, and which are odd."""
  data = flow.run.config.data
  errors.check(known is not None and split.weights is None, 'fdr', fdr,
               problem='requires a run without weights that knows its training '
               'rows')

  def hashes(arrays):
    return training.train_rows.row_hashes(
        arrays['x'], arrays.get('condition'), flow.schema.dtype)

  if data.num_validation:
    known = np.r_[known, hashes(flow.run.open('validation').arrays)]
  # A copy of a training row has a higher score than a new row.
  is_new = ~np.isin(hashes(split.arrays), known)
  is_tested = ~np.isin(hashes(results.arrays), np.r_[
      known, hashes(split.arrays)])
  num_held_out, num_tested = int(is_new.sum()), int(is_tested.sum())
  errors.check(num_tested, 'fdr', fdr, problem='has no row to test: all stand '
               'in the data of the run')
  needed = math.ceil(_LEAST_SHARE / fdr) - 1
  least = math.ceil(num_tested / (fdr * (num_held_out + 1)))
  errors.check(
      num_held_out >= needed, 'fdr', fdr, f'at least {needed} held-out rows, '
      f'not {num_held_out}', f'Of {num_tested} rows it would mark {least} or '
      'more, or none. Train with a larger --test_share, or ask for a larger '
      'share.')
  p = np.full(len(is_tested), np.nan)
  p[is_tested] = evaluation.statistics.conformal_p_values(
      results.arrays['log_prob'][is_tested] + _ROUNDING, held_out[is_new])
  odd = np.where(is_tested, 0.0, np.nan)
  odd[is_tested] = stats.false_discovery_control(p[is_tested]) <= fdr
  num_odd = int(np.nansum(odd))
  notes = [
      f'note: {num_odd} of {num_tested} rows are odd, of which at most a share '
      f'of {fdr:g} is like the {num_held_out} held-out rows, on average over '
      f'such rows. Fewer than {least} cannot be marked.']
  if num_tested < len(p):
    notes.append(f'note: {len(p) - num_tested} rows have no p_value: they '
                 'stand in the data of the run.')
  if data.test_rows != 'random' or data.condition_on:
    notes.append(
        'note: this holds if usual new rows are drawn like the held-out ones, '
        + ('conditions included.' if data.condition_on else
           f'which test_rows={data.test_rows} chose.'))
  return results.extended(
      {'num_tested': num_tested, 'num_odd': num_odd},
      {'p_value': p, 'odd': odd}, notes)


def _held_out(in_training, losses, unit):
  """Returns numbers about rows that the run was not trained on.

  The number of training rows, and the mean of the other rows in a unit; nothing
  if none or all of them are training rows.
  """
  is_new = in_training == 0
  values = losses[is_new]
  values = values[np.isfinite(values)]
  if is_new.all() or not len(values):
    return {}
  return {'num_in_training': int(np.sum(~is_new)),
          f'{unit}_not_in_training': float(values.mean())}
