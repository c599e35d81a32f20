"""The optimizer of a run."""

import keras


def make_learning_rate(config):
  """Returns the schedule: linear warm-up, then constant or cosine decay.

  Step `t` (from 0) of the warm-up uses `learning_rate * (t + 1) / (W + 1)`.

  Args:
    config: a `TrainingConfig`.

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


def make_optimizer(config):
  """Returns Adam, or AdamW where the weight decay is positive.

  Clipping is left to `TrainStep`: a Keras optimizer clips before replicas
  are reduced.

  Args:
    config: a `TrainingConfig`.
  """
  arguments = dict(
      learning_rate=make_learning_rate(config), beta_2=config.beta_2,
      epsilon=config.epsilon)
  if config.weight_decay:
    optimizer = keras.optimizers.AdamW(
        weight_decay=config.weight_decay, **arguments)
    # Scales, offsets and slopes are not weights in the sense of decay.
    optimizer.exclude_from_weight_decay(
        var_names=['bias', 'beta', 'log_scale'])
    return optimizer
  return keras.optimizers.Adam(**arguments)
