"""One step: XLA, accumulation, metrics."""


import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_resflow import configuration
from tf_resflow import models
from tf_resflow import training
from tf_resflow.numerics import random
from tf_resflow.training import objectives

_CONFIG = models.ResidualFlowConfig(
    image_shape=(4, 4, 1), num_levels=17, num_blocks=(1,), hidden_channels=4,
    num_dense_blocks=1, dense_hidden_units=4)


def _batch(dtype, batch_size=8):
  rng = np.random.default_rng(0)
  return training.Batch(
      tf.constant(rng.random([batch_size, *_CONFIG.image_shape]), dtype))


def _make_step(dtype, **kwargs):
  """Returns an initialised model and its step."""
  model = _CONFIG.build(dtype)
  model(_batch(dtype).x)
  optimizer = keras.optimizers.SGD(0.1)
  optimizer.build(model.trainable_variables)
  ema = training.ExponentialMovingAverage(model)
  return model, training.TrainStep(
      model, optimizer, objectives.BitsPerDim(), ema, **kwargs)


def _assert_close(found, expected, rtol, floor=1e-3):
  for a, b in zip(found, expected, strict=True):
    a, b = np.asarray(a), np.asarray(b)
    assert np.max(np.abs(a - b)) <= rtol * max(np.max(np.abs(b)), floor)


def test_whole_step_compiles_under_xla():
  results = []
  for jit_compile in (False, True):
    model, step = _make_step('float32', seed=5)
    run = tf.function(step, autograph=False, jit_compile=jit_compile)
    metrics = [run(_batch('float32'), tf.constant(i, tf.int32))
               for i in range(3)]
    results.append((
        [float(m['bits_per_dim']) for m in metrics],
        [float(m['gradient_norm']) for m in metrics],
        [v.numpy() for v in model.trainable_variables]))
  plain, compiled = results
  np.testing.assert_allclose(compiled[0], plain[0], rtol=1e-5)
  np.testing.assert_allclose(compiled[1], plain[1], rtol=1e-4)
  _assert_close(compiled[2], plain[2], 1e-5, floor=0.1)


def test_gradients_compile_under_xla():
  _, step = _make_step('float64', seed=5)
  _, compiled_step = _make_step('float64', seed=5, jit_compile=True)
  arguments = _batch('float64'), tf.constant(2, tf.int32)
  values, gradients = step.reduced_gradients(*arguments)
  compiled_values, compiled = compiled_step.reduced_gradients(*arguments)
  np.testing.assert_allclose(
      compiled_values['bits_per_dim'], values['bits_per_dim'], rtol=1e-10)
  # Singular vectors, converged to a tolerance, carry rounding further.
  _assert_close(compiled, gradients, 1e-6)


def test_trainer_compiles(tmp_path, data_dir):
  config = configuration.make_config(
      data_dir=data_dir, num_blocks=(1,), hidden_channels=4,
      num_dense_blocks=0, batch_size=32, num_steps=2, warmup_steps=0)
  bits = []
  for jit_compile in (False, True):
    trainer = training.Trainer(
        config.replace(jit_compile=jit_compile),
        str(tmp_path / str(jit_compile)))
    trainer.restore_or_initialize()
    bits.append([float(r['bits_per_dim']) for _, r in trainer.steps()])
  # Other draws, so equal but for the estimator's deviation.
  assert len(bits[0]) == len(bits[1]) == 2
  np.testing.assert_allclose(bits[0], bits[1], atol=0.02)


def test_accumulation_averages_the_parts():
  model, step = _make_step('float64', accumulation_steps=2, seed=7)
  batch, t = _batch('float64'), tf.constant(4, tf.int64)
  values, gradients = tf.function(step.reduced_gradients, autograph=False)(
      batch, t)
  part_bits, part_gradients = [], []
  for i, part in enumerate(tf.split(batch.x, 2)):
    seed = random.fold_in(random.fold_in(random.as_seed(7), t), i)
    with tf.GradientTape() as tape:
      value = tf.reduce_mean(model.bits_per_dim(part, seed=seed))
    part_bits.append(value)
    part_gradients.append(tape.gradient(value, model.trainable_variables))
  np.testing.assert_allclose(
      values['bits_per_dim'], np.mean(part_bits), rtol=1e-12)
  expected = [np.mean(g, axis=0) for g in zip(*part_gradients, strict=True)]
  _assert_close(gradients, expected, 1e-10)
  # The parts differ, so that one of them alone would be noticed.
  assert abs(part_bits[0] - part_bits[1]) > 1e-3


@pytest.mark.parametrize('clip_norm', [None, 1e-3, 1e3])
def test_metrics_and_clipping(clip_norm):
  model, step = _make_step('float64', clip_norm=clip_norm)
  batch, t = _batch('float64'), tf.constant(0, tf.int64)
  values, gradients = step.gradients(batch, t)
  before = [v.numpy() for v in model.trainable_variables]
  metrics = step(batch, t)
  norm = np.sqrt(sum(np.sum(np.square(g)) for g in gradients))
  np.testing.assert_allclose(metrics['gradient_norm'], norm, rtol=1e-10)
  np.testing.assert_allclose(
      metrics['bits_per_dim'], values['bits_per_dim'], rtol=1e-12)
  assert list(metrics) == [
      'bits_per_dim', 'gradient_norm', 'power_iteration_steps']
  assert 0 <= int(metrics['power_iteration_steps']) < 200
  scale = 1.0 if clip_norm is None else min(1.0, clip_norm / norm)
  for old, gradient, variable in zip(
      before, gradients, model.trainable_variables, strict=True):
    # The learning rate is a float32 number.
    np.testing.assert_allclose(
        variable.numpy(), old - np.float32(0.1) * scale * gradient.numpy(),
        rtol=1e-7, atol=1e-12)


def test_seeds_depend_on_the_step():
  _, step = _make_step('float64', seed=1)
  batch = _batch('float64')
  values = [
      float(step.gradients(batch, tf.constant(t, tf.int64))[0]['bits_per_dim'])
      for t in (0, 1, 0)]
  assert values[0] == values[2] != values[1]
