"""What a run costs on this machine, of measurements of its parts."""

from collections.abc import Mapping
from typing import Any

from tf_resflow import configuration
from tf_resflow import training
from tf_resflow.configuration import registries
from tf_resflow.training import occasions as occasions_lib

# Shares of the memory, and seconds, from which on a run is warned of.
_MEMORY_SHARE = 0.9
_LONG = 7 * 86400
# Memory modes, the one that takes least first.
_THRIFTY = registries.AGREEING_MEMORY_MODES[0]


def predict_run(
    config: configuration.Config, measured: Mapping[str, Any]
) -> dict[str, Any]:
  """Predicts what a run costs, from its start to its last step.

    seconds = first step + (steps - 1) * mean step
              + sum over what is done between steps of count * seconds

  The number of terms of a step is drawn, so the mean counts, not the median.

  Args:
    config: of the run.
    measured: what `runs.measure_run` returned.

  Returns:
    `run_seconds`, `run_hours` and `run_days`; `seconds_of`, a dict of their
    parts; `times`, how often each of these is done; `left_out`, names of what
    is done and was not measured; `checkpoints_mb`, all that are kept at once.
  """
  num_steps = config.optimizer.num_steps
  # bin/train draws the density in the plane, which is not measured.
  has_samples = 'samples_s' in measured or (
      config.data.info().event_shape == (2,) and not config.data.condition)
  times = {'first step': 1, 'steps': num_steps - 1} | {
      name: occasion.count(0, num_steps) for name, occasion in
      occasions_lib.occasions_of(config, True, has_samples).items()}
  each = {'first step': measured['first_step_s'],
          'steps': measured['train_step_mean_s']} | {
              name.removesuffix('_s'): measured[name] for name in (
                  'validation_s', 'samples_s', 'checkpoints_s')
              if name in measured}
  # A run begins with a checkpoint.
  times[occasions_lib.CHECKPOINTS] += 1
  seconds_of = {
      name: count * each[name] for name, count in times.items()
      if name in each}
  seconds = sum(seconds_of.values())
  num_kept = min(config.run.checkpoints_to_keep,
                 times[occasions_lib.CHECKPOINTS]) + config.run.keep_best
  return {
      'run_seconds': seconds, 'run_hours': seconds / 3600,
      'run_days': seconds / 86400, 'seconds_of': seconds_of, 'times': times,
      'left_out': [name for name, count in times.items()
                   if count and name not in each],
      'checkpoints_kept': num_kept,
      'checkpoints_mb': num_kept * measured['checkpoint_mb']}


def warnings(
    config: configuration.Config, measured: Mapping[str, Any],
    prediction: Mapping[str, Any]) -> list[str]:
  """Returns what to change where a run does not fit, or takes long.

  Args:
    config: of the run.
    measured: what `runs.measure_run` returned.
    prediction: of `predict_run`.
  """
  found, fields = [], config.values()
  smaller = [f'fewer --{name}' for name in ('num_blocks',) if name in fields]
  smaller += [f'smaller --{name}' for name in (
      'hidden_channels', 'hidden_units') if name in fields]
  memory, peak = measured['memory_gb'], measured['peak_memory_gb']
  if memory is not None and peak > _MEMORY_SHARE * memory:
    advice, batch = [], config.optimizer.batch_size
    if batch > 1:
      advice.append(
          f'--batch_size={batch // 2} --accumulation_steps='
          f'{2 * config.optimizer.accumulation_steps} (nearly the same steps)')
    if fields.get('memory', _THRIFTY) != _THRIFTY:
      advice.append(f'--memory={_THRIFTY}')
    found.append(
        f'The peak is {peak:.3g} GB, the memory {memory:.3g} GB. To make '
        f'it smaller: {", ".join([*advice, *smaller])}.')
  if prediction['run_seconds'] > _LONG:
    advice = ['fewer --num_steps', *(
        ['a smaller --batch_size'] if config.optimizer.batch_size > 1 else []
    ), *smaller]
    found.append(
        'The run takes '
        f'{training.format_duration(prediction["run_seconds"])}. To make it '
        f'shorter: {", ".join(advice)}; several GPUs share it with '
        '--strategy=mirrored.')
  return found


def format_advice(
    config: configuration.Config, measured: Mapping[str, Any],
    prediction: Mapping[str, Any]) -> str:
  """Returns all of this as text for people.

  Args:
    config: of the run.
    measured: what `runs.measure_run` returned.
    prediction: of `predict_run`.
  """
  duration, memory = training.format_duration, measured['memory_gb']
  kept = prediction['checkpoints_kept']
  rows = {
      'parameters': f'{measured["num_parameters"]:,}',
      'start to first step': duration(measured['first_step_s']),
      'training step': (
          f'{duration(measured["train_step_s"])}, the median of '
          f'{measured["num_steps_measured"]}; mean '
          f'{duration(measured["train_step_mean_s"])}'),
      'peak memory': f'{measured["peak_memory_gb"]:.3g} GB of ' + (
          'an unknown size' if memory is None else f'{memory:.3g} GB'),
      'checkpoint': (
          f'{measured["checkpoint_mb"]:.3g} MB; {kept} of them '
          f'{prediction["checkpoints_mb"]:.3g} MB'),
      'run': duration(prediction['run_seconds']),
  }
  for name, seconds in prediction['seconds_of'].items():
    count = prediction['times'][name]
    rows[f'  {name}'] = duration(seconds) + (
        f', {count:,} times {duration(seconds / count)}' if count > 1 else ''
    ) + (f', from {measured[f"{name}_examples"]} examples'
         if f'{name}_examples' in measured else '')
  rows['  left out'] = ', '.join(
      [*prediction['left_out'], 'the evaluation after the last step'])
  return '\n'.join([
      *(f'{name:22s}{text}' for name, text in rows.items()),
      *(f'Warning: {text}' for text in warnings(
          config, measured, prediction))])
