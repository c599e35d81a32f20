"""Tables of results, made of logs of the commands that their cells name."""

from collections.abc import Iterable
import datetime
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from sklearn import datasets

from docs import log_files

Figure = tuple[float, float]


def run(log: pathlib.Path, commands: Iterable[str]) -> None:
  """Runs the commands that the log does not have, in a new folder each.

  The log has a line for each: the day, and the report that it printed. The
  folder has a table `cancer.csv`.
  """
  cancer = datasets.load_breast_cancer()
  for command in commands:
    if any(line['command'] == command for line in log_files.lines(log)):
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
            'report': json.loads(said.splitlines()[-1])}
    with log.open('a') as file:
      file.write(json.dumps(line) + '\n')
    print(line, flush=True)


def reports(log: pathlib.Path) -> dict[str, dict]:
  """Returns the reports by command; of `baselines` that of the mixture."""
  return {line['command']: line['report'].get('baselines', {}).get(
      'gaussian_mixture', line['report']) for line in log_files.lines(log)}


def figure(report: dict, metric: str) -> Figure:
  """Returns a mean over examples, and its standard error."""
  return report[metric], report[f'{metric}_stderr']


def texts(figures: dict[str, Figure]) -> dict[str, str]:
  """Returns the cells of a row.

  Bold is the lowest figure, if no other is within two standard errors.
  """
  cells = {column: f'{mean:.3f} +- {stderr:.3f}'
           for column, (mean, stderr) in figures.items()}
  if len(figures) > 1:
    (lowest, _), second = sorted(figures.values())[:2]
    best = min(figures, key=figures.get)
    if lowest < second[0] - 2.0 * second[1]:
      cells[best] = f'**{cells[best]}**'
  return cells


def table(first: str, columns: dict[str, str],
          rows: dict[str, dict[str, str]]) -> str:
  """Returns Markdown: titles of columns, and cells of rows by column."""
  return '\n'.join([
      f'| {first} | {" | ".join(columns.values())} |',
      '|---' * (len(columns) + 1) + '|',
      *(f'| {title} | ' + ' | '.join(
          cells.get(column, '') for column in columns) + ' |'
        for title, cells in rows.items())])


def changed(commands: dict[str, str], changes: Iterable[str]) -> list[str]:
  """Returns each command with each change of its flags."""
  return [f'{command} {change}'.strip()
          for change in changes for command in commands.values()]


def changes(log: pathlib.Path, commands: dict[str, str],
            flags: Iterable[str], metric: str) -> str:
  """Returns a table: a row for each change of flags, a column a command."""
  found = reports(log)
  return table('', {column: column for column in commands}, {
      f'`{change}`' * bool(change): {
          column: '{:.3f} +- {:.3f}'.format(*figure(
              found[f'{command} {change}'.strip()], metric))
          for column, command in commands.items()}
      for change in flags})
