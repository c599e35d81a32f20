"""Times an earlier commit and the present code in turn, in pairs.

    python -m tests.pairs --old=676ad6a --output=pairs.jsonl

bin/benchmark of both, each with its own code, in processes that follow one
another: old, new, new, old, ... For each figure the median of the ratios new /
old is printed with its 95 % interval (a bootstrap of the pairs). A refactoring
is fine where that median is at most 1.03, or where the interval contains 1.00
and ends below 1.08; the exit status is 1 where a figure is neither.

Measurements are appended to the file of --output; the same command continues
from there. Run it beside nothing else.
"""

import argparse
from collections.abc import Sequence
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

_ROOT = pathlib.Path(__file__).resolve().parents[1]
# How many pairs; arguments of bin/benchmark, which both commits take; and what
# counts of it.
_RUNS = {
    'mnist size': (
        15, ['--flagfile=bin/flags/benchmark.flags', '--estimator=fixed:4',
             '--num_repeats=15'],
        ('first_step_s', 'train_step_s', 'evaluate_s', 'sample_s',
         'peak_memory_gb')),
    'cifar10': (
        5, ['--flagfile=bin/flags/cifar10.flags', '--estimator=fixed:4',
            '--batch_size=16', '--tasks=train', '--num_repeats=0'],
        ('first_step_s', 'peak_memory_gb')),
}


def check_out(commit: str, folder: str) -> None:
  """Writes the files of a commit to a folder."""
  archive = subprocess.run(
      ['git', 'archive', commit], cwd=_ROOT, check=True, capture_output=True)
  subprocess.run(['tar', '-x', '-C', folder], input=archive.stdout, check=True)


def measure(root: str | os.PathLike, arguments: Sequence[str]) -> dict:
  """Returns what bin/benchmark of a checkout reports."""
  process = subprocess.run(
      [sys.executable, 'bin/benchmark', *arguments], cwd=root, check=True,
      stdout=subprocess.PIPE, text=True,
      env=os.environ | {'PYTHONPATH': str(root)})
  return json.loads(process.stdout.splitlines()[-1])


def ratios(pairs: Sequence[dict], key: str) -> tuple[float, float, float]:
  """Returns the median of new / old, and the ends of its 95 % interval."""
  values = np.array([pair['new'][key] / pair['old'][key] for pair in pairs])
  rng = np.random.default_rng(0)
  medians = np.median(rng.choice(values, [10000, len(values)]), axis=1)
  return (float(np.median(values)), *np.quantile(medians, [0.025, 0.975]))


def report(name: str, pairs: Sequence[dict]) -> bool:
  """Prints the ratios of a run; returns whether all are fine."""
  fine = True
  for key in _RUNS[name][2]:
    median, low, high = ratios(pairs, key)
    passes = median <= 1.03 or (low <= 1.0 <= high < 1.08)
    old, new = (np.median([p[side][key] for p in pairs])
                for side in ('old', 'new'))
    print(f'{name:12s}{key:18s}{old:9.4g} -> {new:9.4g}  ratio {median:.3f} '
          f'[{low:.3f}, {high:.3f}] of {len(pairs)} pairs'
          f'{"" if passes else "  SLOWER"}')
    fine &= passes
  return fine


def main() -> int:
  """Measures what is missing, and reports on all."""
  parser = argparse.ArgumentParser(
      description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('--old', required=True, help='the earlier commit')
  parser.add_argument('--output', required=True, help='file of measurements')
  options = parser.parse_args()
  output = pathlib.Path(options.output)
  rows = [json.loads(line) for line in output.read_text().splitlines()
          ] if output.exists() else []
  with tempfile.TemporaryDirectory() as folder:
    check_out(options.old, folder)
    roots = {'old': folder, 'new': _ROOT}
    for name, (number, arguments, _) in _RUNS.items():
      for i in range(sum(row['run'] == name for row in rows), number):
        sides = ['old', 'new'] if i % 2 == 0 else ['new', 'old']
        rows.append({'run': name, **{
            side: measure(roots[side], arguments) for side in sides}})
        with output.open('a') as file:
          file.write(json.dumps(rows[-1]) + '\n')
        print(f'{name}: pair {i + 1} of {number}', file=sys.stderr)
  return int(not all([
      report(name, [row for row in rows if row['run'] == name])
      for name in _RUNS]))


if __name__ == '__main__':
  sys.exit(main())
