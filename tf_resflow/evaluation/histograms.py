"""Pictures of scores: histograms of two samples."""

from collections.abc import Sequence
import os
from typing import NamedTuple

from matplotlib import figure as figure_lib
import numpy as np

COLORS = ('#1f77b4', '#ff7f0e')
_NUM_BINS = 60


class HistogramPanel(NamedTuple):
  """One score of two samples.

  Attributes:
    label: what the score is.
    title: what is to be said of it.
    samples: the scores of either.
    deviation: what a bar shows the size of, such as that of an estimator; 0 for
      none.
  """

  label: str
  title: str
  samples: tuple[np.ndarray, np.ndarray]
  deviation: float = 0.0


def save_histograms(
    path: str | os.PathLike, names: Sequence[str],
    panels: Sequence[HistogramPanel]) -> None:
  """Draws the histograms of two samples above each other, one panel a score.

  All bins of a panel have one width, and either histogram the area 1.

  Args:
    path: of the image, of a type that matplotlib knows.
    names: of the two samples.
    panels: one or more.

  Example:
    >>> rng = np.random.default_rng(0)
    >>> save_histograms('scores.png', ('a', 'b'), [
    ...     HistogramPanel(
    ...         'score', '', (rng.normal(size=9), rng.normal(size=7)))])
  """
  figure = figure_lib.Figure((5.2 * len(panels), 3.4), layout='constrained')
  axes = figure.subplots(1, len(panels), squeeze=False)[0]
  for axis, panel in zip(axes, panels, strict=True):
    edges = np.histogram_bin_edges(np.concatenate(panel.samples), _NUM_BINS)
    for name, sample, color in zip(names, panel.samples, COLORS, strict=True):
      axis.hist(
          sample, edges, density=True, histtype='stepfilled', edgecolor=color,
          facecolor=(color, 0.4), label=f'{name} ({len(sample)})')
    if panel.deviation:
      middle = 0.5 * (edges[0] + edges[-1])
      axis.errorbar(
          middle, 0.96 * axis.get_ylim()[1], xerr=panel.deviation,
          color='black', capsize=3, label='estimator, one deviation')
    axis.set(xlabel=panel.label, ylabel='density', title=panel.title)
    axis.legend(frameon=False)
  figure.savefig(path, dpi=120)
