"""Figures of the paper, drawn from runs."""

from collections.abc import Mapping, Sequence
import math
import os

from matplotlib import figure as figure_lib
import numpy as np
from sklearn import metrics
import tensorflow as tf

from tf_resflow import training
from tf_resflow import workflow
from tf_resflow.evaluation import pictures
from tf_resflow.evaluation import plots
from tf_resflow.specs import registries

# Folders of the runs of each case, one for every seed.
Runs = Mapping[str, Sequence[str]]
_NUM_SAMPLES = 8
_MAX_PANELS = 3  # In a row.
_TEMPERATURES = (0.7, 0.8, 0.9, 1.0)
# Columns of metrics.csv, with labels, styles and line widths.
_CURVES = (
    ('bits_per_dim', 'training, unbiased estimate', 'C0-', 0.8),
    ('biased_bits_per_dim', 'training, biased estimate', 'C3-', 0.8),
    ('validation_biased_bits_per_dim', 'validation, biased estimate', 'C3o--',
     1.6),
    ('validation_bits_per_dim', 'validation, unbiased', 'C0o-', 1.6))


def save_bias(path: str | os.PathLike, runs: Runs) -> None:
  """Figure 2: biased and unbiased bits/dim while flows are trained."""
  num_rows = math.ceil(len(runs) / _MAX_PANELS)
  num_panels = math.ceil(len(runs) / num_rows)
  figure = figure_lib.Figure(
      (4.2 * num_panels, 3.4 * num_rows), layout='constrained')
  axes = figure.subplots(num_rows, num_panels, sharey=True, squeeze=False)
  for panel, (title, workdirs) in zip(axes.ravel(), runs.items(), strict=False):
    columns = training.read_metrics(workdirs[0])
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
  for panel in axes[:, 0]:
    panel.set_ylabel('bits/dim')
  for panel in axes.ravel()[len(runs):]:
    panel.axis('off')
  figure.savefig(path, dpi=120)


def save_activations(path: str | os.PathLike) -> None:
  """Figure 4: activations and their first and second derivatives."""
  figure = figure_lib.Figure((3 * 3.2, 2.8), layout='constrained')
  for panel, name in zip(figure.subplots(1, 3, sharey=True),
                         ('softplus', 'elu', 'lipswish'), strict=True):
    x, values = derivatives(name)
    for label, y in zip(('phi', "phi'", "phi''"), values, strict=True):
      panel.plot(x, y, label=label)
    panel.set(title=name, xlabel='x', ylim=(-0.6, 1.6))
    panel.grid(alpha=0.3)
  panel.legend(frameon=False)
  figure.savefig(path, dpi=120)


def derivatives(name: str) -> tuple[np.ndarray, list[np.ndarray]]:
  """Returns points, and an activation and two derivatives there."""
  x = tf.linspace(-4.0, 4.0, 401)[:, tf.newaxis]
  layer = registries.ACTIVATIONS.get(name)()
  with tf.GradientTape() as outer:
    outer.watch(x)
    with tf.GradientTape() as inner:
      inner.watch(x)
      y = layer(x)
    slope = inner.gradient(y, x)
  return x.numpy()[:, 0], [
      t.numpy()[:, 0] for t in (y, slope, outer.gradient(slope, x))]


def save_samples(path: str | os.PathLike, runs: Runs) -> None:
  """Figures 5 and 6: samples, and below each the nearest training image.

  The distance is that of l_2 between the pixels.
  """
  flow = workflow.load(next(iter(runs.values()))[0])
  samples = pictures.samples(flow, _NUM_SAMPLES).arrays['image']
  train = plots.levels_to_bytes(
      flow.run.open('train').arrays['x'].numpy(), flow.num_levels)
  plots.save_image_grid(
      path, np.concatenate([samples, train[nearest(samples, train)]]),
      _NUM_SAMPLES)


def nearest(images: np.ndarray, others: np.ndarray) -> np.ndarray:
  """Returns the index of the nearest of other images for each, `[n]`."""
  images, others = (
      np.reshape(part, [len(part), -1]) for part in (images, others))
  return metrics.pairwise_distances_argmin(images, others)


def save_temperatures(path: str | os.PathLike, runs: Runs) -> None:
  """Figure 7: the same latents at reduced temperatures, a row each."""
  flow = workflow.load(next(iter(runs.values()))[0])
  picture = pictures.samples(flow, _NUM_SAMPLES, temperatures=_TEMPERATURES)
  plots.save_image_grid(path, picture.arrays['image'], _NUM_SAMPLES)


def save_curves(path: str | os.PathLike, runs: Runs) -> None:
  """Figure 8: training bits/dim over steps, bands from lowest to highest seed.
  """
  figure = figure_lib.Figure((5.6, 3.6), layout='constrained')
  panel = figure.subplots()
  for i, (name, workdirs) in enumerate(runs.items()):
    curves = [training.read_metrics(workdir) for workdir in workdirs]
    values = np.stack([curve['bits_per_dim'] for curve in curves])
    steps = curves[0]['step']
    panel.plot(steps, values.mean(axis=0), f'C{i}', label=name)
    panel.fill_between(steps, values.min(axis=0), values.max(axis=0),
                       color=f'C{i}', alpha=0.25, linewidth=0.0)
  # The first steps, before the networks have learnt anything, hide the rest.
  panel.set(xlabel='step', ylabel='training bits/dim',
            ylim=(None, np.median(values) + 1.0))
  panel.grid(alpha=0.3)
  panel.legend(frameon=False)
  figure.savefig(path, dpi=120)
