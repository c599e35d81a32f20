"""The optimizer of a run."""

import keras
import tensorflow as tf


def make_learning_rate(config):
  """Returns the schedule: linear warm-up, then constant or cosine decay.

  Step `t` (from 0) of the warm-up uses `learning_rate * (t + 1) / (W + 1)`.

  Args:
    config: an `OptimizerConfig`.

  Returns:
    A Keras schedule, or a float where the rate is constant.
  """
  rate, warmup = config.learning_rate, config.warmup_steps
  start = rate / (warmup + 1)
  if config.schedule == 'cosine':
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=start if warmup else rate,
        decay_steps=max(config.num_steps - warmup, 1), alpha=0.0,
        warmup_target=rate if warmup else None, warmup_steps=warmup)
  if not warmup:
    return rate
  return keras.optimizers.schedules.PolynomialDecay(
      start, decay_steps=warmup, end_learning_rate=rate, power=1.0)


class _FusedUpdate:
  """The update of Keras' Adam as one operation per variable.

  The same arithmetic, by the kernel that TensorFlow has for it. Keras spells it
  out in some forty operations per variable, which for hundreds of variables is
  most of a graph: its tracing and optimisation decide when a deep flow starts.
  """

  def _backend_update_step(self, grads, trainable_variables, learning_rate):
    if self.amsgrad:
      raise ValueError('amsgrad is set; the fused update has none of it.')
    dtype = tf.as_dtype(trainable_variables[0].dtype)
    step = tf.cast(self.iterations.value + 1, dtype)
    betas = [tf.constant(b, dtype) for b in (self.beta_1, self.beta_2)]
    numbers = {
        'lr': tf.cast(learning_rate, dtype),
        'beta1': betas[0], 'beta2': betas[1],
        'beta1_power': betas[0]**step, 'beta2_power': betas[1]**step,
        'epsilon': tf.constant(self.epsilon, dtype),
    }
    # What goes by the name of learning rate reaches `update_step` as it is.
    super()._backend_update_step(grads, trainable_variables, numbers)

  def update_step(self, gradient, variable, learning_rate):
    """Updates one variable; `learning_rate` has all numbers of the update."""
    index = self._get_variable_index(variable)
    tf.raw_ops.ResourceApplyAdam(
        var=variable.handle, m=self._momentums[index].value.handle,
        v=self._velocities[index].value.handle, grad=gradient,
        **learning_rate)


@keras.saving.register_keras_serializable('tf_resflow')
class Adam(_FusedUpdate, keras.optimizers.Adam):
  """`keras.optimizers.Adam` in fewer operations."""


@keras.saving.register_keras_serializable('tf_resflow')
class AdamW(_FusedUpdate, keras.optimizers.AdamW):
  """`keras.optimizers.AdamW` in fewer operations."""


def make_optimizer(config):
  """Returns `Adam`, or `AdamW` where the weight decay is positive.

  Clipping is left to `TrainStep`: a Keras optimizer clips before replicas
  are reduced.

  Args:
    config: an `OptimizerConfig`.
  """
  arguments = dict(
      learning_rate=make_learning_rate(config), beta_2=config.beta_2,
      epsilon=config.epsilon)
  if config.weight_decay:
    optimizer = AdamW(
        weight_decay=config.weight_decay, **arguments)
    # Scales, offsets and slopes are not weights in the sense of decay.
    optimizer.exclude_from_weight_decay(
        var_names=['bias', 'beta', 'log_scale'])
    return optimizer
  return Adam(**arguments)
