"""bin/train on bad input: one clear line, a status, and nothing written.

And what it reports of flows p(x|c).
"""

import json
import math

import numpy as np
import pytest

from tests.commands import processes
from tests.training import runs
from tf_resflow import configuration
from tf_resflow import evaluation
from tf_resflow import training
from tf_resflow.training import workdir as workdir_lib

_TRAIN = ['--num_steps=3', '--warmup_steps=0', '--learning_rate=0.01',
          '--batch_size=16', '--num_blocks=1', '--condition_features=4']
_IMAGES = ['--hidden_channels=4', '--num_dense_blocks=0']
_VECTORS = ['--hidden_units=8', '--condition_hidden_units=5']
# Flags, and what the line says.
_BAD = {
    'dataset': (
        ['--dataset=imagenet'], '--dataset=imagenet: expected one of digits'),
    'image_size': (
        ['--image_size=32'],
        '--image_size=32: expected the size of the images of digits, 8 x 8.'),
    'coeff': (
        ['--lipschitz_coeff=1'], '--lipschitz_coeff=1.0: expected a number in'),
    'activation': (
        ['--activation=sine'], '--activation=sine: expected one of lipswish'),
    'estimator': (
        ['--estimator=best'], '--estimator=best: expected one of roulette, ad'),
    'estimator_argument': (
        ['--estimator=roulette:poisson:x'], '--estimator=roulette:poisson:x: '),
    'model': (['--model=none'], '--model=none: expected one of image, vector'),
    'boolean': (['--act_norm=maybe'], '--act_norm=maybe: expected true or fa'),
    'unknown': (
        ['--batchsize=3'], '--batchsize is no flag of this tool. Did you mean '
        '--batch_size?'),
    'no_number': (['--batch_size=abc'], '--batch_size=abc: expected a whole'),
    'flagfile': (
        ['--flagfile=/no/such.flags'], '--flagfile=/no/such.flags: expected'),
    'batch_size': (
        ['--batch_size=0'], '--batch_size=0: expected a whole number from 1.'),
    'replicas': (
        ['--batch_size=3', '--strategy=mirrored'],
        '--batch_size=3: expected a multiple of 2'),
    'learning_rate': (
        ['--learning_rate=-0.001'],
        '--learning_rate=-0.001: expected a number above 0.'),
    'num_blocks': (
        ['--num_blocks=2,x'], '--num_blocks=2,x: expected 1 or more whole num'),
    'num_validation': (
        ['--num_validation=2000'], '--num_validation=2000: expected '),
    'evaluate_every': (
        ['--evaluate_every=5'],
        '--evaluate_every=5: expected 0 where num_validation is below 2.'),
    'optimizer': (
        ['--optimizer=lion'],
        '--optimizer=lion: expected one of adam, sgd, rmsprop, adamax.'),
    'momentum': (
        ['--momentum=0.5'],
        '--momentum=0.5: expected 0.9 with optimizer=adam.'),
    'annealing_steps': (
        ['--annealing_steps=5', '--hybrid', '--nll_weight=0'],
        '--annealing_steps=5: expected 0 with nll_weight=0.'),
    'keep_best': (
        ['--keep_best'], '--keep_best=true: expected false where evaluate_ev'),
    'steep_activation': (
        ['--activation=selu'],
        '--activation=selu: expected one of lipswish, elu, cpila, clipswish, '
        'crelu, maxmin, fullsort, softplus, relu, tanh, identity, '
        'lipschitz_cube. The slope of SELU reaches 1.7581'),
    'argument': (
        ['digits'], 'argument=digits: expected flags alone, such as --name'),
}


def _assert_one_line(result, start):
  """Checks an error of ours: one line, status 2."""
  assert result.status == 2
  lines = result.stderr.splitlines()
  assert len(lines) == 1, result.stderr
  assert lines[0].startswith(f'train: error: {start}'), lines[0]
  assert result.stdout == ''


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


