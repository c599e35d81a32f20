"""The peak memory of a training step by the ways to differentiate a series."""

from collections.abc import Callable, Sequence
import os
from typing import Any

from matplotlib import figure as figure_lib
import numpy as np

from tf_resflow import benchmarking
from tf_resflow import configuration
from tf_resflow.specs import registries

_NUM_TERMS = (10, 40)


def measure_memory(
    config: configuration.Config, path: str | os.PathLike, *,
    command: Sequence[str], progress_fn: Callable[[str], None],
) -> dict[str, Any]:
  """Measures the peak memory of a training step in every mode, and plots it.

  Every step is taken in a separate process.

  Args:
    config: what varies but for the mode and the number of terms.
    path: of the picture.
    command: that of the tool `benchmark`, without arguments.
    progress_fn: called with a line about what is measured.

  Returns:
    A dict for JSON: `imports_gb` of a process that has trained nothing, and
    `peak_memory_gb` by modes and numbers of terms.

  Raises:
    MeasurementError: if a measuring process fails.
  """
  peaks: dict[str, dict[int, float]] = {}
  for mode in registries.MEMORY_MODES.names():
    for n in _NUM_TERMS:
      progress_fn(f'Measuring {mode}, {n} terms ...')
      peaks.setdefault(mode, {})[n] = benchmarking.report.measure_training(
          command, config.replace(memory=mode, estimator=f'fixed:{n}'), 0
      )['peak_memory_gb']
  imports = benchmarking.tasks.peak_memory_gb()
  _save_bars(path, peaks, imports)
  return {'imports_gb': imports, 'peak_memory_gb': peaks}


def _save_bars(path, peaks, imports):
  figure = figure_lib.Figure((6.4, 3.4), layout='constrained')
  panel = figure.subplots()
  width = 0.8 / len(_NUM_TERMS)
  for i, n in enumerate(_NUM_TERMS):
    bars = panel.bar(
        np.arange(len(peaks)) + (i - (len(_NUM_TERMS) - 1) / 2) * width,
        [values[n] for values in peaks.values()], width, label=f'n = {n}')
    panel.bar_label(bars, fmt='%.2f', fontsize=8)
  panel.axhline(imports, color='black', linewidth=0.8, linestyle='--',
                label='imports alone')
  panel.set_xticks(range(len(peaks)), list(peaks))
  panel.set(ylabel='peak memory of a training step, GB')
  panel.legend(frameon=False)
  figure.savefig(path, dpi=120)
