"""Learning rates over a run; each starts with a linear warm-up.

Step `t` (from 0) of a warm-up of `W` steps has the rate
`learning_rate (t + 1) / (W + 1)`.
"""

import keras

LearningRate = float | keras.optimizers.schedules.LearningRateSchedule


def constant(
    learning_rate: float, warmup_steps: int, num_steps: int) -> LearningRate:
  """Returns the schedule that stays at its rate after the warm-up.

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


def cosine(
    learning_rate: float, warmup_steps: int, num_steps: int) -> LearningRate:
  """Returns the schedule that falls to zero at the end; see `constant`."""
  return keras.optimizers.schedules.CosineDecay(
      learning_rate / (warmup_steps + 1),
      decay_steps=max(num_steps - warmup_steps, 1), warmup_steps=warmup_steps,
      warmup_target=learning_rate if warmup_steps else None)
