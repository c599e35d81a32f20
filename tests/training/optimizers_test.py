"""Fused updates against Keras, weight decay and rates against formulas.

And orders of norms that are trained by the norms themselves, against
differences.
"""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import flows
from tests import testing
from tf_resflow import configuration
from tf_resflow import training
from tf_resflow.specs import registries
from tf_resflow.training import checkpoints
from tf_resflow.training import optimizers

_RATE = 0.05


def _config(name, **changes):
  return configuration.make_config(**{
      'optimizer': name, 'warmup_steps': 0, **changes}).optimizer


@pytest.fixture(scope='module')
def model():
  return flows.make_image_flow(17)


@pytest.mark.parametrize('name', registries.OPTIMIZERS.names())
def test_weight_decay_is_decoupled_and_of_kernels_alone(name, model):
  optimizer = optimizers.make_optimizer(
      _config(name, weight_decay=0.1, learning_rate=0.5))
  for i, variable in enumerate(model.trainable_variables):
    variable.assign(tf.fill(variable.shape, 1.0 + 0.01 * i))
  before = [v.numpy() for v in model.trainable_variables]
  zeros = [tf.zeros(v.shape) for v in model.trainable_variables]
  for _ in range(3):
    optimizer.apply(zeros, model.trainable_variables)
  for old, variable in zip(before, model.trainable_variables, strict=True):
    # With zero gradients the optimizer itself moves nothing.
    factor = (1.0 - 0.5 * 0.1)**3 if variable.name == 'kernel' else 1.0
    np.testing.assert_allclose(
        variable.numpy(), old * factor, rtol=1e-6, err_msg=variable.path)
  assert {v.name for v in model.trainable_variables} == {
      'kernel', 'bias', 'beta', 'log_scale'}


@pytest.mark.parametrize('weight_decay, amsgrad', [
    (0.0, False), (0.1, False), (0.0, True)])
def test_fused_updates_are_those_of_keras(weight_decay, amsgrad):
  config = _config('adam', weight_decay=weight_decay, learning_rate=_RATE)
  ours = optimizers.make_optimizer(config)
  settings = {'learning_rate': _RATE, 'beta_2': 0.99, 'epsilon': 1e-8}
  if amsgrad:
    settings['amsgrad'] = True
    ours = optimizers.Adam(**settings)
  theirs = (keras.optimizers.AdamW(weight_decay=weight_decay, **settings)
            if weight_decay else keras.optimizers.Adam(**settings))
  found, expected = (keras.Variable([1.0, -2.0], name='kernel')
                     for _ in range(2))
  for optimizer, variable in (ours, found), (theirs, expected):
    optimizer.build([variable])
    for gradient in np.random.default_rng(0).normal(size=[9, 2]):
      optimizer.apply([tf.constant(gradient, tf.float32)], [variable])
  np.testing.assert_allclose(found, expected, rtol=1e-6)
  assert np.abs(found - [1.0, -2.0]).min() > 0.01


def test_settings_reach_keras():
  """RMSprop adds epsilon under the root."""
  for name, changes, expected in (
      ('sgd', {}, {'momentum': 0.9}),
      ('sgd', {'momentum': 0.5}, {'momentum': 0.5}),
      ('rmsprop', {'epsilon': 0.1}, {'rho': 0.99, 'epsilon': 0.1**2}),
      ('adamax', {'beta_2': 0.7}, {'beta_2': 0.7, 'epsilon': 1e-8})):
    found = optimizers.make_optimizer(_config(name, **changes)).get_config()
    assert {key: found[key] for key in expected} == expected


def test_what_an_optimizer_has_not_is_refused():
  for name, *fields in (
      ('adam', 'momentum'), ('rmsprop', 'momentum'), ('adamax', 'momentum'),
      ('sgd', 'beta_2', 'epsilon')):
    testing.check_refusals(optimizers.make_optimizer, [
        (_config(name, **{field: 0.5}),
         f'{field}=0.5 has no effect with optimizer={name}. Leave it')
        for field in fields])


class _Linear(keras.layers.Dense):
  """A linear map, with its weights in one order or the other."""

  def __init__(self, order=1):
    super().__init__(
        2, kernel_initializer=keras.initializers.GlorotUniform(0),
        dtype='float64', name='linear')
    self.order = order
    self.build((None, 3))

  @property
  def trainable_variables(self):
    return super().trainable_variables[::self.order]


def _checkpoint(name, order=1):
  model = _Linear(order)
  optimizer = optimizers.make_optimizer(_config(name, learning_rate=_RATE))
  optimizer.build(model.trainable_variables)
  return tf.train.Checkpoint(
      model=model, optimizer=optimizer, step=tf.Variable(0),
      ema=training.ExponentialMovingAverage(model))


def _step(checkpoint):
  """Returns weights and averages after a step."""
  variables = checkpoint.model.trainable_variables
  checkpoint.optimizer.apply([v.value - 1.0 for v in variables], variables)
  checkpoint.ema.update(tf.constant(0))
  return [v.numpy() for v in (*variables, *checkpoint.ema.averages)]


@pytest.mark.parametrize('name', ['adam', 'sgd'])
def test_moments_and_averages_follow_their_weights(name, tmp_path):
  """Not the order of these, which may change between versions."""
  checkpoint, other = _checkpoint(name), _checkpoint(name, order=-1)
  _step(checkpoint)
  checkpoints.restore(other, checkpoint.save(str(tmp_path / 'ckpt')))
  kernel, bias, *averages = _step(checkpoint)
  np.testing.assert_equal(_step(other), [bias, kernel, *averages[::-1]])


def test_learning_rate():
  for schedule, warmup in itertools.product(('constant', 'cosine'), (0, 1, 10)):
    optimizer = optimizers.make_optimizer(_config(
        'adam', learning_rate=0.02, warmup_steps=warmup, schedule=schedule,
        num_steps=50))
    for t in (0, 1, 5, 9, 10, 11, 30, 49, 50, 60):
      angle = np.pi * np.clip((t - warmup) / (50 - warmup), 0.0, 1.0)
      expected = 0.02 * min((t + 1) / (warmup + 1), 1.0) * (
          0.5 + 0.5 * np.cos(angle) if schedule == 'cosine' else 1.0)
      optimizer.iterations.assign(t)
      np.testing.assert_allclose(
          float(optimizer.learning_rate), expected, rtol=1e-5, atol=1e-8,
          err_msg=f'{schedule}, {warmup}, {t}')
