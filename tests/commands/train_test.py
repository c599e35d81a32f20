"""bin/train: what it reports, and one clear line on bad input."""

import builtins
import os
import shlex
import signal

import numpy as np
import pytest

from tests.commands import results
from tf_resflow import evaluation
from tf_resflow import training
from tf_resflow.commands import train

_TRAIN = ['--num_steps=3', '--warmup_steps=0', '--learning_rate=0.01',
          '--batch_size=16', '--num_blocks=1']


def test_bad_input(run_tool, tmp_path, data_dir):
  """Of a field and data."""
  workdir, missing = tmp_path / 'run', tmp_path / 'missing'
  results.check_errors(run_tool, 'train', [
      (['--batch_size=0'], '--batch_size=0: expected an integer >= 1.'),
      (['--dataset=cifar10', f'--data_dir={missing}'],
       f'--data_dir={missing}: expected a folder with the prepared '),
  ], f'--workdir={workdir}', f'--data_dir={data_dir}', '--num_blocks=1')
  assert not list(tmp_path.iterdir())


@pytest.mark.reliability(promise='time-limit')
def test_signals_and_the_time_limit(run_tool, table, tmp_path, monkeypatch):
  """Before the first step, and in the evaluation after the last one."""
  workdir = tmp_path / 'run'
  command = ['train', f'--dataset=table:{table}', f'--workdir={workdir}',
             *_TRAIN, '--hidden_units=8']
  result = run_tool(*command, '--max_hours=1e-9')
  assert (result.status, result.stderr) == (
      3, 'train: error: --max_hours=1e-09 before a step: the run is as it was; '
      'run the same command again.\n')
  assert not workdir.exists()

  monkeypatch.setattr(
      evaluation, 'evaluate',
      lambda *args, **kwargs: os.kill(os.getpid(), signal.SIGTERM))
  result = run_tool(*command, '--max_hours=100')
  assert result.status == 3
  assert result.stderr.splitlines()[-1] == (
      'train: error: SIGTERM after step 3: its state is saved; run the same '
      'command again to continue.')


def test_the_next_commands_run(run_tool, table_workdir, table, tmp_path,
                               monkeypatch):
  """Of a conditional run, too."""
  monkeypatch.chdir(tmp_path)
  (sample, score, export) = train._next_commands(
      str(table_workdir), training.load_config(str(table_workdir)))
  assert f'--inputs={table}' in score and '--nowarmup' in export
  results.report(run_tool(*shlex.split(sample)[1:]))
  assert (tmp_path / 'samples.csv').exists()


@pytest.mark.slow
def test_a_finished_run_says_what_it_has_found(
    run_tool, table, tmp_path, monkeypatch):
  """Without its data, and at any time; of a run that continues it is another.

  Also what was said of the data before training. A file is opened once, by
  training with its evaluation, comparison and page, and by what goes on.
  """
  opened, open_file = [], builtins.open
  monkeypatch.setattr(builtins, 'open', lambda file, *arguments, **options: (
      opened.append(str(file)), open_file(file, *arguments, **options))[1])
  path, workdir = tmp_path / 'own.csv', tmp_path / 'run'
  text = table.read_text() + ''.join(table.open().readlines()[1:])
  path.write_text(text)
  command = ['train', f'--dataset=table:{path}', f'--workdir={workdir}',
             '--hidden_units=4', '--schedule=constant', '--input_noise=0',
             '--nocertify', '--evaluate_every=1', *_TRAIN]
  first = run_tool(*command)
  assert opened.count(str(path)) == 1 and 'mixture' in first.stderr
  written, page = ((workdir / name).read_bytes()
                   for name in ('report.json', 'report.html'))
  path.unlink()
  again = run_tool(*command)
  assert results.report(again) == results.report(first)
  # The page, which needs the data, is kept, too.
  said = first.stderr[first.stderr.index('\nstep'):]
  assert said == again.stderr[again.stderr.index('\nstep'):] + (
      said[said.index(f'page: {workdir}/report.html ('):])
  assert (workdir / 'report.json').read_bytes() == written
  assert b'Copies: ' in page and b'Left out' not in page
  assert (workdir / 'report.html').read_bytes() == page
  assert b'test rows are also training rows' in written
  path.write_text(text)
  opened.clear()
  more = results.report(run_tool(*command, '--num_steps=5'))
  assert opened.count(str(path)) == 1
  assert more != results.report(first)
  assert (workdir / 'report.json').read_bytes() != written
  assert b'--num_steps=5' in (workdir / 'report.html').read_bytes()


@pytest.mark.slow
def test_labels_are_trained_on(run_tool, tmp_path):
  """The report at the end is that of bin/evaluate, accuracy and all."""
  rng = np.random.default_rng(0)
  label = np.arange(60) % 2
  np.savez(tmp_path / 'own.npz', label=label, x=(rng.integers(
      0, 100, [60, 4, 4, 1]) + 150 * label[:, None, None, None]
      ).astype(np.uint8))
  workdir = tmp_path / 'run'
  trained = results.report(run_tool(
      'train', f'--dataset=array:{tmp_path / "own.npz"}',
      f'--workdir={workdir}', '--condition_on=label', '--condition_features=4',
      '--sample_every=3', '--num_validation=10', '--evaluate_every=3',
      '--estimator=fixed:3', '--seed=3', '--nopage', *_TRAIN,
      '--hidden_channels=4', '--num_dense_blocks=0'))
  flags = (workdir / 'run.flags').read_text()
  assert '--condition_on=label\n' in flags and '--estimator=fixed:3\n' in flags
  assert [p.name for p in (workdir / 'samples').iterdir()] == [
      'samples_00000003.png']
  # As of i-ResNets: the columns say which bits/dim are biased.
  columns = training.read_metrics(workdir)
  assert {'biased_bits_per_dim', 'validation_bias'} <= {*columns}
  assert 'bits_per_dim' not in columns
  evaluated = results.report(run_tool(
      'evaluate', f'--workdir={workdir}', '--seed=3'))
  for name in ('bits_per_dim', 'accuracy', 'cross_entropy'):
    assert evaluated[name] == pytest.approx(trained[name], rel=1e-5), name
  assert trained['accuracy_num_examples'] == 12
  model, _ = training.workdir.restore_model(str(workdir))
  assert model.condition_spec.num_labels == 2
