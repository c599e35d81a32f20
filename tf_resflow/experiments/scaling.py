"""Studies of how the time and memory of a training step scale."""

from collections.abc import Callable, Sequence
import functools
import os
import tempfile
from typing import Any

from matplotlib import figure as figure_lib
import numpy as np
from scipy import optimize

from tf_resflow import benchmarking
from tf_resflow import configuration
from tf_resflow.configuration import flag_parsing as flags_lib
from tf_resflow.specs import registries

# Varied settings: the field of each, and its values. `num_blocks` is per scale,
# `estimator` values are numbers of terms.
SWEEPS = {
    'batch': ('batch_size', (8, 16, 32, 64, 128)),
    'hidden width': ('hidden_channels', (32, 64, 128, 256)),
    'blocks per scale': ('num_blocks', (1, 2, 4, 8)),
    'image size': ('resize', (12, 20, 28, 40)),
    'terms n': ('estimator', (2, 4, 8, 16))}
_MEMORY_TERMS = (10, 40)
# Coefficients of the fit, in the order of the sum in `study_time`.
_TIMES = ('seconds_per_step', 'seconds_per_block_evaluation',
          'seconds_per_operation', 'seconds_per_hidden_entry')


def _describe(config: configuration.Config) -> str:
  blocks, shape = ['-'.join(map(str, sizes)) for sizes in (
      config.model.num_blocks, config.model.image_shape)]
  return (f'images {shape}, blocks {blocks}, hidden '
          f'{config.model.hidden_channels}, batch '
          f'{config.optimizer.batch_size}')


def study_time(
    config: configuration.Config, measure_fn: Callable,
    path: str | os.PathLike) -> dict[str, Any]:
  """Measures how the time of a training step scales, and plots it.

  One setting at a time is varied around a base of 4 terms, and non-negative
  coefficients are fitted to all measurements, by relative errors:

    t = c_step + c_block B (n + 7) + F / rate + E / throughput

  `B (n + 7)` counts evaluations of blocks, `F` operations of linear layers, `E`
  entries of hidden layers, see `benchmarking.tasks.StepWork`.

  Args:
    config: the base.
    measure_fn: from a configuration to results of `tasks.measure_training`.

  Returns:
    A dict for JSON: `time_model`; `exponents`, slopes of `log t` against the
    logarithms of the settings; `fit_error_max`, relative; `train_step_s`.
  """
  num_scales = len(config.model.num_blocks)
  as_value: dict[str, Callable] = {
      'num_blocks': lambda v: (v,) * num_scales, 'estimator': 'fixed:{}'.format}

  @functools.cache  # The base is a point of several sweeps.
  def measured(varied):
    values = measure_fn(varied)
    return values['train_step_s'], (
        1.0, *benchmarking.tasks.StepWork(**values['work']))

  base = config.replace(estimator='fixed:4')
  sweeps = {
      name: {v: measured(base.replace(**{field: as_value.get(field, int)(v)}))
             for v in values}
      for name, (field, values) in SWEEPS.items()}
  seconds, features = map(np.asarray, zip(*{
      m for points in sweeps.values() for m in points.values()}, strict=True))
  # Columns of very different sizes would stop the solver early.
  scale = features.max(axis=0)
  fitted = optimize.nnls(features / scale / seconds[:, np.newaxis],
                         np.ones_like(seconds))[0] / scale
  _plot_times(path, sweeps, fitted)
  return {
      'time_model': dict(zip(_TIMES, fitted.tolist(), strict=True)),
      'exponents': {
          name: float(np.polyfit(
              np.log(list(points)),
              np.log([time for time, _ in points.values()]), 1)[0])
          for name, points in sweeps.items()},
      'fit_error_max': float(np.max(np.abs(features @ fitted / seconds - 1.0))),
      'train_step_s': {name: {v: m[0] for v, m in points.items()}
                       for name, points in sweeps.items()}}


def _plot_times(path, sweeps, fitted):
  """Plots measured times and those of fitted coefficients, a panel a sweep."""
  figure = figure_lib.Figure((2.6 * len(sweeps), 2.9), layout='constrained')
  axes = figure.subplots(1, len(sweeps), sharey=True)
  for panel, (name, points) in zip(axes, sweeps.items(), strict=True):
    values, (times, works) = list(points), zip(*points.values(), strict=True)
    panel.plot(values, times, 'o', label='measured')
    panel.plot(values, works @ fitted, '-', label='fitted')
    panel.set(xscale='log', yscale='log', xlabel=name)
    panel.set_xticks(values, map(str, values))
    panel.minorticks_off()
    panel.grid(alpha=0.3)
  axes[0].set_ylabel('training step, s')
  axes[0].legend(frameon=False)
  figure.savefig(path, dpi=120)


def study_memory(
    config: configuration.Config, measure_fn: Callable,
    path: str | os.PathLike) -> dict[str, Any]:
  """Measures the peak memory of a training step in every mode, and plots it.

  Arguments are those of `study_time`. Returns a dict for JSON: `imports_gb` of
  a process that has trained nothing, and `peak_memory_gb` by modes and numbers
  of terms.
  """
  imports = benchmarking.tasks.peak_memory_gb()
  peaks = {
      mode: {n: measure_fn(config.replace(
          memory=mode, estimator=f'fixed:{n}'))['peak_memory_gb']
             for n in _MEMORY_TERMS}
      for mode in registries.MEMORY_MODES.names()}
  figure = figure_lib.Figure((6.4, 3.4), layout='constrained')
  panel = figure.subplots()
  width = 0.8 / len(_MEMORY_TERMS)
  for i, n in enumerate(_MEMORY_TERMS):
    bars = panel.bar(
        np.arange(len(peaks)) + (i - (len(_MEMORY_TERMS) - 1) / 2) * width,
        [values[n] for values in peaks.values()], width, label=f'n = {n}')
    panel.bar_label(bars, fmt='%.2f', fontsize=8)
  panel.axhline(imports, color='black', linewidth=0.8, linestyle='--',
                label='imports alone')
  panel.set_xticks(range(len(peaks)), list(peaks))
  panel.set(ylabel='peak memory, GB',
            title=f'Training step, {_describe(config)}')
  panel.legend(frameon=False)
  figure.savefig(path, dpi=120)
  return {'imports_gb': imports, 'peak_memory_gb': peaks}


def main(
    study: str, config: configuration.Config, path: str | os.PathLike, *,
    command: Sequence[str], num_repeats: int = 15,
    progress_fn: Callable[[str], None]) -> dict[str, Any]:
  """Studies time or memory, with every step in a separate process.

  Args:
    study: 'time' or 'memory', see `study_time` and `study_memory`.
    config, path: see there.
    command: that of the tool `benchmark`, without arguments.
    num_repeats: timed steps; the memory is that of the first one.
    progress_fn: called with a line about what is measured.

  Raises:
    MeasurementError: if a measuring process fails.
  """
  is_memory = study == 'memory'

  def measure(varied):
    progress_fn(f'Measuring {_describe(varied)}, {varied.model.memory}, '
                f'{varied.model.training_estimator()} ...')
    with tempfile.NamedTemporaryFile('w', suffix='.flags') as file:
      file.write(flags_lib.to_flagfile(varied))
      file.flush()
      return benchmarking.report.measure([
          *command, f'--flagfile={file.name}', '--tasks=train',
          f'--num_repeats={0 if is_memory else num_repeats}'], ['train'])

  return (study_memory if is_memory else study_time)(config, measure, path)
