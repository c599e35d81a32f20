"""Checks tell good inverses from crippled ones; events come from latents."""

import contextlib

import numpy as np
import pytest
import tensorflow as tf

from tests import flows
from tests import replicas
from tests import schemas
from tests import splits
from tf_resflow import evaluation
from tf_resflow import layers
from tf_resflow import models
from tf_resflow import numerics
from tf_resflow.evaluation import inversion


@pytest.fixture(scope='module')
def split():
  return splits.random_split(7, 16)


@pytest.fixture(scope='module', name='flow')
def _flow():
  return flows.make_image_flow(16, num_dense_blocks=0, is_steep=True)


def test_crippled_solver(split, flow, monkeypatch):
  for block in flow.certified_bijections:
    monkeypatch.setattr(block, 'solver', numerics.Banach(max_steps=1))
  report = evaluation.check_inverse(flow, split, batch_size=3)
  # Every example fails, and that is no error here.
  assert report['inverse_num_not_converged'] == 7
  assert report['inverse_num_steps_max'] == 1
  assert report['inverse_residual_max'] > 1e-2
  assert report['reconstruction_error_max'] > 1e-3


def test_residuals_do_not_rely_on_the_solver(split, flow, monkeypatch):
  """A solver that is wrong and says it is right."""
  block = type(flow.certified_bijections[0].frozen())
  solve = block.inverse_pass

  def wrong(self, y, settings):
    inverted = solve(self, y, settings)
    (found,) = inverted.solves
    x = inverted.value + 0.01
    return inverted._replace(value=x, solves=(
        found._replace(solution=found.solution._replace(x=x)),))

  monkeypatch.setattr(block, 'inverse_pass', wrong)
  report = evaluation.check_inverse(flow, split)
  assert report['inverse_num_not_converged'] == 0
  # (1 - L) 0.01 <= |residual| <= (1 + L) 0.01 in the l2 norm.
  assert 5e-4 < report['inverse_residual_max'] < 0.1
  assert report['reconstruction_error_max'] > 5e-4


class _Dequantization(layers.Augmentation):
  """Replaces the noise of 16 levels; centres of bins come back."""

  def augment(self, x, condition=None, *, seed=None):
    y = tf.floor(16.0 * x) + numerics.random.uniform(tf.shape(x), seed, x.dtype)
    return layers.Augmented(y / 16.0, tf.zeros(tf.shape(x)[0]))

  def project(self, y):
    return (tf.floor(16.0 * y) + 0.5) / 16.0


def test_new_noise_is_no_error_of_the_inverse(split):
  flow = models.Flow(
      layers.Flatten(), (4, 4, 1), 16, augmentation=_Dequantization())
  # Far from the half of a level, 0.03.
  report = evaluation.check_inverse(flow, split)
  assert report['reconstruction_error_max'] < 1e-6


@pytest.mark.parametrize('strategy', [None, replicas.two_replicas])
def test_a_flow_that_solves_nothing(split, strategy):
  strategy = strategy and strategy()
  with strategy.scope() if strategy else contextlib.nullcontext():
    model = flows.make_flow_without_blocks()
  report = evaluation.check_inverse(
      model, split, batch_size=3, strategy=strategy)
  assert report['num_reconstructions'] == 7
  assert (report['inverse_residual_max'], report['inverse_num_steps_max'],
          report['inverse_num_not_converged']) == (0.0, 0, 0)
  assert 0.0 < report['reconstruction_error_max'] < 1e-5
  z = model.draw_latents(5, seed=1)
  decoded = evaluation.decode(model, z, strategy=strategy, batch_size=2)
  np.testing.assert_allclose(model(decoded.x), z, atol=1e-4)
  assert decoded.residual.shape == decoded.num_steps.shape == (5, 0)
  assert decoded.report() == {
      'inverse_residual_max': 0.0, 'inverse_num_steps_max': 0,
      'inverse_num_steps_mean': 0.0}


@pytest.fixture(scope='module')
def vectors():
  """A flow of two blocks."""
  model = models.VectorFlowConfig(
      event_size=3, num_blocks=2, hidden_units=(8,)).build()
  for layer in model.constrained_layers:
    # Above the bound, so that the blocks are not near the identity.
    layer.kernel.assign(4.0 * layer.kernel)
  model.initialize(tf.random.stateless_normal([16, 3], [0, 1]))
  return model


def test_every_solve_has_a_column(vectors):
  inverted = vectors.solve_inverse(vectors.draw_latents(3, seed=0))
  residual, num_steps, failed = inversion.convergence(inverted)
  assert not np.any(failed)
  assert [s.bijection.name for s in inverted.solves] == ['block_1', 'block_0']
  for i, solve in enumerate(inverted.solves):
    np.testing.assert_allclose(
        residual[:, i], np.abs(solve.residual()).max(axis=1), rtol=1e-6)
    np.testing.assert_array_equal(num_steps[:, i], solve.solution.num_steps)


@pytest.fixture(scope='module')
def decoded(vectors):
  """Six decoded latents, in batches of three."""
  return evaluation.decode(
      vectors, vectors.draw_latents(6, seed=0), batch_size=3)


def test_decoded_events_are_inverses(vectors, decoded):
  np.testing.assert_array_equal(decoded.z, vectors.draw_latents(6, seed=0))
  np.testing.assert_allclose(vectors(decoded.x), decoded.z, atol=1e-4)
  assert decoded.x.shape == (6, 3)
  assert decoded.residual.shape == decoded.num_steps.shape == (6, 2)
  report = decoded.report()
  assert 0.0 < report['inverse_residual_max'] < 1e-5
  assert 2 <= report['inverse_num_steps_mean'] <= (
      report['inverse_num_steps_max']) < 100


def test_tolerance(vectors, decoded):
  coarse = evaluation.decode(vectors, decoded.z, numerics.Anderson(atol=1e-2))
  assert coarse.num_steps.max() < decoded.num_steps.max()
  assert 1e-4 < coarse.residual.max() < 2e-2


def test_failures_name_example_and_block(vectors):
  """A stream of batches yields those before the failure."""
  z = np.array(vectors.draw_latents(6, seed=0))
  z[4, 0] = np.nan
  batches = inversion.decode_batches(vectors, [z[:3], z[3:]])
  assert len(next(batches).x) == 3
  with pytest.raises(evaluation.NotConvergedError, match=(
      '1 of 3 examples in a batch did not converge, the first of them number 4 '
      'in block_1: residual nan after 1 of at most 500 steps. A larger tol')):
    next(batches)


def test_errors_of_vectors_are_relative_to_their_columns(monkeypatch):
  model = models.VectorFlowConfig(
      event_size=2, num_blocks=1, hidden_units=(4,),
      schema=schemas.make_schema(mean=(0.0, 5.0), std=(1.0, 1e3))
  ).build('float64')
  model.save_norms()
  for block in model.certified_bijections:
    monkeypatch.setattr(block, 'solver', numerics.Banach(max_steps=1))
  x = np.random.default_rng(0).normal(size=[5, 2]) * [1.0, 1e3]
  model.initialize(x)
  split = splits.make_split(x, None)

  def error(*std):
    monkeypatch.setattr(
        model, 'standardize', lambda x: x / tf.constant(std, x.dtype))
    return evaluation.check_inverse(model, split)['reconstruction_error_max']

  expected = evaluation.check_inverse(model, split)['reconstruction_error_max']
  first, second = error(1.0, 1e12), error(1e12, 1.0)
  assert 0.0 < first < second
  assert expected == pytest.approx(max(first, second / 1e3), rel=1e-9)
