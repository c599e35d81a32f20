"""Optimizers and learning rate schedules.

To add an optimizer: a function of the configuration and the learning rate, and
a line in `registries.OPTIMIZERS`. Schedules are in `registries.SCHEDULES`.
"""

from collections.abc import Sequence
import types
from typing import Any, TypeAlias

import keras
import tensorflow as tf

from tf_resflow import private_apis
from tf_resflow.configuration import sections as sections_lib
from tf_resflow.specs import registries

LearningRate: TypeAlias = (
    float | keras.optimizers.schedules.LearningRateSchedule)


@keras.saving.register_keras_serializable('tf_resflow')
class Adam(keras.optimizers.Adam):
  """`keras.optimizers.Adam` with one operation per variable for its update.

  That is TensorFlow's fused kernel with the same arithmetic. Keras adds some
  forty operations per variable, which for hundreds of variables are most of the
  graph, and delay the start of training a deep flow. With a weight decay it is
  `keras.optimizers.AdamW`.
  """

  def apply(
      self, grads: Sequence[tf.Tensor],
      trainable_variables: Sequence[keras.Variable] | None = None) -> None:
    """Updates the variables."""
    # Tensors that the updates of all variables share, by the learning rate of
    # each device. Tensors of a graph must not outlive it.
    self._shared = types.SimpleNamespace(numbers={})
    super().apply(grads, trainable_variables)
    self._shared.numbers.clear()

  def _numbers(self, learning_rate: tf.Tensor, dtype: tf.DType) -> dict:
    numbers = self._shared.numbers
    key = id(learning_rate), dtype
    if key not in numbers:
      step = tf.cast(self.iterations.value + 1, dtype)
      betas = [tf.constant(b, dtype) for b in (self.beta_1, self.beta_2)]
      numbers[key] = {
          'lr': tf.cast(learning_rate, dtype),
          'beta1': betas[0], 'beta2': betas[1],
          'beta1_power': betas[0]**step, 'beta2_power': betas[1]**step,
          'epsilon': tf.constant(self.epsilon, dtype)}
    return numbers[key]

  def update_step(
      self, gradient: tf.Tensor, variable: tf.Variable,
      learning_rate: tf.Tensor) -> None:
    """Updates one variable."""
    if self.amsgrad:  # There is no such kernel.
      super().update_step(gradient, variable, learning_rate)
      return
    m, v = private_apis.adam_moments(self, variable)
    tf.raw_ops.ResourceApplyAdam(
        var=variable.handle, m=m.handle, v=v.handle, grad=gradient,
        **self._numbers(learning_rate, variable.dtype))


def _made(
    optimizer_class: Any, config: sections_lib.OptimizerConfig,
    unused: Sequence[str], **arguments: Any) -> keras.optimizers.Optimizer:
  """Returns an optimizer, if no field is set that has no effect on it."""
  config.require_defaults(
      unused, f'with optimizer={config.optimizer}')
  return optimizer_class(weight_decay=config.weight_decay or None, **arguments)


def make_adam(
    config: sections_lib.OptimizerConfig, learning_rate: LearningRate
) -> keras.optimizers.Optimizer:
  """Returns `Adam`.

  `w <- w - rate sqrt(1 - beta_2^t) / (1 - 0.9^t) m / (sqrt(v) + epsilon)`.
  PyTorch divides `v` by `1 - beta_2^t` before it adds `epsilon`, which only
  matters if gradients are as small.

  References:
    Kingma and Ba, 2015; Loshchilov and Hutter, 2019.
  """
  return _made(
      Adam, config, ['momentum'], learning_rate=learning_rate,
      beta_2=config.beta_2, epsilon=config.epsilon)


def make_sgd(
    config: sections_lib.OptimizerConfig, learning_rate: LearningRate
) -> keras.optimizers.Optimizer:
  """Returns SGD with momentum: `m <- momentum m - rate g`.

  In PyTorch `m` does not include the rate: there a change of the rate affects
  all of `m`, here only new gradients.
  """
  return _made(
      keras.optimizers.SGD, config, ['beta_2', 'epsilon'],
      learning_rate=learning_rate, momentum=config.momentum)


def make_rmsprop(
    config: sections_lib.OptimizerConfig, learning_rate: LearningRate
) -> keras.optimizers.Optimizer:
  """Returns RMSprop: `w <- w - rate g / sqrt(v + epsilon^2)`.

  `v` is the moving average of `g^2` with decay `beta_2`: 0.99 as in PyTorch;
  0.9 in Keras. PyTorch adds `epsilon` to the root, Keras under it; here Keras
  gets the square, so that denominators differ by a factor of at most sqrt(2).

  References:
    Tieleman and Hinton, 2012, Lecture 6.5.
  """
  return _made(
      keras.optimizers.RMSprop, config, ['momentum'],
      learning_rate=learning_rate, rho=config.beta_2, epsilon=config.epsilon**2)


def make_adamax(
    config: sections_lib.OptimizerConfig, learning_rate: LearningRate
) -> keras.optimizers.Optimizer:
  """Returns Adamax: `w <- w - rate m / ((1 - 0.9^t) (u + epsilon))`.

  `u <- max(beta_2 u, |g|)`. PyTorch adds `epsilon` to `|g|` instead, which only
  matters if gradients are as small.

  References:
    Kingma and Ba, 2015, Section 7.1.
  """
  return _made(
      keras.optimizers.Adamax, config, ['momentum'],
      learning_rate=learning_rate, beta_2=config.beta_2, epsilon=config.epsilon)


def make_constant_rate(
    learning_rate: float, warmup_steps: int, num_steps: int) -> LearningRate:
  """Returns a linear warm-up followed by a constant learning rate.

  Step `t` (from 0) of a warm-up of `W` steps, which may be 0, has the rate
  `learning_rate (t + 1) / (W + 1)`. A schedule that ends has `num_steps` steps.
  """
  if not warmup_steps:
    return learning_rate
  return keras.optimizers.schedules.PolynomialDecay(
      learning_rate / (warmup_steps + 1), decay_steps=warmup_steps,
      end_learning_rate=learning_rate, power=1.0)


def make_cosine_rate(
    learning_rate: float, warmup_steps: int, num_steps: int) -> LearningRate:
  """Returns the warm-up of `make_constant_rate`, then a cosine to zero."""
  return keras.optimizers.schedules.CosineDecay(
      learning_rate / (warmup_steps + 1),
      decay_steps=max(num_steps - warmup_steps, 1), warmup_steps=warmup_steps,
      warmup_target=learning_rate if warmup_steps else None)


def make_optimizer(
    config: sections_lib.OptimizerConfig) -> keras.optimizers.Optimizer:
  """Returns the optimizer of a configuration.

  Defaults are those of the authors' code: decays 0.9 and 0.99, epsilon 1e-8,
  momentum 0.9. Weight decay is decoupled for all optimizers: kernels are
  multiplied by `1 - rate weight_decay` before the update. (In the authors' code
  it is added to the gradients of SGD, and has no effect on the other three.)

  `TrainStep` clips gradients: Keras optimizers would clip them before the
  reduction over replicas.

  Raises:
    InvalidValueError: if a field is set that the optimizer does not have.
  """
  learning_rate = registries.SCHEDULES.get(config.schedule)(
      config.learning_rate, config.warmup_steps, config.num_decay_steps)
  optimizer = registries.OPTIMIZERS.get(config.optimizer)(config, learning_rate)
  if config.weight_decay:
    # Only kernels decay: no scales, offsets and slopes.
    optimizer.exclude_from_weight_decay(
        var_names=['bias', 'beta', 'log_scale'])
  return optimizer
