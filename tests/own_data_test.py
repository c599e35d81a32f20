"""Data of the reader's own: trained, evaluated, sampled, exported, scored."""

import csv
import json

import numpy as np
from PIL import Image
import pytest
from sklearn import datasets as sklearn_datasets
import tensorflow as tf

import tf_resflow
from tf_resflow import evaluation

_SHORT = ['--num_steps=6', '--warmup_steps=0', '--learning_rate=0.01',
          '--batch_size=32', '--sample_every=3', '--log_every=3']
_VECTORS = ['--num_blocks=2', '--hidden_units=8']
_IMAGES = ['--num_blocks=1', '--hidden_channels=4', '--num_dense_blocks=0']


def _report(result):
  assert result.status == 0, result.stderr
  return json.loads(result.stdout.splitlines()[-1])


def _read_csv(path):
  with open(path, newline='', encoding='utf-8') as file:
    names, *rows = csv.reader(file)
  return names, np.array(rows, np.float64)


@pytest.fixture(scope='module', name='wine')
def _wine(tmp_path_factory):
  """The first four columns of scikit-learn's wine, as a file."""
  wine = sklearn_datasets.load_wine()
  path = tmp_path_factory.mktemp('own') / 'wine.csv'
  evaluation.write_table(
      path, [*wine.feature_names[:3], 'od280/od315 of diluted'],
      np.column_stack([wine.data[:, :3], wine.data[:, 11]]))
  return path


@pytest.fixture(name='table_run')
def _table_run(run_tool, wine, tmp_path):
  workdir = tmp_path / 'run'
  report = _report(run_tool(
      'train', f'--dataset=table:{wine}', f'--workdir={workdir}', *_SHORT,
      *_VECTORS, '--num_validation=20', '--evaluate_every=3'))
  return workdir, report


def test_a_table(run_tool, wine, table_run, tmp_path):
  workdir, trained = table_run
  names, rows = _read_csv(wine)
  assert trained['num_examples'] == 36
  assert trained['estimator_stderr'] == 0.0
  assert trained['lipschitz_bound_max'] < 1.0
  assert trained['reconstruction_error_max'] < 1e-3
  evaluated = _report(run_tool('evaluate', f'--workdir={workdir}'))
  assert evaluated['estimator'] == 'exact'
  assert evaluated['nats'] == pytest.approx(trained['nats'], rel=1e-5)
  metrics = (workdir / 'metrics.csv').read_text()
  assert 'validation_nats' in metrics and 'bits_per_dim' not in metrics

  flow = tf_resflow.load(str(workdir))
  test = tf.constant(rows, tf.float32)
  scores = tmp_path / 'scores.csv'
  # Other columns, in another order, are found by their names.
  shuffled = tmp_path / 'shuffled.csv'
  evaluation.write_table(
      shuffled, ['other', *names[::-1]],
      np.column_stack([np.zeros(len(rows)), rows[:, ::-1]]))
  _report(run_tool('evaluate', f'--workdir={workdir}', f'--inputs={shuffled}',
                   f'--output={scores}'))
  found_names, found = _read_csv(scores)
  assert found_names == [
      'other', *names[::-1], 'log_prob', 'log_prob_deviation']
  np.testing.assert_array_equal(found[:, 1:5], rows[:, ::-1])
  np.testing.assert_allclose(
      found[:, 5],
      flow.log_prob(test, estimator=tf_resflow.numerics.Exact()).numpy(),
      rtol=1e-4, atol=1e-4)

  samples = tmp_path / 'samples.csv'
  _report(run_tool('sample', f'--workdir={workdir}', f'--output={samples}',
                   '--num_samples=50'))
  sampled_names, sampled = _read_csv(samples)
  assert sampled_names == names and sampled.shape == (50, 4)
  np.testing.assert_allclose(
      sampled, flow.sample(50, seed=0).numpy(), rtol=1e-5)
  # In the units of the data.
  distance = np.abs(sampled.mean(axis=0) - rows.mean(axis=0))
  assert np.all(distance < rows.std(axis=0))


