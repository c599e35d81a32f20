"""Orders of norms that are trained by the norms themselves."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_resflow import configuration
from tf_resflow import errors
from tf_resflow import models
from tf_resflow import training
from tf_resflow.training import norm_gradients
from tf_resflow.training import objectives


def _make_model():
  model = models.VectorFlowConfig(
      event_size=3, num_blocks=2, hidden_units=(4,), norms=('learned',),
      norm_bound='estimate', act_norm=False).build('float64')
  rng = np.random.default_rng(0)
  for layer in model.constrained_layers:
    layer.kernel.assign(rng.normal(size=layer.kernel.shape))
    layer.tolerance, layer.max_power_iterations = 1e-8, 2000
  for variable in _raws(model):
    variable.assign(rng.normal())
  return model


def _raws(model):
  return [v for v in model.trainable_variables if v.name == 'raw']


def test_they_are_those_of_the_mean_norm():
  model = _make_model()
  variables = model.trainable_variables
  zeros = [tf.zeros(v.shape, tf.float64) for v in variables]
  gradients = norm_gradients.replace(
      zeros, variables, model.constrained_layers)
  assert len(_raws(model)) == 4
  for variable, gradient in zip(variables, gradients, strict=True):
    if variable.name != 'raw':
      np.testing.assert_array_equal(gradient, 0.0)
      continue
    value = float(variable.value)

    def mean(raw, variable=variable):
      variable.assign(raw)
      return np.mean([float(c.norm()) for c in model.constrained_layers])

    difference = (mean(value + 1e-5) - mean(value - 1e-5)) / 2e-5
    variable.assign(value)
    assert float(gradient) == pytest.approx(0.01 * difference, rel=1e-4)
    assert gradient != 0.0


@pytest.mark.parametrize('order_gradient', ['likelihood', 'norm'])
def test_a_step_takes_them_if_it_is_told_to(order_gradient):
  """SGD shows gradients: those of norms are not clipped, the others are."""
  model = _make_model()
  before = [v.numpy() for v in model.trainable_variables]
  norms = norm_gradients.replace(
      [tf.zeros(v.shape, tf.float64) for v in model.trainable_variables],
      model.trainable_variables, model.constrained_layers)
  optimizer = keras.optimizers.SGD(1.0)
  optimizer.build(model.trainable_variables)
  step = training.TrainStep(
      model, optimizer, objectives.Nats(), clip_norm=1e-6,
      order_gradient=order_gradient)
  x = tf.constant(np.random.default_rng(1).normal(size=[8, 3]))
  metrics = step(objectives.Batch(x), tf.constant(0))
  assert metrics['gradient_norm'] > 1e-3
  for variable, old, norm in zip(
      model.trainable_variables, before, norms, strict=True):
    moved = old - variable.numpy()
    if variable.name == 'raw' and order_gradient == 'norm':
      np.testing.assert_allclose(moved, norm, rtol=1e-9)
      assert abs(norm) > 1e-5
    else:
      assert np.linalg.norm(moved) <= 1.1e-6


def test_without_orders_there_is_nothing_to_choose():
  values = {'dataset': '2d/rings', 'order_gradient': 'norm'}
  assert configuration.make_config(
      norms=('learned',), **values).objective.order_gradient == 'norm'
  with pytest.raises(errors.InvalidValueError, match=(
      'order_gradient=norm: expected likelihood unless norms=learned')):
    configuration.make_config(norms=('inf',), **values)
