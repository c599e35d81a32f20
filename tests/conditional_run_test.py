"""Runs that learn p(x|c): steps, parts, and going on."""

import dataclasses
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import flows
from tests import schemas
from tests.training import runs
from tf_resflow import configuration
from tf_resflow import models
from tf_resflow import training
from tf_resflow.models import objectives
from tf_resflow.numerics import random

_EVERYWHERE = ('blocks', 'gates', 'act_norm', 'linear', 'base')
_FIELDS = dict(
    image_shape=(4, 4, 1), num_levels=17, num_blocks=(1,), hidden_channels=4,
    num_dense_blocks=0, condition_features=3, condition_hidden_units=(4,),
    condition_at=_EVERYWHERE)
_LABELS = models.ResidualFlowConfig(condition_labels=3, **_FIELDS)
_NUMBERS = models.ResidualFlowConfig(
    condition_size=2, schema=schemas.make_schema(
        conditions=['', ''], condition_mean=(1.0, 0.0),
        condition_std=(2.0, 3.0)), **_FIELDS)


def _batch(config, batch_size=8, seed=0):
  rng = np.random.default_rng(seed)
  labels = rng.integers(0, 3, [batch_size])
  return models.Batch(
      tf.constant(rng.random([batch_size, *config.image_shape])),
      tf.constant(labels, tf.int32),
      tf.constant(labels if config.condition_labels else
                  rng.normal(size=[batch_size, 2]).astype(np.float32)))


def _make_step(config, learning_rate=0.1, **kwargs):
  model, batch = config.build('float64'), _batch(config)
  model.initialize(batch.x, seed=0, condition=batch.condition)
  flows.disturb(model, 0.3, seed=9)
  optimizer = keras.optimizers.SGD(learning_rate)
  optimizer.build(model.trainable_variables)
  return model, models.TrainStep(
      model, optimizer, objectives.BitsPerDim(), seed=7, **kwargs)


def _assert_close(found, expected, rtol):
  for a, b in zip(found, expected, strict=True):
    a, b = np.asarray(a), np.asarray(b)
    assert np.max(np.abs(a - b)) <= rtol * max(np.max(np.abs(b)), 1e-3)


def _gradients(model, batch, part_seeds):
  """Returns the means over parts, by the definition of the loss."""
  values, gradients = [], []
  parts = zip(
      tf.split(batch.x, len(part_seeds)),
      tf.split(batch.condition, len(part_seeds)), part_seeds, strict=True)
  for x, condition, seed in parts:
    with tf.GradientTape() as tape:
      log_prob = model.log_prob(x, condition, seed=seed)
      value = math.log2(17) - tf.reduce_mean(log_prob) / 16 / math.log(2)
    values.append(value)
    gradients.append(tape.gradient(
        value, [v.value for v in model.trainable_variables],
        unconnected_gradients=tf.UnconnectedGradients.ZERO))
  return np.mean(values), [
      np.mean(g, axis=0) for g in zip(*gradients, strict=True)]


@pytest.mark.parametrize(
    'config', [_LABELS, _NUMBERS], ids=['labels', 'numbers'])
def test_parts_have_their_conditions(config):
  model, step = _make_step(config, accumulation_steps=2)
  batch, t = _batch(config), tf.constant(4, tf.int64)
  values, gradients = tf.function(step.reduced_gradients, autograph=False)(
      # Numbers without labels: the parts of a batch are found by their names.
      batch if config.condition_labels else batch._replace(labels=None), t)
  step_seed = random.fold_in(random.as_seed(7), t)
  seeds = [random.fold_in(step_seed, i) for i in range(2)]
  expected, expected_gradients = _gradients(model, batch, seeds)
  np.testing.assert_allclose(values['bits_per_dim'], expected, rtol=1e-12)
  _assert_close(gradients, expected_gradients, 1e-9)
  # All weights of the network of conditions are trained.
  names = [v.path for v, g in zip(
      model.trainable_variables, gradients, strict=True)
           if not np.any(g) and 'condition' in v.path]
  assert not names
  # Conditions in another order would be noticed.
  other, _ = _gradients(
      model, batch._replace(condition=batch.condition[::-1]), seeds)
  assert abs(other - expected) > 1e-3


