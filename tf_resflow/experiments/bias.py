"""The bias of the log-densities by which a flow trains.

Biased and unbiased estimates are made on the same examples and dequantisation
noise, so that their difference is the bias of the estimator alone.
"""

from collections.abc import Mapping
import os
from typing import Any

from matplotlib import figure as figure_lib
import numpy as np

from tf_resflow import datasets
from tf_resflow import evaluation
from tf_resflow import models
from tf_resflow.evaluation import statistics

# Columns of metrics.csv, with labels, styles and line widths.
_CURVES = (
    ('bits_per_dim', 'training, unbiased estimate', 'C0-', 0.8),
    ('biased_bits_per_dim', 'training, biased estimate', 'C3-', 0.8),
    ('validation_biased_bits_per_dim', 'validation, biased estimate', 'C3o--',
     1.6),
    ('validation_bits_per_dim', 'validation, unbiased', 'C0o-', 1.6))


def measure_bias(
    model: models.Flow, split: datasets.Split, *,
    num_examples: int | None = None, **settings: Any) -> dict[str, Any]:
  """Compares the estimates by which a flow is trained with unbiased ones.

  Args:
    model, split, num_examples, **settings: of `evaluation.nll`, for both; its
      `estimator` is an unbiased one, by default that of
      `Flow.evaluation_estimator`.

  Returns:
    A dict for JSON: `unit`; under its name the unbiased mean and its `_stderr`
    across examples, and as `training_UNIT` that by the estimators of training;
    their difference `bias`, example by example, with `bias_stderr` of examples
    and repeats and `bias_num_stderrs`; `num_examples` and `num_repeats`.

  References:
    Chen et al., 2019, Residual Flows, Figure 2.
  """
  used = evaluation.EvaluationSettings.of(model, **settings, dequantizes=True)
  biased, unbiased = [
      evaluation.nll(model, split, num_examples=num_examples, settings=used,
                     **changes)
      for changes in ({'estimator': 'training'}, {})]
  biased, unbiased, bias = map(
      statistics.summarize_repeats, (biased, unbiased, biased - unbiased))
  return {
      'unit': model.unit, **unbiased.report(model.unit),
      f'training_{model.unit}': biased.mean,
      'bias': bias.mean, 'bias_stderr': bias.total_stderr,
      'bias_num_stderrs': bias.num_stderrs,
      'num_examples': bias.num_examples, 'num_repeats': bias.num_repeats}


def save_bias(
    path: str | os.PathLike, runs: Mapping[str, Mapping[str, np.ndarray]]
) -> None:
  """Plots the bits/dim of runs over their steps, one panel each.

  Args:
    path: of the image.
    runs: from titles to the columns of their metrics, see `_CURVES`. Cells
      without a value are NaN.
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
