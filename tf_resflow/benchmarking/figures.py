"""Figures of measurements."""

from collections.abc import Mapping, Sequence
import os

from matplotlib import figure as figure_lib
import numpy as np

from tf_resflow.benchmarking import studies


def save_scaling(
    path: str | os.PathLike,
    sweeps: Mapping[str, Sequence[tuple[int, studies.Measurement]]],
    cost_model: studies.CostModel) -> None:
  """Draws the time of a step against every setting, measured and fitted.

  Args:
    path: of the image.
    sweeps: values of every setting, and what was measured there.
    cost_model: the fit.
  """
  figure = figure_lib.Figure((2.6 * len(sweeps), 2.9), layout='constrained')
  axes = figure.subplots(1, len(sweeps), sharey=True, squeeze=False)
  for panel, (name, points) in zip(axes[0], sweeps.items(), strict=True):
    values = [value for value, _ in points]
    panel.plot(values, [m.seconds for _, m in points], 'o', label='measured')
    panel.plot(values, [cost_model.seconds(m.work) for _, m in points], '-',
               label='fitted')
    panel.set(xscale='log', yscale='log', xlabel=name)
    panel.set_xticks(values, [str(v) for v in values])
    panel.minorticks_off()
    panel.grid(alpha=0.3)
  axes[0, 0].set_ylabel('training step, s')
  axes[0, 0].legend(frameon=False)
  figure.savefig(path, dpi=120)


def save_memory(
    path: str | os.PathLike, peaks: Mapping[str, Mapping[int, float]],
    baseline_gb: float, title: str) -> None:
  """Draws the peak memory of a training step in every memory mode.

  Args:
    path: of the image.
    peaks: GB, by modes and numbers of terms.
    baseline_gb: of a process that has imported everything and trained nothing.
    title: of the figure.
  """
  terms = list(next(iter(peaks.values())))
  figure = figure_lib.Figure((6.4, 3.4), layout='constrained')
  panel = figure.subplots()
  width = 0.8 / len(terms)
  for i, n in enumerate(terms):
    x = np.arange(len(peaks)) + (i - (len(terms) - 1) / 2) * width
    bars = panel.bar(
        x, [values[n] for values in peaks.values()], width, label=f'n = {n}')
    panel.bar_label(bars, fmt='%.2f', fontsize=8)
  panel.axhline(baseline_gb, color='black', linewidth=0.8, linestyle='--',
                label='imports alone')
  panel.set_xticks(range(len(peaks)), list(peaks))
  panel.set(ylabel='peak memory, GB', title=title)
  panel.legend(frameon=False)
  figure.savefig(path, dpi=120)
