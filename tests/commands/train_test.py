"""bin/train on bad input: one clear line, a status, and nothing written.

And what it reports of flows p(x|c).
"""

import math

import numpy as np
import pytest

from tests.commands import processes
from tests.commands import results
from tests.training import runs
from tf_resflow import evaluation
from tf_resflow import training

_TRAIN = ['--num_steps=3', '--warmup_steps=0', '--learning_rate=0.01',
          '--batch_size=16', '--num_blocks=1', '--condition_features=4']
_IMAGES = ['--hidden_channels=4', '--num_dense_blocks=0']
_VECTORS = ['--hidden_units=8', '--condition_hidden_units=5']
# Flags, and what the line says: of a field, of fields together, of data, of
# the devices, of a model and of a rule that the optimizer has.
_BAD = {
    'batch_size': (
        ['--batch_size=0'], '--batch_size=0: expected a whole number from 1.'),
    'evaluate_every': (
        ['--evaluate_every=5'],
        '--evaluate_every=5: expected 0 where num_validation is below 2.'),
    'num_validation': (
        ['--num_validation=2000'], '--num_validation=2000: expected '),
    'replicas': (
        ['--batch_size=3', '--strategy=mirrored'],
        '--batch_size=3: expected a multiple of 2'),
    'estimator_argument': (
        ['--estimator=roulette:poisson:x'], '--estimator=roulette:poisson:x: '),
    'momentum': (
        ['--momentum=0.5'],
        '--momentum=0.5: expected 0.9 with optimizer=adam.'),
}


def _assert_one_line(result, start):
  results.check_error(result, f'train: error: {start}')


@pytest.mark.parametrize('case', _BAD)
def test_bad_flags(run_tool, tmp_path, data_dir, case):
  arguments, start = _BAD[case]
  workdir = tmp_path / 'run'
  result = run_tool(
      'train', f'--workdir={workdir}', f'--data_dir={data_dir}',
      '--num_blocks=1', '--hidden_channels=4', *arguments)
  _assert_one_line(result, start)
  assert not workdir.exists()


def test_missing_data(run_tool, tmp_path):
  missing = tmp_path / 'data_dir'
  result = run_tool(
      'train', f'--workdir={tmp_path / "run"}', '--dataset=cifar10',
      f'--data_dir={missing}', '--num_blocks=1', '--hidden_channels=4')
  _assert_one_line(
      result, f'--data_dir={missing}: expected a folder with the prepared ')
  assert 'or give the folder that holds it' in result.stderr
  assert list(tmp_path.iterdir()) == []


def test_biased_estimators_are_trained_and_named(run_tool, tmp_path, data_dir):
  """As of i-ResNets: the columns say which bits/dim are biased."""
  result = run_tool(
      'train', f'--workdir={tmp_path}/run', f'--data_dir={data_dir}',
      '--num_blocks=1', '--hidden_channels=4', '--num_dense_blocks=0',
      '--num_steps=1', '--sample_every=0', '--estimator=fixed:3',
      '--noevaluate_at_end', '--num_validation=5', '--evaluate_every=1')
  assert result.status == 0, result.stderr
  assert '--estimator=fixed:3\n' in (tmp_path / 'run/run.flags').read_text()
  assert 'biased_bits_per_dim: ' in result.stdout
  columns = training.read_metrics(tmp_path / 'run')
  assert list(columns)[:2] == ['step', 'biased_bits_per_dim']
  assert 'bits_per_dim' not in columns
  assert columns['validation_bias'] == pytest.approx(
      columns['validation_biased_bits_per_dim'] -
      columns['validation_bits_per_dim'], rel=1e-6)
  assert columns['validation_bits_per_dim_stderr'] > 0.0


def test_further_switches_are_trained(run_tool, tmp_path, data_dir):
  """Together; and the best checkpoint is that of the lowest row."""
  workdir = tmp_path / 'run'
  flags = (
      '--estimator=roulette:poisson:2,exact=1,samples=2', '--optimizer=adamax',
      '--annealing_steps=2', '--keep_best', '--evaluate_every=1',
      '--num_validation=16', '--hybrid', '--nll_weight=0.5')
  result = run_tool(
      'train', f'--workdir={workdir}', f'--data_dir={data_dir}',
      '--num_blocks=1', '--hidden_channels=4', '--num_dense_blocks=0',
      '--head_channels=4', '--num_steps=3', '--warmup_steps=0',
      '--accumulation_steps=2', '--batch_size=16', '--sample_every=0',
      '--noevaluate_at_end', *flags)
  assert result.status == 0, result.stderr
  assert set(flags) <= set((workdir / 'run.flags').read_text().split())
  rows = runs.rows(workdir)
  losses = [float(row['validation_loss']) for row in rows]
  for row, loss in zip(rows, losses, strict=True):
    nats = 64 * math.log(2.0) * float(row['validation_bits_per_dim'])
    np.testing.assert_allclose(
        loss, 0.5 * nats + float(row['validation_cross_entropy']), rtol=1e-6)
  assert len(losses) == 3
  assert training.load_model(str(workdir), checkpoint='best')[1] == (
      1 + np.argmin(losses))


def test_real_process(tmp_path):
  """Nothing but the line, of a flag that takes a model to be refused."""
  result = processes.run_launcher(
      'train', '--flagfile=digits', '--estimator=roulette:poisson:-1',
      f'--workdir={tmp_path / "run"}')
  assert (result.returncode, result.stdout) == (2, '')
  (line,) = result.stderr.splitlines()
  assert line.startswith('train: error: ')
  assert list(tmp_path.iterdir()) == []


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
      f'--workdir={workdir}', '--condition=label', '--sample_every=3',
      '--num_validation=10', '--evaluate_every=3', *_TRAIN, *_IMAGES))
  assert '--condition=label\n' in (workdir / 'run.flags').read_text()
  assert [p.name for p in (workdir / 'samples').iterdir()] == [
      'samples_00000003.png']
  assert 'validation_bits_per_dim' in (workdir / 'metrics.csv').read_text()
  evaluated = results.report(run_tool('evaluate', f'--workdir={workdir}'))
  for name in ('bits_per_dim', 'accuracy', 'cross_entropy'):
    assert evaluated[name] == pytest.approx(trained[name], rel=1e-5), name
  assert trained['accuracy_num_examples'] == 12
  assert training.load_model(str(workdir))[0].condition_spec.num_labels == 2


def test_columns_are_trained_on(run_tool, table, tmp_path):
  workdir = tmp_path / 'run'
  trained = results.report(run_tool(
      'train', f'--dataset=table:{table}', f'--workdir={workdir}',
      '--condition=d,a', *_TRAIN, *_VECTORS))
  model, _ = training.load_model(str(workdir))
  assert model.condition_spec.names == ('d', 'a')
  assert evaluation.column_names(model) == ('b', 'c')
  assert 'accuracy' not in trained
  evaluated = results.report(run_tool('evaluate', f'--workdir={workdir}'))
  assert evaluated['nats'] == pytest.approx(trained['nats'], rel=1e-5)
