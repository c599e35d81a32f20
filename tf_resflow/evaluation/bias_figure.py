"""Figure 2 of the paper: what runs train by, and the unbiased bits/dim."""

from collections.abc import Mapping
import os

from matplotlib import figure as figure_lib
import numpy as np

# Columns of metrics.csv: their labels, styles and widths of lines.
_CURVES = (
    ('bits_per_dim', 'training, unbiased estimate', 'C0-', 0.8),
    ('biased_bits_per_dim', 'training, biased estimate', 'C3-', 0.8),
    ('validation_biased_bits_per_dim', 'validation, biased estimate', 'C3o--',
     1.6),
    ('validation_bits_per_dim', 'validation, unbiased', 'C0o-', 1.6))


def save_bias(
    path: str | os.PathLike, runs: Mapping[str, Mapping[str, np.ndarray]]
) -> None:
  """Draws the bits/dim of runs over their steps, one panel each.

  Args:
    path: of the image.
    runs: from titles to the columns of their metrics: `step`; `bits_per_dim`
      or `biased_bits_per_dim`, of training batches; and what `bias.validate`
      returns. Cells without a value are NaN.
  """
  figure = figure_lib.Figure((4.2 * len(runs), 3.4), layout='constrained')
  axes = figure.subplots(1, len(runs), sharey=True, squeeze=False)
  for panel, (title, columns) in zip(axes[0], runs.items(), strict=True):
    for name, label, style, width in _CURVES:
      values = columns.get(name, np.array([np.nan]))
      is_there = np.isfinite(values)
      if is_there.any():
        panel.plot(columns['step'][is_there], values[is_there], style,
                   label=label, linewidth=width, markersize=3)
    panel.set_title(title, fontsize=9)
    panel.set_xlabel('step')
    panel.grid(alpha=0.3)
    panel.legend(frameon=False, fontsize=8)
  axes[0, 0].set_ylabel('bits/dim')
  figure.savefig(path, dpi=120)
