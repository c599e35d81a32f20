"""Two replicas compute what one does on the same global batch.

In float64, so that the rounding of another order of summation stays small, and
with SGD, because Adam hides a wrong factor.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import replicas
from tf_resflow import configuration
from tf_resflow import models
from tf_resflow import training
from tf_resflow.training import objectives

_CONFIG = models.ResidualFlowConfig(
    image_shape=(4, 4, 1), num_levels=17, num_blocks=(1,), hidden_channels=4,
    num_dense_blocks=1, dense_hidden_units=4)
_BATCH = 6
_NUM_STEPS = 20
# Between the smallest and the largest norm of a gradient in the run below.
_CLIP_NORM = 1.6


def _batch(step):
  rng = np.random.default_rng(step)
  # The contrast differs from batch to batch, and with it the gradient's norm.
  images = 0.5 + (0.1 + 0.8 * rng.random()) * (
      rng.random([_BATCH, *_CONFIG.image_shape]) - 0.5)
  return tf.constant(images, tf.float64)


class _Run:
  """A model and its step, on one replica or two."""

  def __init__(self, num_replicas, step_class=training.TrainStep,
               optimizer_class=keras.optimizers.SGD):
    self.strategy = (
        tf.distribute.OneDeviceStrategy('/cpu:0') if num_replicas == 1 else
        replicas.two_replicas())
    with self.strategy.scope():
      self.model = _CONFIG.build('float64')
      optimizer = optimizer_class(learning_rate=0.05)
      optimizer.build(self.model.trainable_variables)
      self.ema = training.ExponentialMovingAverage(self.model, 0.9)
    self.train_step = step_class(
        self.model, optimizer, objectives.BitsPerDim(), self.ema,
        clip_norm=_CLIP_NORM, seed=3)
    self._step_fn = self._compiled(self.train_step)
    self._compiled(lambda batch, step: self.model(batch.x))(_batch(0), 0)
    # Set by the statistics of the global batch.
    self.initial = self.local_variables()
    # There the gradients of some offsets and scales vanish; not elsewhere.
    for variable in self.model.trainable_variables:
      variable.assign(1.1 * variable + 0.02)
    self.ema.reset()

  def _compiled(self, fn):
    @tf.function(autograph=False)
    def run(images, step):
      if self.strategy.num_replicas_in_sync == 1:
        parts = images
      else:
        parts = replicas.per_replica(*tf.split(images, 2))
      results = self.strategy.run(
          fn, args=(training.Batch(parts), step))
      return tf.nest.map_structure(
          self.strategy.experimental_local_results, results)

    return lambda images, step: run(images, tf.constant(step, tf.int64))

  def reduced_gradients(self, step):
    """Returns bits/dim and gradients, a tuple over the replicas for each."""
    means, gradients = self._compiled(self.train_step.reduced_gradients)(
        _batch(step), step)
    return [[v.numpy() for v in values]
            for values in (means['bits_per_dim'], *gradients)]

  def train(self, num_steps=_NUM_STEPS):
    """Returns the norms of the gradients and the values of bits/dim."""
    results = [self._step_fn(_batch(i), i) for i in range(num_steps)]
    return ([float(r['gradient_norm'][0]) for r in results],
            [float(r['bits_per_dim'][0]) for r in results])

  def local_variables(self):
    """Returns weights and averages, a tuple over the replicas each."""
    return self._local_values(self.model.trainable_variables)

  def local_state(self):
    """Also singular vectors, which are unique up to their signs at best."""
    return self._local_values(self.model.variables)

  def _local_values(self, variables):
    variables = [v.value for v in variables] + self.ema.averages
    return [
        [v.numpy() for v in self.strategy.experimental_local_results(variable)]
        for variable in variables
    ]


def _largest_difference(one, two):
  """Largest relative difference of the first replicas' tensors."""
  return max(
      np.max(np.abs(a[0] - b[0])) / (np.max(np.abs(a[0])) or 1.0)
      for a, b in zip(one, two, strict=True))


@pytest.fixture(scope='module')
def one():
  """One replica: its first gradients, norms, bits/dim and final variables."""
  run = _Run(1)
  gradients = run.reduced_gradients(0)
  norms, bits = run.train()
  return run.initial, gradients, norms, bits, run.local_variables()


def test_gradients_and_weights_agree(one, record_property):
  initial, gradients, norms, bits, final = one
  run = _Run(2)
  # ActNorm is initialised from the statistics of the global batch.
  assert _largest_difference(initial, run.initial) < 1e-12
  found = run.reduced_gradients(0)
  gradient_difference = _largest_difference(gradients, found)
  assert gradient_difference < 1e-10
  for values in found:
    np.testing.assert_array_equal(*values)

  found_norms, found_bits = run.train()
  np.testing.assert_allclose(found_norms, norms, rtol=1e-8)
  np.testing.assert_allclose(found_bits, bits, rtol=1e-8)
  # Some steps were clipped, and some were not.
  assert 4 <= np.sum(np.array(norms) > _CLIP_NORM) <= _NUM_STEPS - 4, norms
  found = run.local_variables()
  weight_difference = _largest_difference(final, found)
  assert weight_difference < 1e-8
  for values in run.local_state():
    np.testing.assert_array_equal(*values)
  # The training did something.
  assert _largest_difference(initial, final) > 0.1
  record_property('gradient_difference', float(gradient_difference))
  record_property('weight_difference', float(weight_difference))


class _Doubled(training.TrainStep):

  def reduced_gradients(self, batch, step):
    means, gradients = super().reduced_gradients(batch, step)
    return means, [2.0 * g for g in gradients]


class _Summed(training.TrainStep):

  def reduced_gradients(self, batch, step):
    return tf.distribute.get_replica_context().all_reduce(
        tf.distribute.ReduceOp.SUM, self.gradients(batch, step))


class Undivided(keras.optimizers.SGD):
  """As if the replicas' share were not taken into account."""

  def apply(self, grads, trainable_variables=None):
    return super().apply([2.0 * g for g in grads], trainable_variables)


@pytest.mark.parametrize('wrong', [
    dict(step_class=_Doubled), dict(step_class=_Summed),
    dict(optimizer_class=Undivided)
], ids=['doubled', 'summed', 'undivided'])
def test_a_wrong_factor_is_seen(one, wrong):
  initial, gradients, _, _, final = one
  run = _Run(2, **wrong)
  assert _largest_difference(initial, run.initial) < 1e-12
  if 'step_class' in wrong:
    assert _largest_difference(gradients, run.reduced_gradients(0)) > 0.5
  run.train()
  assert _largest_difference(final, run.local_variables()) > 1e-3


def test_trainer_on_two_replicas(tmp_path, data_dir):
  config = configuration.make_config(
      data_dir=data_dir, num_blocks=(1,), hidden_channels=4,
      num_dense_blocks=1, dense_hidden_units=4, batch_size=32, num_steps=3,
      warmup_steps=0)
  results = []
  for name, strategy in (('one', training.make_strategy('single')),
                         ('two', replicas.two_replicas())):
    trainer = training.Trainer(config, str(tmp_path / name), strategy)
    trainer.restore_or_initialize()
    initial = [v.numpy() for v in trainer.model.variables]
    assert trainer.model.is_initialized
    bits = [float(result['bits_per_dim']) for _, result in trainer.steps()]
    results.append((initial, bits))
  (one_initial, one_bits), (two_initial, two_bits) = results
  for a, b in zip(one_initial, two_initial, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
  assert len(one_bits) == 3
  np.testing.assert_allclose(one_bits, two_bits, rtol=1e-5)
