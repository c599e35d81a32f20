"""Evaluations of flows on data and noise."""

import numpy as np
import pytest
import tensorflow as tf

from tf_resflow import evaluation
from tf_resflow import models
from tf_resflow import numerics


def uniform(num_images=5):
  return np.random.default_rng(1).uniform(size=[num_images, 4, 4, 1])


@pytest.fixture(scope='module')
def noisy64():
  """A flow on images and a channel of noise, in float64."""
  model = models.ResidualFlowConfig(
      image_shape=(4, 4, 1), num_levels=16, num_blocks=(1,), hidden_channels=4,
      num_dense_blocks=0, noise_channels=1).build('float64')
  model.initialize(tf.constant(uniform(8)), seed=0)
  return model


def test_noise_channels_are_drawn_anew_for_every_repeat(noisy64):
  x, estimator = uniform(), numerics.Exact()
  results = evaluation.evaluate_inputs(
      noisy64, x, estimator=estimator, num_repeats=40)
  repeats = results['log_prob_repeats']
  assert repeats.shape == (40, 5) and len(np.unique(repeats)) == 200
  np.testing.assert_allclose(results['log_prob'], repeats.mean(0), rtol=1e-12)
  # Against draws of other seeds: two means of one distribution.
  others = np.stack([noisy64.log_prob(x, seed=1000 + i, estimator=estimator)
                     for i in range(40)])
  stderr = np.sqrt((repeats.var(0, ddof=1) + others.var(0, ddof=1)) / 40)
  assert np.all(np.abs(repeats.mean(0) - others.mean(0)) < 4.5 * stderr)
  # Of images of 16 dimensions, not of the 32 of their events.
  np.testing.assert_allclose(
      results['bits_per_dim'],
      (np.log(16) - results['log_prob'] / 16) / np.log(2), rtol=1e-12)
  assert results['z'].shape == (5, 32)
  report = evaluation.report.report_inputs(
      noisy64, x, results, batch_size=2, certify=False).report()
  np.testing.assert_allclose(
      report['estimator_stderr'],
      repeats.mean(1).std(ddof=1) / np.sqrt(40) / 16 / np.log(2), rtol=1e-9)
  assert 'upper bound' in report['bits_per_dim_is']
  assert report['reconstruction_error_max'] < 1e-6
  with pytest.raises(ValueError, match='num_repeats=7: expected a number >= 8'):
    evaluation.evaluate_inputs(noisy64, x, estimator=estimator, num_repeats=7)


def test_jacobians_count_noise_channels(noisy64):
  assert evaluation.default_batch_size(
      noisy64, numerics.Exact(), 10**9) == int(1e9 // (32 * 32 * 8))