def test_an_exported_table_has_its_columns(
    run_tool, wine, table_run, tmp_path):
  workdir, _ = table_run
  _, rows = _read_csv(wine)
  output = tmp_path / 'wine' / '1'
  report = _report(run_tool(
      'export', f'--workdir={workdir}', f'--output={output}'))
  assert report['signatures'] == ['log_prob', 'sample', 'encode', 'decode']
  assert json.loads((output / 'assets.extra' / 'columns.json').read_text()
                    ) == report['columns']
  signatures = tf.saved_model.load(str(output)).signatures
  columns = {
      spec.name: spec for spec in
      signatures['log_prob'].structured_input_signature[1].values()}
  assert len(columns) == 4
  replies = signatures['sample'](
      num_samples=tf.constant(5), seed=tf.constant([0, 1]),
      temperature=tf.constant(1.0))
  tensors = ['alcohol', 'malic_acid', 'ash', 'od280_od315_of_diluted']
  assert set(replies) == set(tensors)
  inputs = {name: tf.constant(rows[:, i], tf.float32)
            for i, name in enumerate(tensors)}
  log_prob = signatures['log_prob'](**inputs)['log_prob']
  flow = tf_resflow.load(str(workdir))
  np.testing.assert_allclose(
      log_prob, flow.log_prob(
          tf.constant(rows, tf.float32),
          estimator=tf_resflow.numerics.Exact()).numpy(), rtol=1e-4, atol=1e-4)
  latents = signatures['encode'](**inputs)['latents']
  decoded = signatures['decode'](latents=latents)
  for i, name in enumerate(tensors):
    np.testing.assert_allclose(decoded[name], rows[:, i], rtol=1e-3)


def test_a_run_outlives_its_data_and_notices_other_data(
    run_tool, wine, tmp_path):
  names, rows = _read_csv(wine)
  path, workdir = tmp_path / 'own.csv', tmp_path / 'run'
  path.write_text(wine.read_text())
  command = ['train', f'--dataset=table:{path}', f'--workdir={workdir}',
             *_SHORT, *_VECTORS, '--noevaluate_at_end']
  assert run_tool(*command).status == 0
  evaluation.write_table(path, names, 2.0 * rows)
  refused = run_tool(*command, '--num_steps=8')
  assert refused.status == 2
  assert 'the data of the run. They have changed since' in refused.stderr
  refused = run_tool('evaluate', f'--workdir={workdir}')
  assert refused.status == 2
  assert 'the data of the run. They have changed since' in refused.stderr
  path.unlink()
  assert tf_resflow.load(str(workdir)).event_shape == (4,)
  _report(run_tool('sample', f'--workdir={workdir}',
                   f'--output={tmp_path / "samples.npz"}'))
  new = tmp_path / 'new.csv'
  evaluation.write_table(new, names, rows[:5])
  _report(run_tool('evaluate', f'--workdir={workdir}', f'--inputs={new}'))
  refused = run_tool('evaluate', f'--workdir={workdir}')
  assert refused.status == 2 and 'There is no such file' in refused.stderr
  assert refused.stderr.count('\n') == 1


def test_a_folder_of_images(run_tool, tmp_path):
  rng = np.random.default_rng(0)
  (tmp_path / 'photos').mkdir()
  for i in range(40):
    Image.fromarray(rng.integers(0, 256, [8, 8, 3], np.uint8)).save(
        tmp_path / 'photos' / f'{i}.png')
  workdir = tmp_path / 'run'
  report = _report(run_tool(
      'train', f'--dataset=images:{tmp_path / "photos"}',
      f'--workdir={workdir}', *_SHORT, *_IMAGES))
  assert report['num_examples'] == 8 and report['bits_per_dim'] > 0
  _report(run_tool('evaluate', f'--workdir={workdir}'))
  _report(run_tool('sample', f'--workdir={workdir}',
                   f'--output={tmp_path / "samples.png"}'))
  refused = run_tool('sample', f'--workdir={workdir}',
                     f'--output={tmp_path / "samples.csv"}')
  assert 'expected a file .png or .npz with images' in refused.stderr
  _report(run_tool('export', f'--workdir={workdir}',
                   f'--output={tmp_path / "served"}'))


@pytest.mark.parametrize('kind', ['vectors', 'images'])
def test_an_array(run_tool, tmp_path, kind):
  rng = np.random.default_rng(0)
  x = rng.normal(size=[60, 3]) if kind == 'vectors' else rng.integers(
      0, 256, [60, 4, 4, 1], np.uint8)
  np.savez(tmp_path / 'own.npz', x=x)
  workdir = tmp_path / 'run'
  report = _report(run_tool(
      'train', f'--dataset=array:{tmp_path / "own.npz"}',
      f'--workdir={workdir}', *_SHORT,
      *(_VECTORS if kind == 'vectors' else _IMAGES)))
  assert report['num_examples'] == 12
  _report(run_tool('evaluate', f'--workdir={workdir}'))
  output = tmp_path / 'samples.npz'
  _report(run_tool('sample', f'--workdir={workdir}', f'--output={output}',
                   '--num_samples=7'))
  with np.load(output) as arrays:
    assert arrays['x'].shape == (7, *x.shape[1:])
  _report(run_tool('export', f'--workdir={workdir}',
                   f'--output={tmp_path / "served"}'))


