"""The optimizer of a run, its learning rates, and gradients of norms.

To add an optimizer: a function of the configuration and the learning rate, and
a line in `registries.OPTIMIZERS`. Learning rates are in `registries.SCHEDULES`.
"""

from collections.abc import Sequence
import types
from typing import Any

import keras
import tensorflow as tf

from tf_resflow import errors
from tf_resflow import layers
from tf_resflow import private_apis
from tf_resflow.configuration import run_config as config_lib
from tf_resflow.specs import registries

LearningRate = float | keras.optimizers.schedules.LearningRateSchedule

# Of the mean norm, in the released code for points (train_toy).
_NORM_WEIGHT = 0.01


class _FusedUpdate:
  """The update of Keras' Adam as one operation per variable.

  The same arithmetic, by the kernel that TensorFlow has for it. Keras spells it
  out in some forty operations per variable, which for hundreds of variables is
  most of a graph: its tracing and optimisation decide when a deep flow starts.
  """

  def __init__(self, *args: Any, **kwargs: Any):
    super().__init__(*args, **kwargs)
    errors.check(not self.amsgrad, 'amsgrad', True, 'False',
                 'The fused update has none of it; use the class of Keras.')

  def apply(
      self, grads: Sequence[tf.Tensor],
      trainable_variables: Sequence[keras.Variable] | None = None) -> None:
    """Updates the variables."""
    # By learning rates, of which every device has its own: what the updates of
    # all variables share. Tensors of a graph live no longer than it.
    self._shared = types.SimpleNamespace(numbers={})
    super().apply(grads, trainable_variables)
    self._shared = None

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
    m, v = private_apis.adam_moments(self, variable)
    tf.raw_ops.ResourceApplyAdam(
        var=variable.handle, m=m.handle, v=v.handle, grad=gradient,
        **self._numbers(learning_rate, variable.dtype))


@keras.saving.register_keras_serializable('tf_resflow')
class Adam(_FusedUpdate, keras.optimizers.Adam):
  """`keras.optimizers.Adam` in fewer operations."""


@keras.saving.register_keras_serializable('tf_resflow')
class AdamW(_FusedUpdate, keras.optimizers.AdamW):
  """`keras.optimizers.AdamW` in fewer operations."""


def _refuse(config: config_lib.OptimizerConfig, *names: str) -> None:
  """Refuses fields that were set, but that the optimizer does not have."""
  defaults = config_lib.OptimizerConfig()
  for name in names:
    config.require(
        getattr(config, name) == getattr(defaults, name), name,
        f'{getattr(defaults, name)} with optimizer={config.optimizer}',
        'It has no use for another value.')


def make_adam(
    config: config_lib.OptimizerConfig, learning_rate: LearningRate
) -> keras.optimizers.Optimizer:
  """Returns `Adam`, or `AdamW` where the weight decay is positive.

  References:
    Kingma and Ba, 2015; Loshchilov and Hutter, 2019.
  """
  _refuse(config, 'momentum')
  arguments = dict(
      learning_rate=learning_rate, beta_2=config.beta_2,
      epsilon=config.epsilon)
  return AdamW(weight_decay=config.weight_decay, **arguments
               ) if config.weight_decay else Adam(**arguments)


def make_sgd(
    config: config_lib.OptimizerConfig, learning_rate: LearningRate
) -> keras.optimizers.Optimizer:
  """Returns gradient descent with momentum: `m <- momentum m - rate g`.

  PyTorch keeps the rate out of `m`: a rate that changes acts on all of it
  there, on new gradients alone here.
  """
  _refuse(config, 'beta_2', 'epsilon')
  return keras.optimizers.SGD(
      learning_rate, momentum=config.momentum,
      weight_decay=config.weight_decay or None)


def make_rmsprop(
    config: config_lib.OptimizerConfig, learning_rate: LearningRate
) -> keras.optimizers.Optimizer:
  """Returns RMSprop: `w <- w - rate g / sqrt(v + epsilon^2)`.

  `v` is the average of `g^2` that decays by `beta_2`: 0.99, as in PyTorch;
  0.9 in Keras. PyTorch adds `epsilon` to the root; Keras adds under the root,
  and gets the square, which is at most sqrt(2) from it.

  References:
    Tieleman and Hinton, 2012, Lecture 6.5.
  """
  _refuse(config, 'momentum')
  return keras.optimizers.RMSprop(
      learning_rate, rho=config.beta_2, epsilon=config.epsilon**2,
      weight_decay=config.weight_decay or None)


