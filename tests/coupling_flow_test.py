"""A flow without residual blocks is a flow: all tools work with one."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import testing
from tests.commands import results
from tf_resflow import configuration
from tf_resflow import training

_CONFIG = configuration.make_config(
    dataset='digits', block='coupling', activation='relu',
    invertible_linear='lu', num_blocks=(1, 1), hidden_channels=4,
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
  training.workdir.create_workdir(str(folder), _CONFIG, model)
  return folder


@pytest.fixture(name='report')
def report_fixture(run_tool):
  """Returns `report(name, *arguments)`, of a tool that succeeds."""
  return lambda *arguments: results.report(run_tool(*arguments))


def test_bits_per_dim_are_exact(report, workdir, tmp_path):
  """Those of the Jacobian; one pass, and no error of an estimator."""
  x = np.random.default_rng(1).random([3, 8, 8, 1])
  np.savez(tmp_path / 'x.npz', x=x)
  found = report(
      'evaluate', f'--workdir={workdir}', f'--inputs={tmp_path}/x.npz',
      f'--output={tmp_path}/y.npz', '--certify')
  assert found['estimator'] == 'exact' and found['num_repeats'] == 1
  assert found['estimator_stderr'] == 0.0
  for name in ('lipschitz_bound_max', 'lipschitz_power_iteration_max'):
    assert found[name] is None
  assert found['reconstruction_error_max'] < 1e-10
  assert found['inverse_num_steps_max'] == 0
  model, _ = training.workdir.load_model(str(workdir), dtype='float64')
  jacobian = testing.full_jacobian(model, tf.constant(x))
  np.testing.assert_allclose(
      results.arrays(tmp_path / 'y.npz')['log_det'],
      np.linalg.slogdet(jacobian)[1], rtol=0, atol=1e-8)


def test_a_split_is_evaluated(report, workdir):
  found = report('evaluate', f'--workdir={workdir}', '--num_examples=20')
  assert np.isfinite(found['bits_per_dim'])
  # What is left is the noise of dequantisation.
  assert 0.0 < found['estimator_stderr'] < 0.1
  assert found['inverse_num_not_converged'] == 0


def test_flags_about_estimates_are_refused(run_tool, workdir, tmp_path):
  no_such_flag = (
      ' cannot be used with a model whose log-determinants are exact.')
  run, output = f'--workdir={workdir}', f'--output={tmp_path}/new.png'
  study = ('--dataset=digits', '--block=coupling', '--num_blocks=1',
           '--num_dense_blocks=0', output)
  said = [(run_tool(tool, *flags), message) for tool, flags, message in (
      ('evaluate', (run, '--num_probes=2'), '--num_probes' + no_such_flag),
      ('export', (run, '--estimator=fixed:3', output),
       '--estimator' + no_such_flag),
      ('benchmark', (run, '--evaluation_estimator=fixed:3'),
       '--evaluation_estimator' + no_such_flag),
      ('scaling', (*study, '--study=time'), 'estimator=fixed:4 has no effect'),
      ('scaling', (*study, '--study=memory'), 'has no effect'))]
  wrong = [(result, message) for result, message in said
           if result.status != 2 or message not in result.stderr]
  assert not wrong


def test_samples_and_exports_agree(report, workdir, tmp_path):
  assert report(
      'sample', f'--workdir={workdir}', '--num_samples=4',
      f'--output={tmp_path}/x.npz')['inverse_num_steps_max'] == 0
  assert report(
      'export', f'--workdir={workdir}', f'--output={tmp_path}/served',
      '--nowarmup')['estimator'] == 'exact'
  served = tf.saved_model.load(str(tmp_path / 'served')).signatures
  samples = results.arrays(tmp_path / 'x.npz')
  images = served['decode'](latents=tf.constant(samples['z']))['images']
  np.testing.assert_array_equal(images, np.round(samples['image'] / 255 * 16))
  replies = [served['log_prob'](images=images, seed=tf.constant([0, s]))[
      'log_prob'] for s in (1, 1, 2)]
  np.testing.assert_array_equal(replies[0], replies[1])
  assert np.all(replies[0] != replies[2])  # Another noise.
  latents = served['encode'](images=images)['latents']
  np.testing.assert_array_equal(
      served['decode'](latents=latents)['images'], images)


def test_samples_are_compared_with_images(report, workdir, tmp_path):
  network = keras.Sequential([
      keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(2)])
  network.save(tmp_path / 'network.keras')
  assert np.isfinite(report(
      'fid', f'--workdir={workdir}', '--num_images=40',
      f'--inception={tmp_path}/network.keras')['fid'])
