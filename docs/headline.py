"""README's table of results, by the commands that it names.

  python -m docs.headline docs/logs/headline.jsonl

The log has a line for each command: the day, and the report that it printed.
What is there is not run again. Couplings of images are those of the study
`blocks` in docs/paper.md, means of three seeds.
"""

import datetime
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from sklearn import datasets

from docs import log_files
from tf_resflow.experiments import study_log

COLUMNS = {
    'cpila': 'residual flow, CPila', 'lipswish': 'residual flow, LipSwish',
    'coupling': 'coupling flow', 'mixture': 'Gaussian mixture'}
# The title of a row, its metric and unit, and its commands by column; of a
# study its case.
ROWS = {
    'digits': ('8 x 8 digits (`digits`)', 'bits_per_dim', 'bits/dim', {
        'cpila': 'train --flagfile=digits',
        'lipswish': 'train --flagfile=digits_lipswish',
        'mixture': 'baselines --dataset=digits'}, 'coupling'),
    'mnist5k': ('5,000 MNIST images (`mnist5k`)', 'bits_per_dim', 'bits/dim', {
        'cpila': 'train --flagfile=mnist5k',
        'lipswish': 'train --flagfile=mnist5k_lipswish'}, 'coupling_1x1'),
    'rings': ('2-D rings (`2d`)', 'nats', 'nats', {
        'cpila': 'train --flagfile=2d --dataset=2d/rings',
        'lipswish':
            'train --flagfile=2d --dataset=2d/rings --activation=lipswish',
        'coupling': 'train --flagfile=2d_coupling --dataset=2d/rings',
        'mixture': 'baselines --dataset=2d/rings --num_components=10'}, None),
    'table': ('table of ten columns (`table`)', 'nats', 'nats', {
        'cpila': 'train --flagfile=table --dataset=table:cancer.csv'}, None)}
STUDY = pathlib.Path(__file__).parent / 'studies' / 'blocks.jsonl'


def run(log: pathlib.Path) -> None:
  """Runs the commands that the log does not have, in a new folder each."""
  there = {line['command'] for line in log_files.lines(log)}
  cancer = datasets.load_breast_cancer()
  for _, _, _, commands, _ in ROWS.values():
    for command in commands.values():
      if command in there:
        continue
      with tempfile.TemporaryDirectory() as folder:
        np.savetxt(
            f'{folder}/cancer.csv', cancer.data[:, :10], '%g', ',', comments='',
            header=','.join(cancer.feature_names[:10]))
        said = subprocess.run(
            [sys.executable, '-m', 'tf_resflow', *command.split(),
             *['--workdir=run'] * command.startswith('train')], cwd=folder,
            check=True, stdout=subprocess.PIPE, text=True).stdout
      line = {'command': command, 'date': f'{datetime.date.today()}',
              'seed': 0, 'report': json.loads(said.splitlines()[-1])}
      with log.open('a') as file:
        file.write(json.dumps(line) + '\n')
      print(line, flush=True)


def tables(log: pathlib.Path) -> str:
  """Returns the table of the log, as Markdown.

  Bold is the lowest figure, if no other is within two standard errors.
  """
  reports = {line['command']: line['report'] for line in log_files.lines(log)}
  _, study, records = study_log.read(STUDY)
  rows = [f'| data (flagfile) | {" | ".join(COLUMNS.values())} |',
          '|---|---|---|---|---|']
  for row, (title, metric, unit, commands, case) in ROWS.items():
    cells = {}
    for column, command in commands.items():
      report = reports[command]
      report = report.get('baselines', {}).get('gaussian_mixture', report)
      cells[column] = (report[metric], report[f'{metric}_stderr'])
    texts = {column: f'{mean:.3f} +- {stderr:.3f}'
             for column, (mean, stderr) in cells.items()}
    if len(cells) > 1:
      (lowest, _), second = sorted(cells.values())[:2]
      best = min(cells, key=cells.get)
      if lowest < second[0] - 2.0 * second[1]:
        texts[best] = f'**{texts[best]}**'
    if case:
      mean = np.mean([records[task.name][metric]
                      for task in study.finals(row, case, records)])
      texts['coupling'] = f'{mean:.3f} (*)'
    if row == 'table':
      gain, stderr = (-report[f'{metric}_minus_gaussian_mixture'],
                      report[f'{metric}_minus_gaussian_mixture_stderr'])
      texts['mixture'] = (f'{report[metric] + gain:.3f} (difference {gain:.3f} '
                          f'+- {stderr:.3f})')
    rows.append(f'| {title}, {unit} | ' + ' | '.join(
        texts.get(column, '') for column in COLUMNS) + ' |')
  return '\n'.join(rows)


if __name__ == '__main__':
  run(pathlib.Path(sys.argv[1]))
  print(tables(pathlib.Path(sys.argv[1])))
