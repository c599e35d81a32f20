"""Reproduces tables of the paper, at full size or at a size for CPUs.

  tf_resflow reproduce table3 --size=paper --workdir=runs/table3
  tf_resflow reproduce table3 --size=cpu --workdir=runs/table3_cpu

--size=paper prints every row: what the paper states, what the run of its
command has, and what that takes, which is calculated, not measured. WORKDIR/RUN
is where the command trains; a cell is filled where there is such a run, also
one of tf_resflow convert. Its test part is evaluated if it has no report.

--size=cpu does the studies of the table on data that come with the package; see
tf_resflow study. What they ask is which order holds, not which number.
"""

import dataclasses
import os
import shlex

from tf_resflow import workflow
from tf_resflow.commands import options as options_lib
from tf_resflow.commands import study as study_tool
from tf_resflow.specs import fields
from tf_resflow.training import files

_TABLES = tuple(f'table{number}' for number in range(1, 6))
# Of the report of a run, and how a table has them.
_METRICS = {'bits_per_dim': '{:.3f}', 'accuracy': '{:.2%}'}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(options_lib.Options):
  """What is reproduced."""

  positional = 'name'
  sets_up_training = True

  name: str = options_lib.required(
      help='The table of the paper.', choices=_TABLES)
  size: str = options_lib.required(
      help='paper, or cpu.', choices=('paper', 'cpu'))
  workdir: str = options_lib.required(help='Folder of the runs.')


def main(options: Options) -> None:
  """Does the studies of a table, or prints its rows."""
  from tf_resflow.experiments import paper
  from tf_resflow.experiments import study_report
  if options.size == 'paper':
    print(study_report.markdown(
        [['model', 'published', 'here', 'days on 4 V100, on one H100',
          'command'], *(_cells(row, options.workdir)
                        for row in paper.rows(options.name))]))
    return
  names = paper.OF_TABLES.get(options.name, ())
  options.require(
      bool(names), 'name', 'a table with studies at CPU size',
      'tf_resflow fid compares samples, with a network of your own.')
  for name in names:
    print(f'{name}\n')
    study_tool.main(study_tool.Options(
        name=name, workdir=os.path.join(options.workdir, name),
        arguments=(name, f'--workdir={options.workdir}/{name}')))


def _cells(row, workdir):
  """Returns a row of the table at full size."""
  published = ', '.join(
      f'{row[metric]}{unit}' for metric, unit in (
          ('bits_per_dim', ''), ('accuracy', ' %'), ('fid', ' (FID)'))
      if row[metric])
  if not row['flagfile']:
    return [row['model'], published, '', '', '']
  settings = row['settings'].split()
  folder = os.path.join(workdir, '-'.join([row['flagfile'], *(
      text.strip('-').replace('=', '_') for text in settings)]))
  days = ', '.join(filter(None, (row['days_4_v100'], row['days_h100'])))
  command = shlex.join([
      'tf_resflow', 'train', f'--flagfile={row["flagfile"]}', *settings,
      f'--workdir={folder}'])
  return [row['model'], published, _here(row, folder),
          days or f'{row["tflop"]} TFLOP a step', f'`{command}`']


def _here(row, folder):
  """Returns the metrics of the run in a folder; empty if there is none."""
  if not os.path.exists(os.path.join(folder, files.RUN_FLAGS)):
    return ''
  flow = workflow.load(folder)
  report = flow.run.report or workflow.evaluate(
      flow, certify=False, num_reconstructions=1).report()
  return ', '.join(
      text.format(report[metric]) for metric, text in _METRICS.items()
      if row[metric] and metric in report)