def test_classifiers_of_conditional_flows():
  model = models.ResidualFlowConfig(
      num_classes=3, head_channels=4, condition_size=2, **_FIELDS
  ).build('float64')
  batch, seed = _batch(_NUMBERS), random.as_seed(3)
  model.initialize(batch.x, condition=batch.condition)
  flows.disturb(model, 0.3, seed=9)
  logits = model.classify(batch.x, batch.condition)
  entropy = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(
      batch.labels, logits))
  nats = 16 * math.log(17) - tf.reduce_mean(
      model.log_prob(batch.x, batch.condition, seed=seed))
  for objective, expected in (
      (objectives.CrossEntropy(), entropy),
      (objectives.Hybrid(0.5), 0.5 * nats + entropy)):
    loss, _ = objective(model, batch, seed)
    np.testing.assert_allclose(loss, expected, rtol=1e-10)
  other = model.classify(batch.x, batch.condition[::-1])
  assert np.abs(other - logits).max() > 1e-3


def test_moving_means_are_those_given_the_condition():
  """The last part of a batch, passed on with its conditions."""
  config = dataclasses.replace(_NUMBERS, moving_mean=True)
  model, step = _make_step(config, learning_rate=0.0, accumulation_steps=2)
  batch = _batch(config, seed=5)
  x, condition = (tf.split(t, 2)[-1] for t in (batch.x, batch.condition))
  means = [v for v in model.variables if v.name == 'moving_mean']
  before = [v.numpy() for v in means]
  step(batch, tf.constant(0, tf.int64))
  found = [v.numpy() for v in means]
  assert [int(v.numpy()) for v in model.variables
          if v.name == 'num_updates'] == [2]

  def after(condition):
    for variable, value in zip(means, before, strict=True):
      variable.assign(value)
    for variable in model.variables:
      if variable.name == 'num_updates':
        variable.assign(1)
    model.update_statistics(x, condition, seed=0)
    return [v.numpy() for v in means]

  _assert_close(found, after(condition), 1e-9)
  assert np.abs(found[0] - after(condition[::-1])[0]).max() > 1e-6


# Whole runs.


@pytest.mark.slow
def test_digits_given_their_labels_resume_bit_for_bit(tmp_path, data_dir):
  config = runs.config(
      data_dir, condition_on=('label',), condition_features=4,
      accumulation_steps=2, batch_size=16, moving_mean=True,
      condition_at=_EVERYWHERE)
  whole, resumed = runs.resume(config, tmp_path)
  runs.assert_equal(whole, resumed)
  # The comparison sees steps, also those of what a label becomes.
  (vectors,), (old,) = (
      [v.numpy() for v in model.variables if v.name == 'vectors']
      for model in (whole.model, config.model.build()))
  assert vectors.shape == (10, 4) and np.all(np.any(vectors != old, axis=1))
  assert np.all(np.isfinite(
      [float(row['bits_per_dim']) for row in runs.rows(tmp_path / 'whole')]))
  # Pictures have all labels in turn.
  pictures = whole.sample_images(whole.model, 12)
  expected = whole.model.sample(12, seed=0, condition=[*range(10), 0, 1])
  np.testing.assert_allclose(pictures, np.clip(expected, 0, 1), atol=1e-5)
  assert whole.model.condition_spec.num_labels == 10


def _entropy(covariance):
  """Of a normal distribution, in nats."""
  return 0.5 * np.linalg.slogdet(
      2 * math.pi * math.e * np.atleast_2d(covariance))[1]


def test_what_conditions_say_is_learned(tmp_path):
  """To the entropy of what is left, far below that without conditions."""
  rng = np.random.default_rng(0)
  condition, noise = rng.normal(size=[2, 400, 1])
  x = 3.0 * condition + 0.3 * noise
  path = tmp_path / 'own.npz'
  np.savez(path, x=x, condition=condition)
  config = configuration.make_config(
      dataset=f'array:{path}', condition_on=('condition',), num_blocks=1,
      hidden_units=(4,), batch_size=64, warmup_steps=0, sample_every=0,
      log_every=1, learning_rate=0.03, num_steps=100, condition_features=8,
      condition_hidden_units=(8,), num_validation=0, input_noise=0.0)
  training.train(config, str(tmp_path / 'run'))
  nats = np.mean([
      float(row['nats']) for row in runs.rows(tmp_path / 'run')[-10:]])
  marginal, left = _entropy(np.cov(x.T)), _entropy(0.3**2)
  assert left - 0.1 < nats < left + 0.5 < marginal - 1.0
