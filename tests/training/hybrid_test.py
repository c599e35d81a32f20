"""Training of hybrid models: the loss, its metrics, and that it learns."""

import csv
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import replicas
from tf_resflow import configuration
from tf_resflow import models
from tf_resflow import training
from tf_resflow.numerics import random

_CONFIG = models.ResidualFlowConfig(
    image_shape=(4, 4, 1), num_levels=17, num_blocks=(1,), hidden_channels=3,
    num_dense_blocks=0, num_classes=3, head_channels=4)


def _batch(batch_size=8):
  rng = np.random.default_rng(0)
  images = rng.random([batch_size, *_CONFIG.image_shape])
  return tf.constant(images), tf.constant(
      rng.integers(0, 3, [batch_size]), tf.int32)


def _make_step(**kwargs):
  """Returns an initialised model and its step."""
  model = models.ResidualFlow(_CONFIG, dtype='float64')
  model.initialize(_batch()[0])
  optimizer = keras.optimizers.SGD(0.1)
  optimizer.build(model.trainable_variables)
  return model, training.TrainStep(model, optimizer, seed=7, **kwargs)


def _expected(model, images, labels, seed, nll_weight):
  """The loss by its definition, from the parts of the model."""
  with tf.GradientTape() as tape:
    log_prob = model.log_prob(images, seed=seed)
    nats = 16 * math.log(17) - tf.reduce_mean(log_prob)
    log_softmax = tf.math.log_softmax(model.classify(images))
    cross_entropy = -tf.reduce_mean(
        tf.gather(log_softmax, labels, batch_dims=1))
    loss = nll_weight * nats + cross_entropy
  return nats, cross_entropy, tape.gradient(loss, model.trainable_variables)


@pytest.mark.parametrize('nll_weight', [0.0, 1.0 / 16.0, 1.0])
def test_loss_and_gradients(nll_weight):
  model, step = _make_step(nll_weight=nll_weight, clip_norm=None)
  images, labels = _batch()
  t = tf.constant(4, tf.int64)
  values, gradients = step.gradients(images, t, labels)
  seed = random.fold_in(random.fold_in(random.as_seed(7), t), 0)
  nats, cross_entropy, expected = _expected(
      model, images, labels, seed, nll_weight)
  np.testing.assert_allclose(
      values['bits_per_dim'], nats / 16 / math.log(2), rtol=1e-12)
  np.testing.assert_allclose(
      values['cross_entropy'], cross_entropy, rtol=1e-12)
  predicted = np.argmax(model.classify(images), axis=1)
  np.testing.assert_allclose(
      values['accuracy'], np.mean(predicted == labels.numpy()))
  for variable, a, b in zip(
      model.trainable_variables, gradients, expected, strict=True):
    np.testing.assert_allclose(
        a, tf.zeros_like(variable) if b is None else b, rtol=1e-9, atol=1e-12,
        err_msg=variable.path)
  metrics = step(images, t, labels)
  for name, value in values.items():
    np.testing.assert_allclose(getattr(metrics, name), value, rtol=1e-12)


def test_accumulation_keeps_images_and_labels_together():
  model, step = _make_step(accumulation_steps=2)
  images, labels = _batch()
  t = tf.constant(4, tf.int64)
  values, gradients = tf.function(step.reduced_gradients, autograph=False)(
      images, t, labels)
  parts = [
      _expected(
          model, part, part_labels,
          random.fold_in(random.fold_in(random.as_seed(7), t), i), 1.0)
      for i, (part, part_labels) in enumerate(
          zip(tf.split(images, 2), tf.split(labels, 2), strict=True))]
  np.testing.assert_allclose(
      values['cross_entropy'], np.mean([p[1] for p in parts]), rtol=1e-12)
  part_gradients = [p[2] for p in parts]
  expected = [np.mean(g, axis=0) for g in zip(*part_gradients, strict=True)]
  for a, b in zip(gradients, expected, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
  assert abs(parts[0][1] - parts[1][1]) > 1e-3


def _config(data_dir, **changes):
  return configuration.make_config(**{
      'data_dir': data_dir, 'num_blocks': (1,), 'hidden_channels': 4,
      'num_dense_blocks': 0, 'batch_size': 64, 'num_steps': 3,
      'warmup_steps': 0, 'hybrid': True, 'head_channels': 32,
      'sample_every': 0, 'log_every': 1, **changes})


def test_a_classifier_learns_the_digits(tmp_path, data_dir):
  config = _config(
      data_dir, num_blocks=(1, 1), num_steps=60, learning_rate=0.03,
      nll_weight=1.0 / 64.0)
  trainer = training.train(config, str(tmp_path / 'run'))
  assert trainer.model.config.num_classes == 10
  with open(tmp_path / 'run' / 'metrics.csv', encoding='utf-8') as f:
    rows = list(csv.DictReader(f))
  entropies = [float(row['cross_entropy']) for row in rows]
  accuracies = [float(row['accuracy']) for row in rows]
  assert len(rows) == 60
  # Of ten classes: log 10 = 2.3, and 0.1.
  assert np.mean(entropies[-10:]) < 1.6
  assert np.mean(accuracies[-10:]) > 0.6 > 0.3 > np.mean(accuracies[:2])


@pytest.mark.parametrize('accumulation_steps', [1, 2])
def test_two_replicas_agree_with_one(tmp_path, data_dir, accumulation_steps):
  results = []
  for name, strategy in (('one', training.make_strategy('single')),
                         ('two', replicas.two_replicas())):
    trainer = training.loop.Trainer(
        _config(
            data_dir, accumulation_steps=accumulation_steps, nll_weight=0.125,
            num_steps=2),
        str(tmp_path / name), strategy)
    trainer.restore_or_initialize()
    # The first batch has set the classifier's ActNorms as well.
    assert [int(head.act_norm.initialized.numpy())
            for head in trainer.model.heads] == [1]
    results.append([
        [float(m.bits_per_dim), float(m.cross_entropy), float(m.accuracy),
         float(m.gradient_norm)] for _, m in trainer.steps()])
  assert np.shape(results) == (2, 2, 4)
  np.testing.assert_allclose(results[0], results[1], rtol=1e-4)


def test_the_weight_of_the_density_reaches_the_step(tmp_path, data_dir):
  norms = []
  for nll_weight in (0.0, 1.0):
    trainer = training.loop.Trainer(
        _config(data_dir, nll_weight=nll_weight, num_steps=1),
        str(tmp_path / str(nll_weight)))
    trainer.restore_or_initialize()
    norms += [float(m.gradient_norm) for _, m in trainer.steps()]
  # 64 dimensions of nats against one of classification.
  assert norms[1] > 5 * norms[0] > 0
