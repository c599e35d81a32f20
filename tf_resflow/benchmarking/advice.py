"""What a run takes on this machine, by some of its steps on noise."""

from collections.abc import Mapping
import time
from typing import Any

import tensorflow as tf

from tf_resflow import configuration
from tf_resflow.benchmarking import tasks
from tf_resflow.specs import registries
from tf_resflow.training import trainer

# Seconds that a step is to take, and all together at least; none begins later
# than the last. A step is expected at this share of the speed of products.
_STEP_S, _STEPS_S, _LAST_S, _SHARE = 10.0, 10.0, 60.0, 0.4
_THRIFTY = registries.AGREEING_MEMORY_MODES[0]


def measure_run(settings: tasks.Settings, start_time: float) -> dict[str, Any]:
  """Measures steps, on fewer examples where a whole batch would take long.

  Args:
    settings: the run.
    start_time: `time.perf_counter()` when the process started.
  """
  learner = trainer.Learner(settings.config)
  parts = settings.config.optimizer.accumulation_steps
  work = tasks.step_work(learner.model, parts, num_terms=4).operations + 1
  size = int(_STEP_S * _SHARE * tasks.matmul_rate(num_repeats=5) / work)
  size = min(max(size, 4 // parts), settings.config.optimizer.batch_size)
  devices = learner.strategy.num_replicas_in_sync
  size = max(size // devices, 1) * devices
  batch = settings.first_batch(learner, size * parts)
  initial, ends = tasks.peak_memory_gb(), []
  while len(ends) < 2 or (ends[-1] - ends[0] < _STEPS_S and
                          ends[-1] - start_time < _LAST_S):
    step = tf.constant(len(ends), tf.int64)
    float(learner.run_step(batch, step)['gradient_norm'])
    ends.append(time.perf_counter())
  return {
      'num_parameters': learner.model.num_parameters,
      'first_step_s': ends[0] - start_time, 'measured_batch_size': size,
      'measured_step_s': (ends[-1] - ends[0]) / (len(ends) - 1),
      'num_steps_measured': len(ends) - 1, 'initial_memory_gb': initial,
      'peak_memory_gb': tasks.peak_memory_gb(), 'memory_gb': tasks.memory_gb(),
      'checkpoint_mb': sum(v.numpy().nbytes for m in learner.state.values()
                           for v in m.variables) / 1e6}


def advise(
    config: configuration.Config, measured: Mapping[str, Any]
) -> dict[str, Any]:
  """Returns what a run takes at most, and what to change if that is too much.

  From fewer examples than a batch has, step and memory are extrapolated in
  proportion, though parts of both come once. What is `left_out` is to be added.

  Args:
    config: of the run.
    measured: what `measure_run` returned.

  Returns:
    A dict for JSON that includes `measured`; `warnings` is a list of texts.
  """
  optimizer, values = config.optimizer, config.values()
  batch, memory = optimizer.batch_size, measured['memory_gb']
  factor, initial = (
      batch / measured['measured_batch_size'], measured['initial_memory_gb'])
  peak = initial + factor * (measured['peak_memory_gb'] - initial)
  step = factor * measured['measured_step_s']
  seconds = measured['first_step_s'] + (optimizer.num_steps - 1) * step
  smaller = [f'a smaller --{name}' for name in (
      'num_blocks', 'hidden_channels', 'hidden_units') if name in values]
  warnings = []
  if memory is not None and peak > 0.9 * memory:
    advice = [f'--batch_size={batch // 2} --accumulation_steps='
              f'{2 * optimizer.accumulation_steps} (nearly the same steps)'
              ] * (batch > 1)
    if values.get('memory', _THRIFTY) != _THRIFTY:
      advice.append(f'--memory={_THRIFTY}')
    warnings.append(
        f'The peak is {measured["peak_memory_gb"]:.3g} to {peak:.3g} GB, the '
        f'memory {memory:.3g} GB; --tasks=train --num_repeats=0 measures it. '
        f'To make it smaller: {", ".join(advice + smaller)}.')
  if seconds > 7 * 86400:
    advice = ['a smaller --batch_size'] if batch > 1 else []
    warnings.append(
        f'The run takes at most {seconds / 86400:.3g} days. To make it '
        f'shorter: {", ".join(["fewer --num_steps", *advice, *smaller])}; '
        'several GPUs share it with --strategy=mirrored.')
  kept = config.run.checkpoints_to_keep + config.run.keep_best
  return {
      'batch_size': batch, 'num_steps': optimizer.num_steps, **measured,
      'train_step_mean_s': step, 'peak_memory_at_most_gb': peak,
      'checkpoints_mb': kept * measured['checkpoint_mb'],
      'run_seconds': seconds, 'run_hours': seconds / 3600,
      'run_days': seconds / 86400, 'warnings': warnings,
      'left_out': ['validation', 'samples', 'checkpoints']}
