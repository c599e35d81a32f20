"""bin/export writes the checkpoint's model, or one clear line."""

import json
import os
import pathlib
import shutil
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.commands import results
from tf_resflow import configuration
from tf_resflow import numerics
from tf_resflow import serving
from tf_resflow import training


@pytest.fixture(scope='module', name='workdir')
def workdir_fixture(tmp_path_factory):
  """Weights as training leaves them, without the training."""
  config = configuration.make_config(
      dataset='digits', num_blocks=(1,), hidden_channels=4, num_dense_blocks=0)
  model = config.model.build()
  model.initialize(tf.constant(np.random.default_rng(0).random([8, 8, 8, 1])))
  folder = tmp_path_factory.mktemp('runs') / 'run'
  training.create_workdir(str(folder), config, model)
  return folder


@pytest.mark.parametrize(('flags', 'estimator_fn'), [
    ([], lambda model: numerics.AdaptiveRoulette(0.02, batch_dependent=False)),
    (['--estimator=roulette:safe,exact=3', '--nowarmup'],
     lambda model: numerics.Estimator.get('roulette:safe,exact=3')),
    (['--estimator=exact', '--nowarmup'], lambda model: numerics.Exact()),
])
def test_exports_the_latest_checkpoint(
    run_tool, workdir, tmp_path, flags, estimator_fn):
  output = tmp_path / 'digits' / '1'
  result = run_tool(
      'export', f'--workdir={workdir}', f'--output={output}', *flags)
  report = results.report(result)
  assert (report['output'], report['step'], report['num_levels']) == (
      str(output), 0, 17)
  assert report['signatures'] == ['log_prob', 'sample', 'encode', 'decode']
  warmup = output / 'assets.extra' / 'tf_serving_warmup_requests'
  assert warmup.exists() == ('--nowarmup' not in flags)

  signatures = tf.saved_model.load(str(output)).signatures
  seed = tf.constant([0, 5])
  images = signatures['sample'](
      num_samples=tf.constant(2), seed=seed, temperature=tf.constant(1.0))
  model, _ = training.load_model(str(workdir))
  expected = serving.IntegerFlow(model, estimator_fn(model)).log_prob(
      images['images'], seed)
  found = signatures['log_prob'](images=images['images'], seed=seed)
  for name, value in expected.items():
    np.testing.assert_allclose(found[name], value, rtol=1e-5)


def _break(path):
  (data,) = pathlib.Path(path, 'checkpoints').glob('*.data*')
  data.write_bytes(data.read_bytes()[:100])


@pytest.mark.parametrize(('change_fn', 'flags', 'said'), [
    (lambda path: shutil.rmtree(f'{path}/checkpoints'), [],
     'export: error: --workdir={workdir}: expected '),
    (_break, [], 'export: error: file={workdir}/checkpoints/ckpt-0: '
     'expected undamaged files'),
    (lambda path: os.makedirs(f'{path}/../new/1'), [],
     'export: error: --output={output}: expected a new or empty folder'),
    (lambda path: None, ['--estimator=fixed:0'],
     'export: error: --estimator=fixed:0: expected '),
])
def test_bad_input_is_one_line(
    run_tool, workdir, tmp_path, change_fn, flags, said):
  copy, output = tmp_path / 'run', tmp_path / 'new'
  shutil.copytree(workdir, copy)
  change_fn(str(copy))
  before = sorted(tmp_path.rglob('*'))
  result = run_tool(
      'export', f'--workdir={copy}', f'--output={output}', *flags)
  results.check_error(result, said.format(workdir=copy, output=output))
  assert sorted(tmp_path.rglob('*')) == before


def test_missing_package_names_the_way_out(
    run_tool, workdir, tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'tensorflow_serving.apis', None)
  result = run_tool(
      'export', f'--workdir={workdir}', f'--output={tmp_path}/1')
  assert result.status == 2
  (line,) = result.stderr.splitlines()
  assert line.startswith('export: error: --warmup=')
  assert 'tensorflow-serving-api' in line and line.endswith('--nowarmup.')
  assert os.listdir(tmp_path) == []


def test_exported_labels(run_tool, labelled_workdir, tmp_path):
  output = tmp_path / 'served'
  report = results.report(run_tool(
      'export', f'--workdir={labelled_workdir}', f'--output={output}'))
  assert report['signatures'] == ['log_prob', 'sample', 'encode', 'decode']
  signatures = tf.saved_model.load(str(output)).signatures
  for signature in signatures.values():
    spec = signature.structured_input_signature[1]['condition']
    assert (spec.dtype, spec.shape.rank) == (tf.int32, 1)
  seed, labels = tf.constant([0, 5]), tf.constant([8, 1])
  images = signatures['sample'](
      num_samples=tf.constant(2), seed=seed, temperature=tf.constant(1.0),
      condition=labels)['images']
  model, _ = training.load_model(str(labelled_workdir))
  served = serving.IntegerFlow(
      model, numerics.AdaptiveRoulette(0.02, batch_dependent=False))
  found = signatures['log_prob'](images=images, seed=seed, condition=labels)
  for name, value in served.log_prob(images, seed, condition=labels).items():
    np.testing.assert_allclose(found[name], value, rtol=1e-5)


def test_exported_columns(run_tool, table_workdir, tmp_path):
  output = tmp_path / 'served'
  report = results.report(run_tool(
      'export', f'--workdir={table_workdir}', f'--output={output}'))
  assert report['columns'] == {
      'b': 'b', 'd': 'd', 'c': 'condition[:, 0]', 'a': 'condition[:, 1]'}
  assert json.loads(
      (output / 'assets.extra' / 'columns.json').read_text()
  ) == report['columns']
