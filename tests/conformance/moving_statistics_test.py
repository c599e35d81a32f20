"""Moving means in training: who changes them, when, and with what."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.models import train_step_test
from tf_resflow import layers
from tf_resflow.numerics import random

_CONFIG = dataclasses.replace(
    train_step_test._CONFIG, moving_mean=True, noise_channels=1)


def mean_at(model, moving_mean, y):
  """Returns the mean of what comes to a part of a model, per channel."""
  for part in model.bijection.leaves():
    if part is moving_mean:
      return np.mean(y, axis=(0, 1, 2))
    y = part(y)


@pytest.mark.parametrize('accumulation_steps', [1, 2])
def test_moving_means_follow_an_update(accumulation_steps):
  """Moving means use the last part of the batch, and the new weights."""
  model, step = train_step_test._make_step(
      'float64', _CONFIG, accumulation_steps=accumulation_steps, seed=7)
  batch, t = train_step_test._batch('float64'), tf.constant(3, tf.int64)
  part = next(b for b in model.bijection.leaves()
              if isinstance(b, layers.MovingMean))
  old = part.moving_mean.numpy()
  assert np.all(old != 0.0)  # Set by the first batch.
  # Gradients change nothing, and take the mean of former batches.
  values = [step.gradients(batch, t)[0]['bits_per_dim'] for _ in range(2)]
  assert float(values[0]) == float(values[1])
  np.testing.assert_array_equal(part.moving_mean, old)

  metrics = step(batch, t)
  np.testing.assert_allclose(metrics['bits_per_dim'], values[0], rtol=1e-12)
  last = accumulation_steps - 1
  seed = random.fold_in(random.fold_in(random.as_seed(7), t), last)
  y, _ = model.augment(tf.split(batch.x, accumulation_steps)[last], seed=seed)
  mean = mean_at(model, part, y)
  # The second of all batches: half of the way.
  expected = old + 0.5 * (mean - old)
  np.testing.assert_allclose(part.moving_mean, expected, rtol=1e-6)
  assert np.all(part.moving_mean.numpy() != old)
  # Averages of weights do not hold it, nor take it back.
  with step.ema.swapped():
    np.testing.assert_allclose(part.moving_mean, expected, rtol=1e-6)
  assert len(step.ema.averages) == len(model.trainable_variables)


@pytest.mark.slow
def test_two_replicas_agree_with_one():
  one, two = [train_step_test._Run(n, config=_CONFIG) for n in (1, 2)]
  means = []
  for run in (one, two):
    run.train(3)
    means.append([v.numpy() for v in run.model.non_trainable_variables
                  if 'moving_mean' in v.path])
  assert train_step_test._largest_difference(
      one.local_variables(), two.local_variables()) < 1e-8
  assert len(means[0]) == 4  # Means and counts.
  for a, b in zip(*means, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-12)
  for values in two.local_state():
    np.testing.assert_array_equal(*values)
