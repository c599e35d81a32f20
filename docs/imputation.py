"""Gaps of four tables, filled by a flow and by imputers of scikit-learn.

  python -m docs.imputation imputation.jsonl

Of the test rows of tables of `tf_resflow` (at most 200) 10 or 30 % of the cells
are emptied at random. A flow of `tf_resflow.fit` at its defaults, and imputers
that are fitted to the same training and validation rows, fill them: an
IterativeImputer with draws from its posterior, and, as points, a KNNImputer and
an IterativeImputer with forests. The log has a line for each table, share and
imputer; what stands in it is not computed again:

- CRPS: the mean of `E|X - x| - E|X - X'| / 2` over the cells, by 50 draws, in
  standard deviations of the columns, and its standard error over rows; of
  points the mean distance;
- 90 %: the share of cells between the quantiles of 5 and 95 % of the draws.
"""

import json
import pathlib
import sys
import time

import numpy as np
import pandas as pd
from scipy import stats
from sklearn import ensemble
from sklearn import impute

# It is not there without this import.
from sklearn.experimental import enable_iterative_imputer  # noqa: F401

from docs import log_files
import tf_resflow

TABLES = ('cancer10', 'diabetes', 'heavy', 'housing')
SHARES = (0.1, 0.3)
NUM_ROWS, NUM_DRAWS = 200, 50


def _flow(flow: tf_resflow.models.Flow, known: np.ndarray, x: np.ndarray,
          ) -> np.ndarray:
  """Returns draws `[S, N, D]`."""
  del known
  draws = tf_resflow.impute(
      flow, pd.DataFrame(x, columns=[*flow.schema.names]), draws=NUM_DRAWS)
  return draws.to_numpy(float).reshape([NUM_DRAWS, *x.shape])


def _iterative(flow: tf_resflow.models.Flow, known: np.ndarray, x: np.ndarray,
               ) -> np.ndarray:
  del flow
  return np.stack([impute.IterativeImputer(
      sample_posterior=True, max_iter=20, random_state=seed).fit(
          known).transform(x) for seed in range(NUM_DRAWS)])


def _knn(flow: tf_resflow.models.Flow, known: np.ndarray, x: np.ndarray,
         ) -> np.ndarray:
  del flow
  std = known.std(axis=0)
  return std * impute.KNNImputer().fit(known / std).transform(x / std)[None]


def _forest(flow: tf_resflow.models.Flow, known: np.ndarray, x: np.ndarray,
            ) -> np.ndarray:
  del flow
  return impute.IterativeImputer(
      ensemble.RandomForestRegressor(n_estimators=30, random_state=0),
      random_state=0, max_iter=5).fit(known).transform(x)[None]


IMPUTERS = {'flow': _flow, 'posterior': _iterative, 'KNN': _knn,
            'forest': _forest}


def scores(draws: np.ndarray, x: np.ndarray, std: np.ndarray,
           is_gap: np.ndarray) -> dict[str, float]:
  """Returns the scores of draws `[S, N, D]` of the gaps of rows."""
  size = len(draws)
  rank = 2.0 * np.arange(size) - size + 1.0
  spread = np.einsum('s,snd->nd', rank, np.sort(draws, axis=0)) / max(
      size * (size - 1), 1)
  crps = (np.abs(draws - x).mean(axis=0) - spread) / std
  low, high = np.quantile(draws, [0.05, 0.95], axis=0)
  is_filled = is_gap & np.isfinite(draws).all(axis=0)
  rows = np.where(is_filled, crps, 0.0).sum(axis=1)
  # Of a ratio of means.
  error = stats.sem(rows - crps[is_filled].mean() * is_filled.sum(axis=1)
                    ) * len(rows) / is_filled.sum()
  return {'crps': crps[is_filled].mean(), 'crps_stderr': error,
          'inside': np.nan if size == 1 else np.mean(
              ((low <= x) & (x <= high))[is_filled]),
          'num_cells': int(is_gap.sum()),
          'num_left': int((is_gap & ~is_filled).sum())}


def run(log: pathlib.Path) -> None:
  """Computes what the log does not have."""
  done = {(line['table'], line['share'], line['imputer'])
          for line in log_files.lines(log)}
  for table in TABLES:
    if {(table, share, name) for share in SHARES for name in IMPUTERS} <= done:
      continue
    flow = tf_resflow.fit(f'tables:{table}', verbose=False,
                          evaluate_at_end=False)
    names = ['test', 'train', *(
        ['validation'] if flow.run.facts['num_validation'] else [])]
    test, *known = (np.float64(flow.run.open(name).arrays['x'].numpy())
                    for name in names)
    x, known = test[:NUM_ROWS], np.concatenate(known)
    for share in SHARES:
      is_gap = np.random.default_rng(0).random(x.shape) < share
      for name, impute_fn in IMPUTERS.items():
        if (table, share, name) in done:
          continue
        start = time.monotonic()
        draws = impute_fn(flow, known, np.where(is_gap, np.nan, x))
        seconds = time.monotonic() - start
        line = {'table': table, 'share': share, 'imputer': name, **{
            key: round(float(value), 4) for key, value in scores(
                draws, x, known.std(axis=0), is_gap).items()},
                'seconds': round(seconds, 1)}
        with log.open('a') as file:
          file.write(json.dumps(line) + '\n')
        print(line, flush=True)


def tables(log: pathlib.Path) -> str:
  """Returns the table of the log, as Markdown."""
  found = {(line['table'], line['share'], line['imputer']): line
           for line in log_files.lines(log)}
  rows = ['| CRPS (90 %) | empty | ' + ' | '.join(IMPUTERS) + ' |',
          '|---' * (2 + len(IMPUTERS)) + '|']
  for table in TABLES:
    for share in SHARES:
      cells = [found[table, share, name] for name in IMPUTERS]
      rows.append(f'| {table} | {share:.0%} | ' + ' | '.join(
          f'{cell["crps"]:.3f} +- {cell["crps_stderr"]:.3f}' + (
              '' if np.isnan(cell['inside']) else f' ({cell["inside"]:.0%})')
          for cell in cells) + ' |')
  return '\n'.join(rows)


if __name__ == '__main__':
  run(pathlib.Path(sys.argv[1]))
  print(tables(pathlib.Path(sys.argv[1])))