def make_adamax(
    config: config_lib.OptimizerConfig, learning_rate: LearningRate
) -> keras.optimizers.Optimizer:
  """Returns Adamax: `w <- w - rate m / ((1 - 0.9^t) (u + epsilon))`.

  `u <- max(beta_2 u, |g|)`. PyTorch adds `epsilon` to `|g|` instead, which
  differs where gradients are as small.

  References:
    Kingma and Ba, 2015, Section 7.1.
  """
  _refuse(config, 'momentum')
  return keras.optimizers.Adamax(
      learning_rate, beta_2=config.beta_2, epsilon=config.epsilon,
      weight_decay=config.weight_decay or None)


def make_constant_rate(
    learning_rate: float, warmup_steps: int, num_steps: int) -> LearningRate:
  """Returns the schedule that stays at its rate after the warm-up.

  Step `t` (from 0) of a warm-up of `W` steps has the rate
  `learning_rate (t + 1) / (W + 1)`.

  Args:
    learning_rate: after the warm-up.
    warmup_steps: number of steps of the warm-up, may be 0.
    num_steps: number of steps of the run.
  """
  if not warmup_steps:
    return learning_rate
  return keras.optimizers.schedules.PolynomialDecay(
      learning_rate / (warmup_steps + 1), decay_steps=warmup_steps,
      end_learning_rate=learning_rate, power=1.0)


def make_cosine_rate(
    learning_rate: float, warmup_steps: int, num_steps: int) -> LearningRate:
  """Returns the schedule that falls to zero at the end.

  The warm-up and the arguments are those of `make_constant_rate`.
  """
  return keras.optimizers.schedules.CosineDecay(
      learning_rate / (warmup_steps + 1),
      decay_steps=max(num_steps - warmup_steps, 1), warmup_steps=warmup_steps,
      warmup_target=learning_rate if warmup_steps else None)


def make_optimizer(
    config: config_lib.OptimizerConfig) -> keras.optimizers.Optimizer:
  """Returns the optimizer of a configuration.

  Its numbers are those of the authors' code: decays 0.9 and 0.99, epsilon
  1e-8, momentum 0.9. Weight decay is decoupled with every kind, `w <- w (1 -
  rate weight_decay)` for kernels alone, before the update. (There it is added
  to the gradients of SGD, and without effect in the other three.)

  Clipping is left to `TrainStep`: a Keras optimizer clips before replicas
  are reduced.

  Args:
    config: of the optimizer.

  Raises:
    InvalidValueError: if a value was set that the optimizer does not have.
  """
  learning_rate = registries.SCHEDULES.get(config.schedule)(
      config.learning_rate, config.warmup_steps, config.num_steps)
  optimizer = registries.OPTIMIZERS.get(config.optimizer)(
      config, learning_rate)
  if config.weight_decay:
    # Scales, offsets and slopes are not weights in the sense of decay.
    optimizer.exclude_from_weight_decay(
        var_names=['bias', 'beta', 'log_scale'])
  return optimizer


def replace_order_gradients(
    gradients: Sequence[tf.Tensor], variables: Sequence[keras.Variable],
    linear: Sequence[layers.LipschitzLayer]) -> list[tf.Tensor]:
  """Puts gradients of norms in place of those of learned orders.

  That of 0.01 times the mean of `|W|_p->q` over the layers whose orders are
  learned, as kernels are before they are divided by it: orders go to where the
  norms are small.

  Args:
    gradients: of an objective, one per variable.
    variables: the trainable ones of a model.
    linear: its linear layers.
  """
  linear = [layer for layer in linear if layer.learns_orders]
  raw = {id(order.raw): order.raw.value for layer in linear
         for order in (layer.domain, layer.codomain)}
  with tf.GradientTape() as tape:
    tape.watch(list(raw.values()))
    mean = tf.add_n([layer.norm() for layer in linear]) / len(linear)
    loss = _NORM_WEIGHT * mean
  found = dict(zip(raw, tape.gradient(
      loss, list(raw.values()),
      unconnected_gradients=tf.UnconnectedGradients.ZERO), strict=True))
  return [found.get(id(variable), gradient) for variable, gradient in zip(
      variables, gradients, strict=True)]
