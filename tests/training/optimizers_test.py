"""The fused update against that of Keras; weight decay in closed form."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_resflow import configuration
from tf_resflow import models
from tf_resflow.training import optimizers


def test_optimizer_settings():
  config = configuration.make_config(beta_2=0.97, epsilon=1e-6, warmup_steps=0)
  optimizer = optimizers.make_optimizer(config.optimizer)
  assert type(optimizer).__name__ == 'Adam'
  assert (optimizer.beta_1, optimizer.beta_2, optimizer.epsilon) == (
      0.9, 0.97, 1e-6)
  # Clipping in the optimizer would come before the replicas are reduced.
  assert optimizer.clipnorm is None
  assert optimizer.global_clipnorm is None


def test_weight_decay_is_decoupled_and_of_kernels_alone():
  config = configuration.make_config(
      weight_decay=0.1, learning_rate=0.5, warmup_steps=0)
  optimizer = optimizers.make_optimizer(config.optimizer)
  model = models.ResidualFlow(models.ResidualFlowConfig(
      image_shape=(4, 4, 1), num_levels=17, num_blocks=(1, 1),
      hidden_channels=3, num_dense_blocks=1, dense_hidden_units=3))
  for i, variable in enumerate(model.trainable_variables):
    variable.assign(tf.fill(variable.shape, 1.0 + 0.01 * i))
  before = [v.numpy() for v in model.trainable_variables]
  zeros = [tf.zeros(v.shape) for v in model.trainable_variables]
  for _ in range(3):
    optimizer.apply(zeros, model.trainable_variables)
  names = set()
  for old, variable in zip(before, model.trainable_variables, strict=True):
    # With zero gradients Adam itself moves nothing.
    factor = (1.0 - 0.5 * 0.1)**3 if variable.name == 'kernel' else 1.0
    np.testing.assert_allclose(
        variable.numpy(), old * factor, rtol=1e-6, err_msg=variable.path)
    names.add(variable.name)
  assert names == {'kernel', 'bias', 'beta', 'log_scale'}


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('weight_decay', [0.0, 0.1])
@pytest.mark.parametrize('jit_compile', [False, True])
def test_fused_update_is_that_of_keras(dtype, weight_decay, jit_compile):
  config = configuration.make_config(
      weight_decay=weight_decay, learning_rate=0.05, warmup_steps=3,
      beta_2=0.9, epsilon=1e-3)
  fused = optimizers.make_optimizer(config.optimizer)
  # What Keras wrote: the update of the class that ours derives from.
  plain = type(fused).__bases__[1].from_config(fused.get_config())
  if weight_decay:
    plain.exclude_from_weight_decay(var_names=['bias', 'beta', 'log_scale'])

  def train(optimizer):
    rng = np.random.default_rng(0)
    variables = [
        keras.Variable(rng.normal(size=shape), dtype=dtype, name=name)
        for shape, name in (((3, 4), 'kernel'), ((), 'beta'))]
    optimizer.build(variables)
    apply = tf.function(
        lambda gradients: optimizer.apply(gradients, variables),
        autograph=False, jit_compile=jit_compile)
    for _ in range(6):
      apply([tf.constant(rng.normal(size=v.shape), dtype) for v in variables])
    return [v.numpy() for v in [*variables, *optimizer.variables]]

  for a, b in zip(train(fused), train(plain), strict=True):
    # Keras rounds the betas to float32, in float64 as well.
    np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)


def test_optimizers_can_be_saved_by_name():
  optimizer = optimizers.make_optimizer(configuration.make_config().optimizer)
  config = keras.saving.serialize_keras_object(optimizer)
  assert isinstance(
      keras.saving.deserialize_keras_object(config), optimizers.Adam)


def test_amsgrad_is_refused():
  with pytest.raises(ValueError, match='^amsgrad=True: expected False'):
    optimizers.Adam(amsgrad=True)
