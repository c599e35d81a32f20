"""What tools make of a flow without residual blocks, which draws nothing."""

import numpy as np
import pytest
import tensorflow as tf

from tests import flows
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
  model = flows.disturb(_CONFIG.model.build(), 0.1)
  model.initialize(tf.random.stateless_uniform([16, 8, 8, 1], [0, 1]))
  folder = tmp_path_factory.mktemp('runs') / 'coupling'
  training.workdir.create_workdir(str(folder), _CONFIG, model)
  return folder


def test_bits_per_dim_are_exact(run_tool, workdir, tmp_path):
  """Those of the Jacobian; one pass, and no error of an estimator."""
  x = np.random.default_rng(1).random([3, 8, 8, 1])
  np.savez(tmp_path / 'x.npz', x=x)
  found = results.report(run_tool(
      'score', '--verify', f'--workdir={workdir}', f'--inputs={tmp_path}/x.npz',
      f'--output={tmp_path}/y.npz', '--certify'))
  assert found['estimator'] == 'exact' and found['num_repeats'] == 1
  assert found['latent_order'] == 'channels_last'
  assert found['estimator_stderr'] == 0.0
  for name in ('lipschitz_bound_max', 'lipschitz_power_iteration_max'):
    assert found[name] is None
  assert found['reconstruction_error_max'] < 1e-10
  assert found['inverse_num_steps_max'] == 0
  model, _ = training.workdir.restore_model(str(workdir), dtype='float64')
  jacobian = testing.full_jacobian(model, tf.constant(x))
  np.testing.assert_allclose(
      results.arrays(tmp_path / 'y.npz')['log_det'],
      np.linalg.slogdet(jacobian)[1], rtol=0, atol=1e-8)


def test_flags_about_estimates_are_refused(run_tool, workdir, tmp_path):
  exact = 'cannot be used with a model whose log-determinants are exact.'
  run, output = f'--workdir={workdir}', f'--output={tmp_path}/new.png'
  for tool, flags, message in (
      ('evaluate', (run, '--num_probes=2'), f'--num_probes {exact}'),
      ('export', (run, '--estimator=fixed:3', output), f'--estimator {exact}'),
      ('benchmark', (run, '--evaluation_estimator=fixed:3'),
       f'--evaluation_estimator {exact}')):
    result = run_tool(tool, *flags)
    assert result.status == 2 and message in result.stderr, (tool, result)
