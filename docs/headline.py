"""README's table of results, by the commands that it names.

  python -m docs.headline docs/logs/headline.jsonl

Runs of `docs.seeds` and `docs.toys` are those of their logs, couplings of
images those of the study `blocks` in docs/paper.md, means of three seeds.
"""

import pathlib
import sys

import numpy as np

from docs import measured
from docs import seeds
from docs import toys
from tf_resflow.experiments import study_log

COLUMNS = {
    'cpila': 'residual flow, CPila', 'variational': 'with learned noise',
    'lipswish': 'residual flow, LipSwish', 'coupling': 'coupling flow',
    'mixture': 'Gaussian mixture'}
# The title of a row, its metric and unit, and its commands by column; of a
# study its case.
ROWS = {
    'digits': ('8 x 8 digits (`digits`)', 'bits_per_dim', 'bits/dim', {
        'cpila': seeds.command('digits', 0),
        'variational': seeds.command('digits_variational', 0),
        'lipswish': 'train --flagfile=digits_lipswish',
        'mixture': 'baselines --dataset=digits'}, 'coupling'),
    'mnist5k': ('5,000 MNIST images (`mnist5k`)', 'bits_per_dim', 'bits/dim', {
        'cpila': seeds.command('mnist5k', 0),
        'variational': seeds.command('mnist5k_variational', 0),
        'lipswish': 'train --flagfile=mnist5k_lipswish'}, 'coupling_1x1'),
    'rings': ('2-D rings (`2d`)', 'nats', 'nats',
              toys.commands('rings'), None),
    'table': ('table of ten columns (`table`)', 'nats', 'nats', {
        'cpila': 'train --flagfile=table --dataset=table:cancer.csv'}, None)}
STUDY = pathlib.Path(__file__).parent / 'studies' / 'blocks.jsonl'


def _reports(log):
  return {command: report for name in ('seeds', 'toys', log.stem)
          for command, report in measured.reports(
              log.with_name(f'{name}.jsonl')).items()}


def tables(log: pathlib.Path) -> str:
  """Returns the table of the log, as Markdown."""
  reports = _reports(log)
  _, study, records = study_log.read(STUDY)
  rows = {}
  for row, (title, metric, unit, commands, case) in ROWS.items():
    rows[f'{title}, {unit}'] = cells = measured.texts({
        column: measured.figure(reports[command], metric)
        for column, command in commands.items()})
    if case:
      mean = np.mean([records[task.name][metric]
                      for task in study.finals(row, case, records)])
      cells['coupling'] = f'{mean:.3f} (*)'
    if row == 'table':
      report = reports[commands['cpila']]
      gain, stderr = measured.figure(report, f'{metric}_minus_gaussian_mixture')
      cells['mixture'] = (f'{report[metric] - gain:.3f} (difference '
                          f'{-gain:.3f} +- {stderr:.3f})')
  return measured.table('data (flagfile)', COLUMNS, rows)


if __name__ == '__main__':
  LOG = pathlib.Path(sys.argv[1])
  measured.run(LOG, [
      command for _, _, _, commands, _ in ROWS.values()
      for command in commands.values() if command not in _reports(LOG)])
  print(tables(LOG))