def test_workdir_of_another_configuration(run_tool, tmp_path, data_dir):
  workdir_lib.prepare(
      str(tmp_path), configuration.make_config(seed=1, data_dir=data_dir))
  before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
  result = run_tool(
      'train', f'--workdir={tmp_path}', f'--data_dir={data_dir}', '--seed=2')
  _assert_one_line(result, f'--workdir={tmp_path}: expected ')
  assert 'seed' in result.stderr and '1' in result.stderr
  assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_foreign_workdirs(run_tool, tmp_path, data_dir):
  file = tmp_path / 'file'
  file.write_text('important')
  result = run_tool('train', f'--workdir={file}', f'--data_dir={data_dir}')
  _assert_one_line(result, f'--workdir={file}: expected ')
  result = run_tool('train', f'--workdir={tmp_path}')
  _assert_one_line(result, f'--workdir={tmp_path}: expected ')
  result = run_tool(
      'train', f'--workdir={file}/run', f'--data_dir={data_dir}',
      '--num_blocks=1', '--hidden_channels=4')
  assert result.status == 2 and 'Not a directory' in result.stderr
  assert file.read_text() == 'important'


def test_missing_workdir(run_tool):
  _assert_one_line(
      run_tool('train', '--dataset=digits'),
      '--workdir is missing. Folder of the run: flags, metrics, ')


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


def _report(result):
  assert result.status == 0, result.stderr
  return json.loads(result.stdout.splitlines()[-1])


def test_labels_are_trained_on(run_tool, tmp_path):
  """The report at the end is that of bin/evaluate, accuracy and all."""
  rng = np.random.default_rng(0)
  label = np.arange(60) % 2
  np.savez(tmp_path / 'own.npz', label=label, x=(rng.integers(
      0, 100, [60, 4, 4, 1]) + 150 * label[:, None, None, None]
      ).astype(np.uint8))
  workdir = tmp_path / 'run'
  trained = _report(run_tool(
      'train', f'--dataset=array:{tmp_path / "own.npz"}',
      f'--workdir={workdir}', '--condition=label', '--sample_every=3',
      '--num_validation=10', '--evaluate_every=3', *_TRAIN, *_IMAGES))
  assert '--condition=label\n' in (workdir / 'run.flags').read_text()
  assert [p.name for p in (workdir / 'samples').iterdir()] == [
      'samples_00000003.png']
  assert 'validation_bits_per_dim' in (workdir / 'metrics.csv').read_text()
  evaluated = _report(run_tool('evaluate', f'--workdir={workdir}'))
  for name in ('bits_per_dim', 'accuracy', 'cross_entropy'):
    assert evaluated[name] == pytest.approx(trained[name], rel=1e-5), name
  assert trained['accuracy_num_examples'] == 12
  assert training.load_model(str(workdir))[0].condition_spec.num_labels == 2


def test_columns_are_trained_on(run_tool, table, tmp_path):
  workdir = tmp_path / 'run'
  trained = _report(run_tool(
      'train', f'--dataset=table:{table}', f'--workdir={workdir}',
      '--condition=d,a', *_TRAIN, *_VECTORS))
  model, _ = training.load_model(str(workdir))
  assert model.condition_spec.names == ('d', 'a')
  assert evaluation.column_names(model) == ('b', 'c')
  assert 'accuracy' not in trained
  evaluated = _report(run_tool('evaluate', f'--workdir={workdir}'))
  assert evaluated['nats'] == pytest.approx(trained['nats'], rel=1e-5)


@pytest.mark.parametrize('flags, said', [
    (['--condition=colour'], '--condition=colour: expected label. It is what '
     'digits has beside x.'),
    (['--condition=label,label'], '--condition=label,label: expected label.'),
    (['--dataset={table}', '--condition=a,e'],
     '--condition=a,e: expected columns of table:'),
    (['--dataset={table}', '--condition=a,b,c,d'],
     '--condition=a,b,c,d: expected fewer columns than there are'),
    (['--dataset=2d/moons', '--condition=label'],
     '--condition=label: expected none with dataset=2d/moons'),
    (['--condition_features=4'], '--condition_features=4: expected its defau')])
def test_conditions_that_data_have_not(
    run_tool, table, data_dir, tmp_path, flags, said):
  result = run_tool(
      'train', f'--workdir={tmp_path}/run', f'--data_dir={data_dir}',
      *(flag.format(table=f'table:{table}') for flag in flags))
  _assert_one_line(result, said)
  assert not (tmp_path / 'run').exists()
