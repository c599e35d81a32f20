"""bin/reproduce: rows at full size, studies and figures at CPU size."""

import dataclasses
import shutil

import pytest

from tests.commands import results
from tests.experiments import studies
from tf_resflow import benchmarking
from tf_resflow import workflow
from tf_resflow.configuration import flagfiles
from tf_resflow.experiments import paper
from tf_resflow.specs import registries


@pytest.mark.parametrize('name, num_rows', [
    ('table1', 19), ('table2', 7), ('table3', 9), ('table4', 22), ('table5', 9),
    ('norms', 2), ('densities', 1)])
def test_rows_at_full_size(run_tool, tmp_path, name, num_rows):
  result = run_tool('reproduce', name, '--size=paper', f'--workdir={tmp_path}')
  assert result.status == 0, result.stderr
  table, *departures = result.stdout.split('\n\n')
  _, _, *rows = table.splitlines()
  assert len(rows) == num_rows
  used = set()
  for row in rows:
    _, model, published, here, _, command, _ = map(str.strip, row.split('|'))
    assert model and here in ('', '-') and (published or name == 'densities')
    if command:
      used.add(command.split('--flagfile=')[1].split()[0].strip('`'))
  assert used and used <= {*flagfiles.names()}
  assert len(departures) == len(used)
  assert not list(tmp_path.iterdir())


def test_a_run_that_is_there_fills_its_cell(
    run_tool, trained_workdir, tmp_path, monkeypatch):
  row = {'model': 'A flow', 'flagfile': 'small', 'settings': '', 'fid': '',
         'bits_per_dim': '3.0', 'accuracy': ''}
  monkeypatch.setattr(paper, 'rows', lambda name: [row])
  monkeypatch.setattr(paper, 'runs', lambda: {'small': {
      'days_4_v100': '1', 'days_h100': '', 'departures': 'none'}})
  shutil.copytree(trained_workdir, tmp_path / 'small')
  flow = workflow.load(tmp_path / 'small')
  report = {'step': flow.run.step, 'bits_per_dim': 2.5}
  dataclasses.replace(flow.run, report=report).save()
  result = run_tool('reproduce', 'table1', '--size=paper',
                    f'--workdir={tmp_path}')
  here = result.stdout.splitlines()[2].split('|')[3]
  assert here.strip() == '2.500'
  (tmp_path / 'small' / 'report.json').unlink()
  result = run_tool('reproduce', 'table1', '--size=paper',
                    f'--workdir={tmp_path}')
  assert '| not finished |' in result.stdout


def test_studies_and_figures_at_cpu_size(run_tool, tmp_path, monkeypatch):
  """Whose log is there, so that nothing is left to be done."""
  monkeypatch.setitem(registries.STUDIES._entries, 'mine', studies.STUDY)
  monkeypatch.setattr(paper, 'OF_TABLES', {'table3': ('mine',)})
  (tmp_path / 'mine').mkdir()
  studies.write_log(tmp_path / 'mine' / 'study.jsonl', -0.2)
  result = run_tool('reproduce', 'table3', '--size=cpu',
                    f'--workdir={tmp_path}')
  assert result.status == 0, result.stderr
  assert '| i-ResNet + ELU, MNIST | 1.05 |' in result.stdout
  assert '(**-0.2028 +- 0.0474**); 1,200 steps |' in result.stdout
  figure = paper.Figure('save_curves', (), 'mine', 'digits', ('b',))
  found = {}
  monkeypatch.setitem(paper.FIGURES, 'figure8', figure._replace(
      flagfiles=('small',)))
  monkeypatch.setattr(
      'tf_resflow.experiments.figures.save_curves',
      lambda path, runs: found.update(runs))
  result = run_tool('reproduce', 'figure8', '--size=cpu',
                    f'--workdir={tmp_path}')
  assert result.status == 0, result.stderr
  assert found == {'b': [
      str(tmp_path / 'mine' / f'final-digits-b-0.01-{seed}')
      for seed in (1, 2)]}


def test_figures_at_full_size(run_tool, tmp_path):
  result = run_tool('reproduce', 'figure4', '--size=paper',
                    f'--workdir={tmp_path}')
  assert result.status == 0 and (tmp_path / 'figure4.png').exists()
  result = run_tool('reproduce', 'figure8', '--size=paper',
                    f'--workdir={tmp_path}')
  assert len(result.stdout.splitlines()) == 3
  assert f'--flagfile=cifar10 --workdir={tmp_path}/cifar10' in result.stdout


def test_memory_measures_processes_and_draws(run_tool, tmp_path, monkeypatch):
  commands = []

  def measure(command, task):
    flagfile, *options = command[-3:]
    with open(flagfile.removeprefix('--flagfile='), encoding='utf-8') as file:
      commands.append((file.read(), options, task))
    return {'peak_memory_gb': 1.0 + len(commands)}

  monkeypatch.setattr(benchmarking.report, 'measure', measure)
  result = run_tool('reproduce', 'figure3', '--size=cpu',
                    f'--workdir={tmp_path}')
  report = results.report(result)
  assert (tmp_path / 'figure3_benchmark.png').stat().st_size > 0
  assert report['peak_memory_gb']['recompute'] == {'10': 2.0, '40': 3.0}
  assert '\npeak_memory_gb.recompute.10 ' in result.stderr
  text, options, task = commands[-1]
  assert '--memory=naive\n' in text and '--hidden_channels=128\n' in text
  assert '--estimator=fixed:40\n' in text
  assert options == ['--tasks=train', '--num_repeats=0']
  assert task == 'train'


def test_bad_input(run_tool, tmp_path):
  results.check_errors(run_tool, 'reproduce', [
      ([], '--name is missing. A table or figure'),
      (['table9', '--size=cpu'], '--name=table9: expected one of table1'),
      (['table2', '--size=cpu'],
       '--name=table2: expected a table with studies')],
      f'--workdir={tmp_path}')
