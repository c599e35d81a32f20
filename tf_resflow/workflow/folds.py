"""Scores of the rows of a table by flows that never saw them."""

import math
import os
from typing import Any

import numpy as np

from tf_resflow import errors
from tf_resflow.columns import cells
from tf_resflow.columns import rows as rows_lib
from tf_resflow.columns import table_files
from tf_resflow.workflow import fitting
from tf_resflow.workflow import scoring


def score_folds(
    data: Any, folds: int = 5, *, workdir: str | os.PathLike | None = None,
    groups: str | None = None, seed: int = 0, explain: int = 0,
    **settings: Any) -> Any:
  """Scores each row of a table by a flow of the other folds.

  A flow scores its training rows too high, so that odd ones among them are
  missed. Here each fold of the rows is scored by a flow that was trained on the
  others, and validated on some of these. The flows differ: compare rows by
  their ranks within their folds. No rate of errors is claimed.

  Args:
    data: a data frame, the path of a table, or an array `[N, D]`.
    folds: number of folds and flows.
    workdir: folder of the runs, which continue there; by default none is kept.
    groups: column whose rows of one value stay in one fold; it is modelled only
      as a condition (of numbers), or if `columns` names it.
    seed: of the folds and runs.
    explain: number of rows, those of the lowest ranks, that are explained, see
      `score`; a share of them in each fold.
    **settings: those of `fit`.

  Returns:
    The frame with columns appended: `log_prob`, nats; what `explain` adds;
    `fold`, from 0; and `rank`, the share of the rows of the fold with at most
    this log p. Rows with an empty cell (`missing='drop'`) have none.

  Raises:
    InvalidValueError: if there are fewer than two folds, or rows or groups than
      folds, or the table has a column of scores; see `fit` and `score`.
  """
  import pandas as pd
  from sklearn import model_selection

  frame = table_files.read_frame(data) if isinstance(
      data, str | os.PathLike) else data if cells.is_frame(data) else (
          pd.DataFrame(data).add_prefix('x'))
  named, keys = table_files.plain(frame), np.arange(len(frame))
  if groups is not None:
    keys = _groups(named, groups, settings.get('missing'))
  errors.check(2 <= folds <= len(np.unique(keys)), 'folds', folds,
               f'a number from 2 to {len(np.unique(keys))}')
  splits = [*model_selection.GroupKFold(
      folds, shuffle=True, random_state=seed).split(frame, groups=keys)]
  with errors.format_errors('data', 'a table', 'one without these columns'):
    rows_lib.check_free(
        frame, [*rows_lib.appended(None, explain), 'fold', 'rank'])
  columns, conditions, dropped = (
      () if settings.get(name) is None else cells.as_names(settings[name])
      for name in ('columns', 'condition_on', 'drop'))
  for name in conditions:
    _check_levels(named, name, splits)
  if groups is not None and groups not in (*columns, *conditions):
    settings['drop'] = (*dict.fromkeys((*dropped, groups)),)
  parts = []
  for fold, (rest, held_out) in enumerate(splits):
    flow = fitting.fit(
        frame.iloc[rest], workdir and os.path.join(workdir, f'fold{fold}'),
        seed=seed, test_rows='none', evaluate_at_end=False, **settings)
    scores = scoring.score(
        flow, frame.iloc[held_out], diagnose=False,
        explain=math.ceil(explain / folds)).frame()
    parts.append(scores.set_axis(frame.index[held_out]).assign(
        fold=fold, rank=scores['log_prob'].rank(pct=True, method='max'
                                                ).to_numpy()))
  places = np.concatenate([held_out for _, held_out in splits])
  return pd.concat(parts).iloc[np.argsort(places)]


def _groups(frame, name, missing):
  """Returns the keys of groups; a row without one is a group of its own."""
  with errors.format_errors('groups', name, 'a column'):
    cells.check_present([name], frame)
  _, is_empty, _ = cells.numbers(frame[name])
  errors.check(
      missing == 'drop' or not is_empty.any(), 'groups', name, problem='has an '
      f'empty cell {cells.describe_rows(frame.index, is_empty)}',
      advice="missing='drop' leaves such rows out.")
  return np.where(is_empty, [f'row {i}' for i in range(len(frame))],
                  'group ' + cells.texts(frame[name]).fillna(''))


def _check_levels(frame, name, splits):
  """Raises if a fold has a category of a condition that no other fold has."""
  if name not in frame or not cells.numbers(frame[name])[2]:
    return
  text = cells.texts(frame[name])
  for rest, held_out in splits:
    unseen = sorted({*text.iloc[held_out].dropna()} - {*text.iloc[rest]})
    errors.check(
        not unseen, 'condition_on', name, 'a column each of whose categories '
        'is in several folds', f'One has {", ".join(unseen[:3])} alone, of '
        'which its flow would know nothing.')
