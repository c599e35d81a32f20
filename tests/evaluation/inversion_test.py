"""Inversion checks tell good inverses from crippled ones."""

import contextlib

import numpy as np
import pytest
import tensorflow as tf

from tests import flows
from tests import replicas
from tf_resflow import datasets
from tf_resflow import evaluation
from tf_resflow import models
from tf_resflow import numerics
from tf_resflow.evaluation import inversion


@pytest.fixture(scope='module')
def split():
  images = np.random.default_rng(0).integers(0, 16, [7, 4, 4, 1])
  return datasets.ImageSplit(
      tf.data.Dataset.from_tensor_slices({
          'image': images.astype(np.uint8), 'label': np.zeros(7, np.int32)}),
      7, (4, 4, 1), 16)


@pytest.fixture
def flow():
  model = models.ResidualFlowConfig(
      image_shape=(4, 4, 1), num_levels=16, num_blocks=(2,),
      hidden_channels=4, num_dense_blocks=0).build()
  for layer in model.constrained_layers:
    # Norms well above the bound, so that the blocks are not near the identity.
    layer.kernel.assign(4.0 * layer.kernel)
  model(tf.random.stateless_uniform([8, 4, 4, 1], [0, 1]))
  return model


def test_good_inverse(split, flow):
  report = evaluation.check_inverse(
      flow, split, batch_size=3, num_examples=5)
  assert report.num_examples == 5
  assert report.num_not_converged == 0
  assert 0.0 < report.reconstruction_error_max < 1e-4
  assert 0.0 < report.residual_max < 1e-4
  assert 2 <= report.num_steps_max < 500


def test_crippled_solver(split, flow):
  for block in flow.certified_bijections:
    block.solver = numerics.Banach(max_steps=1)
  report = evaluation.check_inverse(flow, split, batch_size=3)
  # Every block of every example fails, and that is no error here.
  assert report.num_not_converged == 2 * 7
  assert report.num_steps_max == 1
  assert report.residual_max > 1e-2
  assert report.reconstruction_error_max > 1e-3


def test_residuals_do_not_rely_on_the_solver(split, flow, monkeypatch):
  """A solver that is wrong and says it is right."""
  block = flow.certified_bijections[0]
  solve = block.solve_inverse

  def wrong(y, **options):
    inverted = solve(y, **options)
    (found,) = inverted.solves
    x = inverted.x + 0.01
    return inverted._replace(x=x, solves=(
        found._replace(solution=found.solution._replace(x=x)),))

  monkeypatch.setattr(block, 'solve_inverse', wrong, raising=False)
  report = evaluation.check_inverse(flow, split)
  assert report.num_not_converged == 0
  # (1 - L) 0.01 <= |residual| <= (1 + L) 0.01 in the l2 norm.
  assert 5e-4 < report.residual_max < 0.1
  assert report.reconstruction_error_max > 5e-4


def test_every_solve_has_a_column(flow):
  z = flow.draw_latents(3, seed=0)
  inverted = flow.solve_inverse(z)
  found = inversion.convergence(inverted)
  assert [s.bijection.name for s in inverted.solves] == ['block_1', 'block_0']
  for i, solve in enumerate(inverted.solves):
    error = np.abs(solve.bijection(solve.solution.x) - solve.target)
    np.testing.assert_allclose(
        found.residual[:, i], error.max(axis=(1, 2, 3)), rtol=1e-6)
    np.testing.assert_array_equal(
        found.num_steps[:, i], solve.solution.num_steps)


@pytest.mark.parametrize('strategy', [None, replicas.two_replicas])
def test_a_flow_that_solves_nothing(split, strategy):
  strategy = strategy and strategy()
  with strategy.scope() if strategy else contextlib.nullcontext():
    model = flows.make_flow_without_blocks()
  report = evaluation.check_inverse(
      model, split, batch_size=3, strategy=strategy)
  assert report.num_examples == 7
  assert (report.residual_max, report.num_steps_max,
          report.num_not_converged) == (0.0, 0, 0)
  assert 0.0 < report.reconstruction_error_max < 1e-5
