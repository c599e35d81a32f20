"""Inversion checks tell good inverses from crippled ones."""

import numpy as np
import pytest
import tensorflow as tf

from tf_resflow import datasets
from tf_resflow import evaluation
from tf_resflow import models
from tf_resflow import numerics


@pytest.fixture(scope='module')
def split():
  images = np.random.default_rng(0).integers(0, 16, [7, 4, 4, 1])
  return datasets.ImageSplit(
      tf.data.Dataset.from_tensor_slices({
          'image': images.astype(np.uint8), 'label': np.zeros(7, np.int32)}),
      7, (4, 4, 1), 16)


@pytest.fixture
def flow():
  model = models.ResidualFlow(models.ResidualFlowConfig(
      image_shape=(4, 4, 1), num_levels=16, num_blocks=(2,),
      hidden_channels=4, num_dense_blocks=0))
  for layer in model.spectral_layers:
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
  for block in flow.residual_blocks:
    block.solver = numerics.Banach(max_steps=1)
  report = evaluation.check_inverse(flow, split, batch_size=3)
  # Every block of every example fails, and that is no error here.
  assert report.num_not_converged == 2 * 7
  assert report.num_steps_max == 1
  assert report.residual_max > 1e-2
  assert report.reconstruction_error_max > 1e-3


def test_residuals_do_not_rely_on_the_solver(split, flow, monkeypatch):
  """A solver that is wrong and says it is right."""
  block = flow.residual_blocks[0]
  solve = block.solve_inverse

  def wrong(y, solver=None):
    solution = solve(y, solver)
    return solution._replace(x=solution.x + 0.01)

  monkeypatch.setattr(block, 'solve_inverse', wrong)
  report = evaluation.check_inverse(flow, split)
  assert report.num_not_converged == 0
  # (1 - L) 0.01 <= |residual| <= (1 + L) 0.01 in the l2 norm.
  assert 5e-4 < report.residual_max < 0.1
  assert report.reconstruction_error_max > 5e-4
