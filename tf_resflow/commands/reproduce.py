"""Reproduces tables and figures of the paper, at full size or for CPUs.

  tf_resflow reproduce table3 --size=paper --workdir=runs/paper
  tf_resflow reproduce table3 --size=cpu --workdir=runs/cpu
  tf_resflow reproduce figure8 --size=cpu --workdir=runs/cpu

--size=cpu prints what the paper states, does the studies of the table on data
that come with the package, in WORKDIR/STUDY, and prints theirs; see tf_resflow
study. What they ask is which order holds, not which number. Figures are drawn
from their runs, into WORKDIR/NAME.png.

--size=paper prints every row of a table: what the paper states, what the run of
its command has, and what that takes, which is calculated, not measured; and
where the runs depart from the paper. WORKDIR/RUN is where the command trains; a
cell is filled where there is such a finished run; one of tf_resflow convert is
evaluated. Figures are drawn from these runs; commands of those that are not
there are printed.

figure3 measures the peak memory of every --memory mode, every step in a fresh
process.
"""

import dataclasses
import os
import shlex

from tf_resflow import configuration
from tf_resflow import workflow
from tf_resflow.commands import options as options_lib
from tf_resflow.commands import runner
from tf_resflow.commands import study as study_tool
from tf_resflow.configuration import flagfiles
from tf_resflow.experiments import paper
from tf_resflow.training import files

_NAMES = (*(f'table{number}' for number in range(1, 6)),
          *(f'figure{number}' for number in range(2, 9)),
          'norms', 'densities')
# Flagfiles, and changes of these, of which figure3 measures the memory.
_MEASURED: dict[str, dict[str, dict[str, int]]] = {
    'cpu': {'benchmark': {'batch_size': 16}},
    'paper': {'cifar10': {}, 'cifar10_small': {}}}
# Of the report of a run, and how a table has them.
_METRICS = {'bits_per_dim': '{:.3f}', 'accuracy': '{:.2%}'}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(options_lib.Options):
  """What is reproduced."""

  positional = 'name'
  sets_up_training = True

  name: str = options_lib.required(
      help='A table or figure of the paper, the norms of Section 5.1 and '
      'Appendix D, or the densities in two dimensions.',
      choices=_NAMES)
  size: str = options_lib.required(
      help='paper, or cpu.', choices=('paper', 'cpu'))
  workdir: str = options_lib.required(help='Folder of the runs.')


def main(options: Options) -> None:
  """Makes a table or a figure."""
  if options.name == 'figure3':
    _measure(options)
  elif options.name.startswith('figure'):
    _figure(options)
  elif options.size == 'paper':
    _full_table(options)
  else:
    from tf_resflow.experiments import study_report
    names = paper.OF_TABLES.get(options.name, ())
    options.require(
        bool(names), 'name', 'a table with studies at CPU size',
        'tf_resflow fid compares samples, with a network of your own.')
    print(study_report.markdown(paper.published(options.name)), end='\n\n')
    for name in names:
      print(f'{name}\n')
      study_tool.main(_study_options(options, name))


def _study_options(options, name):
  workdir = os.path.join(options.workdir, name)
  return study_tool.Options(
      name=name, workdir=workdir, arguments=(name, f'--workdir={workdir}'))


def _measure(options):
  from tf_resflow.experiments import memory
  os.makedirs(options.workdir, exist_ok=True)
  for name, changes in _MEASURED[options.size].items():
    options_lib.print_report(memory.measure_memory(
        configuration.make_config(**flagfiles.settings(name) | changes),
        os.path.join(options.workdir, f'{options.name}_{name}.png'),
        command=runner.command('benchmark', []),
        progress_fn=options_lib.note))


def _figure(options):
  """Draws a figure, or says which runs are missing."""
  from tf_resflow.experiments import figures
  figure = paper.FIGURES[options.name]
  path = os.path.join(options.workdir, f'{options.name}.png')
  os.makedirs(options.workdir, exist_ok=True)
  draw = getattr(figures, figure.draw)
  if not figure.flagfiles:
    draw(path)
  elif options.size == 'cpu':
    draw(path, _finalists(options, figure))
  else:
    runs = {name: [os.path.join(options.workdir, name)]
            for name in figure.flagfiles}
    missing = [_command(name, [], folder) for name, (folder,) in runs.items()
               if not _is_run(folder)]
    if missing:
      print('\n'.join(missing))
      return
    draw(path, runs)
  options_lib.note(f'{path} has the figure.')


def _finalists(options, figure):
  """Returns the folders of the finalists of a study, which is done first."""
  chosen = _study_options(options, figure.study)
  study, records = study_tool.finished(chosen)
  workloads = [figure.workload] if figure.workload else [*study.workloads]
  return {
      case if figure.workload else f'{case}, {workload}': [
          os.path.join(chosen.workdir, task.name)
          for task in study.finals(workload, case, records)]
      for workload in workloads for case in figure.cases or study.cases}


def _full_table(options):
  from tf_resflow.experiments import study_report
  rows, runs = paper.rows(options.name), paper.runs()
  print(study_report.markdown([
      ['model', 'published', 'here', 'days on 4 V100, one H100 (or TFLOP)',
       'command'],
      *(_cells(row, runs, options.workdir) for row in rows)]))
  for name in dict.fromkeys(row['flagfile'] for row in rows if row['flagfile']):
    print(f'\n{name} departs from the paper: {runs[name]["departures"]}.')


def _is_run(folder):
  return os.path.exists(os.path.join(folder, files.RUN_FLAGS))


def _command(flagfile, settings, folder):
  return shlex.join([
      'tf_resflow', 'train', f'--flagfile={flagfile}', *settings,
      f'--workdir={folder}'])


def _cells(row, runs, workdir):
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
  run = runs[row['flagfile']]
  days = ', '.join(filter(None, (run['days_4_v100'], run['days_h100'])))
  if not days and run['tflop']:
    days = f'({run["tflop"]} TFLOP a step)'
  return [row['model'], published or '-', _here(row, folder), days or '-',
          f'`{_command(row["flagfile"], settings, folder)}`']


def _here(row, folder):
  """Returns the metrics of the run in a folder."""
  if not _is_run(folder):
    return '-'
  metrics = [metric for metric in _METRICS if row[metric]]
  flow = workflow.load(folder)
  report = flow.run.report
  if not report and flow.run.is_converted and metrics:
    report = workflow.evaluate(
        flow, certify=False, num_reconstructions=1).report()
  if metrics and not report:
    return 'not finished'
  return ', '.join(_METRICS[metric].format(report[metric])
                   for metric in metrics if metric in report)
