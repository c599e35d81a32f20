"""The optimizer of a run."""

from typing import Any

import keras
import tensorflow as tf

from tf_resflow import errors
from tf_resflow import private_apis
from tf_resflow.configuration import config as config_lib
from tf_resflow.configuration import registries


class _FusedUpdate(private_apis.SharedNumbers):
  """The update of Keras' Adam as one operation per variable.

  The same arithmetic, by the kernel that TensorFlow has for it. Keras spells it
  out in some forty operations per variable, which for hundreds of variables is
  most of a graph: its tracing and optimisation decide when a deep flow starts.
  """

  def __init__(self, *args: Any, **kwargs: Any):
    super().__init__(*args, **kwargs)
    errors.check(not self.amsgrad, 'amsgrad', True, 'False',
                 'The fused update has none of it; use the class of Keras.')

  def shared_numbers(
      self, learning_rate: tf.Tensor, dtype: tf.DType) -> dict[str, tf.Tensor]:
    step = tf.cast(self.iterations.value + 1, dtype)
    betas = [tf.constant(b, dtype) for b in (self.beta_1, self.beta_2)]
    return {
        'lr': tf.cast(learning_rate, dtype),
        'beta1': betas[0], 'beta2': betas[1],
        'beta1_power': betas[0]**step, 'beta2_power': betas[1]**step,
        'epsilon': tf.constant(self.epsilon, dtype),
    }

  def update_step(
      self, gradient: tf.Tensor, variable: tf.Variable,
      learning_rate: dict[str, tf.Tensor]) -> None:
    """Updates one variable by what `shared_numbers` returned."""
    m, v = private_apis.adam_moments(self, variable)
    tf.raw_ops.ResourceApplyAdam(
        var=variable.handle, m=m.handle, v=v.handle, grad=gradient,
        **learning_rate)


@keras.saving.register_keras_serializable('tf_resflow')
class Adam(_FusedUpdate, keras.optimizers.Adam):
  """`keras.optimizers.Adam` in fewer operations."""


@keras.saving.register_keras_serializable('tf_resflow')
class AdamW(_FusedUpdate, keras.optimizers.AdamW):
  """`keras.optimizers.AdamW` in fewer operations."""


def make_optimizer(
    config: config_lib.OptimizerConfig) -> keras.optimizers.Optimizer:
  """Returns `Adam`, or `AdamW` where the weight decay is positive.

  Clipping is left to `TrainStep`: a Keras optimizer clips before replicas
  are reduced.

  Args:
    config: of the optimizer.
  """
  arguments = dict(
      learning_rate=registries.SCHEDULES.get(config.schedule)(
          config.learning_rate, config.warmup_steps, config.num_steps),
      beta_2=config.beta_2, epsilon=config.epsilon)
  if not config.weight_decay:
    return Adam(**arguments)
  optimizer = AdamW(weight_decay=config.weight_decay, **arguments)
  # Scales, offsets and slopes are not weights in the sense of decay.
  optimizer.exclude_from_weight_decay(
      var_names=['bias', 'beta', 'log_scale'])
  return optimizer
