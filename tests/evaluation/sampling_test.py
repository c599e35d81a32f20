"""Latents from seeds, events from latents, and inverses that fail."""

import numpy as np
import pytest
from scipy import stats
import tensorflow as tf

from tests import replicas
from tf_resflow import evaluation
from tf_resflow import models
from tf_resflow import numerics

_CONFIG = models.ResidualFlowConfig(
    image_shape=(4, 4, 1), num_levels=16, num_blocks=(1,), hidden_channels=4,
    num_dense_blocks=1, dense_hidden_units=4)


@pytest.fixture(scope='module')
def flow():
  model = models.ResidualFlow(_CONFIG)
  for layer in model.spectral_layers:
    layer.kernel.assign(4.0 * layer.kernel)  # The bound is active.
  model(tf.random.stateless_uniform([8, 4, 4, 1], [0, 1]))
  return model


def test_latents_follow_from_seed_and_number(flow):
  z = evaluation.draw_latents(flow, 30, seed=5).numpy()
  assert z.shape == (30, 16) and z.dtype == np.float32
  np.testing.assert_array_equal(evaluation.draw_latents(flow, 7, seed=5), z[:7])
  np.testing.assert_array_equal(
      evaluation.draw_latents(flow, 4, seed=5, start=11), z[11:15])
  assert np.all(evaluation.draw_latents(flow, 30, seed=6) != z)
  assert np.unique(z).size == z.size


def test_latents_are_standard_normal(flow):
  z = evaluation.draw_latents(flow, 500, seed=1).numpy()
  assert stats.kstest(z.ravel(), 'norm').pvalue > 1e-3
  correlations = np.corrcoef(z.T)[np.triu_indices(16, 1)]
  assert np.max(np.abs(correlations)) < 5.0 / np.sqrt(500)


@pytest.fixture(scope='module')
def decoded(flow):
  """Of six latents, in batches of three."""
  return evaluation.decode(
      flow, evaluation.draw_latents(flow, 6), batch_size=3)


def test_decoded_events_are_inverses(flow, decoded):
  np.testing.assert_array_equal(decoded.z, evaluation.draw_latents(flow, 6))
  np.testing.assert_allclose(flow(decoded.x), decoded.z, atol=1e-4)
  assert decoded.x.shape == (6, 4, 4, 1)
  assert decoded.residual.shape == decoded.num_steps.shape == (6, 2)
  report = decoded.report()
  assert 0.0 < report['inverse_residual_max'] < 1e-5
  assert 2 <= report['inverse_num_steps_mean'] <= (
      report['inverse_num_steps_max']) < 100


def test_tolerance(flow, decoded):
  coarse = evaluation.decode(flow, decoded.z, numerics.Anderson(atol=1e-2))
  assert coarse.num_steps.max() < decoded.num_steps.max()
  assert 1e-4 < coarse.residual.max() < 2e-2


def test_two_devices_agree_with_one(flow, decoded):
  with replicas.two_replicas().scope():
    model = models.ResidualFlow(_CONFIG)
    for target, source in zip(model.variables, flow.variables, strict=True):
      target.assign(source)
  found = evaluation.decode(
      model, decoded.z, batch_size=3, strategy=replicas.two_replicas())
  np.testing.assert_array_equal(found.z, decoded.z)
  np.testing.assert_allclose(found.x, decoded.x, atol=1e-5)
  np.testing.assert_array_equal(found.num_steps, decoded.num_steps)


def test_failures_name_example_and_block(flow):
  """What streams its batches has those before the failure."""
  z = np.array(evaluation.draw_latents(flow, 6))
  z[4, 0] = np.nan
  batches = evaluation.decode_batches(flow, [z[:3], z[3:]])
  assert len(next(batches).x) == 3
  with pytest.raises(evaluation.NotConvergedError, match=(
      '1 of 3 examples in a batch did not converge, the first of them number 4 '
      'in block_1: residual nan after 1 of at most 500 steps. A larger tol')):
    next(batches)
