"""A flow without residual blocks is a flow: all tools work with one."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import testing
from tf_resflow import benchmarking
from tf_resflow import configuration
from tf_resflow import training
from tf_resflow.commands import runner

_CONFIG = configuration.make_config(
    dataset='digits', block='coupling', activation='relu',
    invertible_linear='lu', num_blocks=(2, 1), hidden_channels=4,
    num_dense_blocks=1, dense_hidden_units=4, batch_size=8)


@pytest.fixture(scope='module', name='workdir')
def workdir_fixture(tmp_path_factory):
  """Weights away from their start, as training leaves them."""
  model = _CONFIG.model.build()
  rng = np.random.default_rng(0)
  for variable in model.trainable_variables:
    variable.assign_add(0.1 * rng.normal(size=variable.shape))
  model.initialize(tf.constant(rng.random([16, 8, 8, 1]), tf.float32))
  folder = tmp_path_factory.mktemp('runs') / 'coupling'
  training.create_workdir(str(folder), _CONFIG, model)
  return folder


def run_tool(capsys, name, *arguments):
  """Returns the report of a tool."""
  capsys.readouterr()
  status = runner.run(name, [str(a) for a in arguments])
  stdout, stderr = capsys.readouterr()
  assert status == 0, stderr
  return json.loads(stdout.splitlines()[-1])


def refusal_of(capsys, name, *arguments):
  """Returns the one line of a tool that refuses to work."""
  capsys.readouterr()
  assert runner.run(name, [str(a) for a in arguments]) == 2
  (line,) = capsys.readouterr().err.splitlines()[-1:]
  return line


def test_bits_per_dim_are_exact(capsys, workdir, tmp_path):
  """Those of the Jacobian; one pass, and no error of an estimator."""
  x = np.random.default_rng(1).random([3, 8, 8, 1])
  np.savez(tmp_path / 'x.npz', x=x)
  report = run_tool(
      capsys, 'evaluate', f'--workdir={workdir}', f'--inputs={tmp_path}/x.npz',
      f'--output={tmp_path}/y.npz', '--certify')
  assert report['estimator'] == 'exact' and report['num_repeats'] == 1
  assert report['estimator_stderr'] == 0.0
  for name in ('lipschitz_bound_max', 'lipschitz_power_iteration_max'):
    assert report[name] is None
  assert report['reconstruction_error_max'] < 1e-10
  assert report['inverse_num_steps_max'] == 0
  model, _ = training.load_model(str(workdir), dtype='float64')
  jacobian = testing.full_jacobian(model, tf.constant(x))
  with np.load(tmp_path / 'y.npz') as stored:
    np.testing.assert_allclose(
        stored['log_det'], np.linalg.slogdet(jacobian)[1], rtol=0, atol=1e-8)


def test_a_split_is_evaluated(capsys, workdir):
  report = run_tool(
      capsys, 'evaluate', f'--workdir={workdir}', '--num_examples=20')
  assert np.isfinite(report['bits_per_dim'])
  # What is left is the noise of dequantisation.
  assert 0.0 < report['estimator_stderr'] < 0.1
  assert report['inverse_num_not_converged'] == 0


@pytest.mark.parametrize('name, flag, said', [
    ('evaluate', '--estimator=fixed:3', '--estimator=fixed:3'),
    ('evaluate', '--num_probes=2', '--num_probes=2'),
    ('export', '--estimator=fixed:3', '--estimator=fixed:3'),
    ('benchmark', '--evaluation_estimator=fixed:3',
     '--evaluation_estimator=fixed:3')])
def test_flags_about_estimates_are_refused(
    capsys, workdir, tmp_path, name, flag, said):
  output = [f'--output={tmp_path}/new'] if name == 'export' else []
  line = refusal_of(capsys, name, f'--workdir={workdir}', flag, *output)
  assert line.startswith(
      f'{name}: error: {said}: expected no such flag with a model whose '
      'log-determinants are exact.')


@pytest.mark.parametrize('study, said', [
    ('cost', 'estimator=fixed:4: expected its default'),
    ('memory', 'expected its default')])
def test_studies_of_series_are_refused(capsys, tmp_path, study, said):
  line = refusal_of(
      capsys, 'scaling', '--dataset=digits', '--block=coupling',
      '--num_blocks=1', '--num_dense_blocks=0', f'--study={study}',
      f'--output={tmp_path}/figure.png')
  assert said in line


def test_samples_and_exports_agree(capsys, workdir, tmp_path):
  report = run_tool(
      capsys, 'sample', f'--workdir={workdir}', '--num_samples=4',
      f'--output={tmp_path}/x.npz')
  assert report['inverse_num_steps_max'] == 0
  report = run_tool(
      capsys, 'export', f'--workdir={workdir}', f'--output={tmp_path}/served')
  assert report['estimator'] == 'exact'
  served = tf.saved_model.load(str(tmp_path / 'served')).signatures
  with np.load(tmp_path / 'x.npz') as samples:
    z, image = samples['z'], np.round(samples['image'] / 255 * 16)
  images = served['decode'](latents=tf.constant(z))['images']
  np.testing.assert_array_equal(images, image)
  replies = [served['log_prob'](images=images, seed=tf.constant([0, s]))[
      'log_prob'] for s in (1, 1, 2)]
  np.testing.assert_array_equal(replies[0], replies[1])
  assert np.all(replies[0] != replies[2])  # Another noise.
  latents = served['encode'](images=images)['latents']
  np.testing.assert_array_equal(
      served['decode'](latents=latents)['images'], images)


def test_samples_are_compared_with_images(capsys, workdir, tmp_path):
  network = keras.Sequential([
      keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(2)])
  network.save(tmp_path / 'network.keras')
  report = run_tool(
      capsys, 'fid', f'--workdir={workdir}', '--num_images=40',
      f'--inception={tmp_path}/network.keras')
  assert np.isfinite(report['fid'])


def test_benchmarks():
  settings = benchmarking.Settings(_CONFIG, num_repeats=2)
  result = benchmarking.measure_training(settings, start_time=0.0)
  assert result['train_step_s'] > 0.0 and 'work' not in result
  assert benchmarking.measure_evaluation(
      settings)['evaluate_deviation_nats'] == 0.0
  sampling = benchmarking.measure_sampling(settings)
  assert sampling['sample_num_steps_mean'] == 0.0
