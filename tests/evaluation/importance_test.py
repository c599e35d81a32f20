"""Bounds by several draws of noise, beside all images of four pixels."""

import itertools

import numpy as np
import pytest

from tests import splits
from tf_resflow import datasets
from tf_resflow import models
from tf_resflow.evaluation import importance
from tf_resflow.evaluation import likelihood

_NUM_COPIES = 64


def make_flow(scale=0.3, **fields):
  """Returns one of 2 x 2 pixels of two levels, away from initial weights."""
  flow = models.ResidualFlowConfig(
      image_shape=(2, 2, 1), num_levels=2, num_blocks=(1,), hidden_channels=4,
      num_dense_blocks=1, dense_hidden_units=4, logit_alpha=1e-6,
      **fields).build()
  rng = np.random.default_rng(0)
  for variable in flow.trainable_variables:
    # Noise far from uniform would have weights without a variance.
    variable.assign_add(rng.normal(size=variable.shape) * (
        0.2 if 'noise' in variable.path else scale))
  flow.initialize(rng.random([1000, 2, 2, 1], np.float32))
  return flow


@pytest.fixture(scope='module')
def flow():
  return make_flow(dequantization='variational:2,channels=4')


def all_images(num_copies=1):
  images = np.array([*itertools.product([0, 1], repeat=4)], np.uint8)
  return datasets.Split.of_arrays({
      'x': np.repeat(images, num_copies, axis=0).reshape([-1, 2, 2, 1]),
      'label': np.zeros(16 * num_copies, np.int32)}, num_levels=2)


@pytest.mark.slow
def test_probabilities_of_all_images_sum_to_1_and_bounds_rise_to_them(flow):
  log_weights = likelihood.log_probs_of_splits(
      flow, num_repeats=64, estimator='exact')(all_images(_NUM_COPIES))
  # P(X) is the mean of p(y) / q, over 2^-4 for the size of a cell.
  weights = np.exp(log_weights) / 16.0
  weights = weights.reshape([-1, 16, _NUM_COPIES]).swapaxes(0, 1).reshape(
      [16, -1])
  mean = weights.mean(axis=1)
  stderr = weights.std(axis=1) / np.sqrt(weights.shape[1])
  assert abs(mean.sum() - 1.0) < 3.0 * np.linalg.norm(stderr)
  assert np.linalg.norm(stderr) < 0.03
  exact = np.log(mean) + 4.0 * np.log(2.0)
  log_prob = log_weights.mean(axis=0).reshape([16, -1]).mean(axis=1)
  gaps = [np.mean(exact - log_prob)]
  for num_samples, num_copies in (16, 64), (256, 8):
    found = importance.importance_bound(
        flow, all_images(num_copies), num_samples, seed=1)
    bound = found.arrays['importance_log_prob'].reshape([16, -1]).mean(axis=1)
    gaps.append(np.mean(exact - bound))
    assert found.numbers['importance_bits_per_dim'] == pytest.approx(
        flow.to_loss(np.mean(bound)))
    assert 1.0 < found.numbers['importance_effective_samples'] < num_samples
  assert gaps[0] > 2.0 * gaps[1] > 4.0 * gaps[2] > -0.02


def test_refuses_noisy_log_determinants():
  flow = make_flow(scale=3.0)
  text = splits.refusal(lambda _: importance.importance_bound(
      flow, all_images(), 8, estimator='roulette:geometric:0.9'), 0)
  assert text.startswith(
      'importance_samples requires log-determinants with a noise of at most '
      '0.1 nats, not ')


def test_refuses_densities_without_noise():
  vectors = models.VectorFlowConfig(num_blocks=1, hidden_units=(4,)).build()
  split = datasets.Split.of_arrays({'x': np.zeros([20, 2], np.float32)})
  text = splits.refusal(
      lambda _: importance.importance_bound(vectors, split, 8), 0)
  assert text == 'importance_samples=8 has no effect: no noise is drawn.'
