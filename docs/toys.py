"""The table of docs/densities.md: flows on densities in two dimensions.

  python -m docs.toys docs/logs/toys.jsonl
"""

import pathlib
import sys

from docs import measured

NAMES = ('swissroll', 'circles', 'rings', 'moons', '8gaussians', 'pinwheel',
         '2spirals', 'checkerboard')
COLUMNS = {'cpila': 'CPila', 'lipswish': 'LipSwish', 'coupling': 'coupling',
           'mixture': 'mixture of 10 Gaussians'}


def commands(name: str) -> dict[str, str]:
  """Returns the commands of a row by column."""
  return {
      'cpila': f'train --flagfile=2d --dataset=2d/{name}',
      'lipswish':
          f'train --flagfile=2d --dataset=2d/{name} --activation=lipswish',
      'coupling': f'train --flagfile=2d_coupling --dataset=2d/{name}',
      'mixture': f'baselines --dataset=2d/{name} --num_components=10'}


def tables(log: pathlib.Path) -> str:
  """Returns the table of the log, as Markdown."""
  reports = measured.reports(log)
  return measured.table('nats', COLUMNS, {
      f'`{name}`': measured.texts({
          column: measured.figure(reports[command], 'nats')
          for column, command in commands(name).items()})
      for name in NAMES})


if __name__ == '__main__':
  LOG = pathlib.Path(sys.argv[1])
  measured.run(LOG, [command for name in NAMES
                     for command in commands(name).values()])
  print(tables(LOG))
