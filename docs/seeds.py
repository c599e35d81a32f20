"""Flagfiles of images with three seeds, on all training images.

  python -m docs.seeds docs/logs/seeds.jsonl
"""

import pathlib
import sys

import numpy as np

from docs import measured

FLAGFILES = (
    'digits', 'digits_variational', 'mnist5k', 'mnist5k_variational')
SEEDS = (0, 1, 2)
COLUMNS = {
    **{seed: f'`--seed={seed}`' for seed in SEEDS}, 'mean': 'mean',
    'std': 'deviation between seeds', 'stderr': 'standard error of images'}


def command(flagfile: str, seed: int) -> str:
  """Returns the command of a run."""
  return f'train --flagfile={flagfile}' + f' --seed={seed}' * (seed > 0)


def tables(log: pathlib.Path) -> str:
  """Returns the table of the log, as Markdown."""
  reports, rows = measured.reports(log), {}
  for flagfile in FLAGFILES:
    figures = [measured.figure(reports[command(flagfile, seed)], 'bits_per_dim')
               for seed in SEEDS]
    means = [mean for mean, _ in figures]
    rows[f'`{flagfile}`'] = {
        **{seed: f'{mean:.4f}' for seed, mean in enumerate(means)},
        'mean': f'{np.mean(means):.4f}', 'std': f'{np.std(means, ddof=1):.4f}',
        'stderr': f'{np.mean([stderr for _, stderr in figures]):.3f}'}
  return measured.table('bits/dim', COLUMNS, rows)


if __name__ == '__main__':
  LOG = pathlib.Path(sys.argv[1])
  measured.run(LOG, [command(flagfile, seed)
                     for flagfile in FLAGFILES for seed in SEEDS])
  print(tables(LOG))