def test_tools_that_are_for_images(run_tool, table_run, wine):
  workdir, _ = table_run
  for arguments, message in (
      (['evaluate', '--against=digits'], 'no such flag with vectors'),
      (['fid', '--inception=none.keras'], ''),
      (['bias', '--output=bias.png'], 'no figure of runs on vectors')):
    tool, *flags = arguments
    flag = 'workdirs' if tool == 'bias' else 'workdir'
    result = run_tool(tool, f'--{flag}={workdir}', *flags)
    assert result.status == 2 and message in result.stderr
    assert len(result.stderr.splitlines()) == 1
  result = run_tool('scaling', '--study=memory', '--output=memory.png',
                    f'--dataset=table:{wine}')
  assert result.status == 2 and 'a data set of images' in result.stderr


def test_points_of_the_plane(run_tool, tmp_path):
  workdir = tmp_path / 'run'
  report = _report(run_tool(
      'train', '--dataset=2d/pinwheel', f'--workdir={workdir}', *_SHORT,
      *_VECTORS))
  assert report['num_examples'] == 20_000
  pictures = sorted(p.name for p in (workdir / 'samples').iterdir())
  assert pictures == ['samples_00000003.png', 'samples_00000006.png']
  picture = np.asarray(Image.open(workdir / 'samples' / pictures[0]))
  # Three panels, none of which is of one colour.
  width = picture.shape[1] // 3
  panels = [picture[50:-20, i * width:(i + 1) * width] for i in range(3)]
  assert all(len(np.unique(panel.reshape([-1, 3]), axis=0)) > 50
             for panel in panels)
  for name in ('samples.png', 'samples.csv', 'samples.npz'):
    _report(run_tool('sample', f'--workdir={workdir}',
                     f'--output={tmp_path / name}', '--num_samples=100'))
  assert _read_csv(tmp_path / 'samples.csv')[0] == ['x0', 'x1']


def test_baselines_of_vectors(run_tool, wine):
  report = _report(run_tool(
      'baselines', f'--dataset=table:{wine}', '--num_components=2'))
  assert report['num_train'] == 142
  assert set(report['baselines']) == {'gaussian', 'gaussian_mixture'}
  refused = run_tool('baselines', '--dataset=2d/moons', '--output=x.npz')
  assert refused.status == 2 and '--output=x.npz: expected no' in refused.stderr


@pytest.mark.parametrize('flags, message', [
    (['--interpolate'], '--interpolate=true: expected no such flag with mo'),
    (['--reconstruct'], '--reconstruct=true: expected no such flag with mo'),
    (['--temperature=0.5,1'], '--temperature=0.5,1.0: expected one number'),
])
def test_pictures_of_images_are_none_of_tables(
    run_tool, table_run, tmp_path, flags, message):
  workdir, _ = table_run
  result = run_tool('sample', f'--workdir={workdir}',
                    f'--output={tmp_path / "x.csv"}', *flags)
  assert result.status == 2 and message in result.stderr
  result = run_tool('sample', f'--workdir={workdir}',
                    f'--output={tmp_path / "x.png"}')
  assert 'a file .csv or .npz with vectors' in result.stderr


@pytest.mark.parametrize('dataset, flags, message', [
    ('table:none.csv', [], 'There is no such file'),
    ('images:none', [], 'There is no such folder'),
    ('array:none.npz', [], 'There is no such file'),
    ('list:none', [], 'expected one of digits'),
    ('2d/moons', ['--flip'], '--flip=True: expected False with dataset=2d/'),
    ('2d/moons', ['--hybrid'], '--hybrid=true: expected false, since 2d/moons'),
    ('2d/moons', ['--model=image'],
     '--model=image: expected a model of 2d/moons. These data'),
])
def test_one_line(run_tool, tmp_path, dataset, flags, message):
  result = run_tool('train', f'--dataset={dataset}',
                    f'--workdir={tmp_path / "run"}', *flags)
  assert result.status == 2 and result.stderr.count('\n') == 1
  assert message in result.stderr
  assert not (tmp_path / 'run').exists()
