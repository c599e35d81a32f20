"""What a tool says of single rows of vectors besides their log p(x)."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tf_resflow import errors
from tf_resflow import evaluation
from tf_resflow import training
from tf_resflow.commands import options as options_lib
from tf_resflow.training import files

# Nats. A row that also stands in the test part has the same score up to this,
# in whatever batch. It only makes p-values larger.
_ROUNDING = 1e-4
_COLUMNS = ('log_prob', 'log_prob_stderr', 'in_training', 'p_value')


def marks(
    known: np.ndarray | None, run: options_lib.OpenedRun, x: np.ndarray,
    condition: np.ndarray | None, log_prob: np.ndarray,
    settings: Any) -> dict[str, np.ndarray]:
  """Compares rows with those of the run's data; says what cannot be known.

  Args:
    known: of the training rows, see `training.train_rows.read`.
    run: the run.
    x: the rows, `[N, D]`.
    condition: of a flow p(x|c), `[N, ...]`.
    log_prob: `[N]`, of the rows.
    settings: `evaluation.EvaluationSettings`, which gave them.

  Returns:
    `in_training` `[N]`, 1 for training rows, else 0; and `p_value` `[N]`, see
    `evaluation.statistics.conformal_p_values`; without what is not known.
  """
  found = {}
  if known is None:
    options_lib.note(
        f'note: no in_training: the run has no {files.TRAIN_ROWS}, like older '
        'and converted runs, and those on points that are drawn, or on more '
        f'than {training.train_rows.MAX_ROWS:,} rows.')
  else:
    found['in_training'] = np.isin(
        training.train_rows.digests(x, condition), known).astype(int)
  try:
    test = run.config.open_split('test').arrays
  except errors.InvalidValueError as error:
    options_lib.note('note: no p_value: the test part of the run is missing. '
                     f'{errors.sentence(error)}')
    return found
  held_out = evaluation.evaluate_inputs(
      run.model, test['x'].numpy(), condition=test.get('condition'),
      settings=settings)
  found['p_value'] = evaluation.statistics.conformal_p_values(
      log_prob + _ROUNDING, held_out['log_prob'])
  return found


def held_out(results: Mapping[str, np.ndarray], unit: str) -> dict[str, Any]:
  """Returns what a report says of rows that the run was not trained on.

  The number of training rows, and the mean of the other rows in a unit; nothing
  if none or all of them are training rows.
  """
  if 'in_training' not in results:
    return {}
  is_new = results['in_training'] == 0
  values = results[unit][is_new]
  values = values[np.isfinite(values)]
  if is_new.all() or not len(values):
    return {}
  return {'num_in_training': int(np.sum(~is_new)),
          f'{unit}_not_in_training': float(values.mean())}


def columns(results: Mapping[str, np.ndarray]) -> list[str]:
  """Returns the names of the results that a table of rows has."""
  is_exact = len(results['log_det_repeats']) == 1
  return [name for name in _COLUMNS if name in results and not (
      is_exact and name.endswith('_stderr'))]


def lowest(results: Mapping[str, np.ndarray], num_rows: int,
           cells: Any = None) -> str:
  """Returns the `num_rows` rows with the lowest log p(x), as text.

  They are shown by the index and the cells of a frame, or else count from 1.
  """
  import pandas as pd  # Takes a second.

  if cells is None:
    cells = pd.DataFrame(index=pd.RangeIndex(
        1, len(results['log_prob']) + 1, name='row'))
  frame = cells.assign(**{name: results[name] for name in columns(results)})
  frame = frame.dropna(subset='log_prob').sort_values('log_prob', kind='stable')
  return frame[:num_rows].rename_axis(
      index=None, columns=cells.index.name).to_string(
          float_format='{:.6g}'.format)
