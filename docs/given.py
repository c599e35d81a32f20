"""Draws of some columns given others, beside a flow trained for these.

  python -m docs.given given.jsonl

Of rows that are held out the first two columns are given, and one row is drawn
for each: by `tf_resflow.impute` from a flow of all columns, and by a flow
of the other columns that was trained with these two as its condition; both are
those of `tf_resflow.fit` at its defaults. The tables are three of the known
densities of `docs/rates.py` (5,000 rows to train on, 2,000 held out), and two
of `tf_resflow`, a third of whose rows are held out.

Boosted trees try to tell two sets of whole rows apart, those with the same
given numbers in the same half (`classifier_two_sample_test`). The log has a
line for each table and pair of sets, with the area under the ROC curve, which
is 0.5 if they are drawn alike, and its standard deviation then. The pair of two
draws of one flow is that case.
"""

import json
import pathlib
import sys
import time

import numpy as np
import pandas as pd

from docs import log_files
from docs import rates
import tf_resflow
from tf_resflow.evaluation import sample_quality
from tf_resflow.experiments import tables as tables_lib

NUM_GIVEN = 2
PAIRS = {'real and given': ('real', 'given'),
         'real and trained for': ('real', 'trained'),
         'trained for and given': ('trained', 'given'),
         'given, twice': ('again', 'given')}


def _known(seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
  density = rates.Density(seed)
  return tuple(pd.DataFrame(density.draw(count, seed=part)).add_prefix('x')
               for part, count in ((1, 5000), (2, 2000)))


def _table(name: str) -> tuple[pd.DataFrame, pd.DataFrame]:
  frame = tables_lib.TABLES[name]().sample(frac=1.0, random_state=0)
  return tuple(frame[part].reset_index(drop=True) for part in (
      slice(len(frame) // 3, None), slice(len(frame) // 3)))


TABLES = {**{f'known {seed}': lambda seed=seed: _known(seed)
             for seed in range(3)},
          **{name: lambda name=name: _table(name)
             for name in ('housing', 'heavy')}}


def sets(train: pd.DataFrame, real: pd.DataFrame) -> dict[str, pd.DataFrame]:
  """Returns the real rows, and rows with the same given columns."""
  names = [*real.columns]
  options = {'test_rows': 'none', 'evaluate_at_end': False, 'verbose': False}
  flow = tf_resflow.fit(train, **options)
  trained = tf_resflow.fit(train, condition_on=names[:NUM_GIVEN], **options)
  given = real[names[:NUM_GIVEN]]
  drawn = {'real': real, 'trained': pd.concat([
      given, trained.sample_frame(
          len(real), condition=given, seed=0)[names[NUM_GIVEN:]]], axis=1)}
  gaps = real.assign(**dict.fromkeys(names[NUM_GIVEN:], np.nan))
  for seed, name in enumerate(('given', 'again')):
    drawn[name] = tf_resflow.impute(flow, gaps, seed=seed)[names]
  # Chains of a row far out may not converge; its cells stay empty.
  has_all = np.all([part.notna().all(axis=1) for part in drawn.values()],
                   axis=0)
  return {name: part[has_all] for name, part in drawn.items()}


def run(log: pathlib.Path) -> None:
  """Computes what the log does not have."""
  done = {line['table'] for line in log_files.lines(log)}
  for table, read in TABLES.items():
    if table in done:
      continue
    start = time.monotonic()
    found, written = sets(*read()), []
    for pair, names in PAIRS.items():
      test = sample_quality.classifier_two_sample_test(
          *(found[name].to_numpy(float) for name in names))
      written.append(json.dumps({
          'table': table, 'pair': pair, 'auroc': round(test.auroc, 4),
          'null_stderr': round(test.null_stderr, 4),
          'p_value': round(test.p_value, 4), 'num_rows': len(found['real']),
          'seconds': round(time.monotonic() - start, 1)}))
    with log.open('a') as file:
      file.write('\n'.join(written) + '\n')
    print('\n'.join(written), flush=True)


def tables(log: pathlib.Path) -> str:
  """Returns the table of the log, as Markdown."""
  found = {(line['table'], line['pair']): line for line in log_files.lines(log)}
  rows = [f'| AUROC | {" | ".join(PAIRS)} | if alike |',
          '|---' * (2 + len(PAIRS)) + '|']
  for table in TABLES:
    cells = [found[table, pair] for pair in PAIRS]
    rows.append(f'| {table} | ' + ' | '.join(
        f'{cell["auroc"]:.3f}' for cell in cells)
                + f' | 0.500 +- {cells[0]["null_stderr"]:.3f} |')
  return '\n'.join(rows)


if __name__ == '__main__':
  run(pathlib.Path(sys.argv[1]))
  print(tables(pathlib.Path(sys.argv[1])))
