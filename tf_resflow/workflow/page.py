"""A page about a flow and its run, made of sections that yield HTML."""

import base64
import html
import importlib.resources
import os
import shlex
import string
from typing import Any
import warnings

import numpy as np
from scipy import stats
from sklearn import metrics
import tensorflow as tf

from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow import evaluation
from tf_resflow import models
from tf_resflow.evaluation import sample_quality
from tf_resflow.evaluation import statistics
from tf_resflow.specs import registries
from tf_resflow.training import files
from tf_resflow.workflow import explaining
from tf_resflow.workflow import page_data

# Colours of Okabe and Ito, which most people can tell apart: 'C0' is for data,
# 'C1' for samples.
_STYLE: dict[str, Any] = {
    'text.parse_math': False, 'font.size': 9, 'legend.frameon': False,
    'axes.spines.top': False, 'axes.spines.right': False, 'figure.dpi': 110,
    'axes.prop_cycle': "cycler('color', ['#0072B2', '#E69F00', '#009E73', "
    "'#CC79A7', '#56B4E9', '#D55E00']) + cycler('linestyle', ['-', '--', '-.', "
    "':', '-', '--'])"}
# Most columns alone and in pairs; samples of images, and images in a row.
_MAX_COLUMNS, _MAX_PAIRED, _NUM_IMAGES, _IN_ROW = 60, 8, 64, 16
# Least likely rows that are named, and those that are explained.
_NUM_ODD, _NUM_EXPLAINED = 10, 3
# Held-out rows whose ranks are computed, and draws for each of them.
_NUM_RANKED, _NUM_DRAWS = 200, 99


def save_page(
    flow: models.Flow, path: str | os.PathLike, *, rows: bool = False) -> None:
  """Writes a page about a flow and its run, one HTML file.

  It shows the result beside that of other models, curves, bounds, and how the
  run is repeated. With the data of the run it compares samples with them: by
  columns, densities in two dimensions or images, by ranks of a flow `p(x|c)`,
  and by `sample_quality.classifier_two_sample_test` and `find_copies`. Sections
  that cannot be made say why. The page has no script and loads nothing, and
  names are escaped. Odd rows are named by number and column; unless `rows` are
  asked for, cells stand in figures alone.

  Args:
    flow: of `fit` or `load`, or an estimator that has one as `flow_`.
    path: of the file, which is replaced.
    rows: whether to show the cells of odd rows, and to explain some of them.

  Example:
    >>> config = configuration.make_config(dataset='2d/rings', num_blocks=1)
    >>> training.workdir.create_workdir('rings', config, config.model.build())
    >>> save_page(workflow.load('rings'), 'rings.html')
  """
  import matplotlib as mpl  # Takes a second.

  fitted: Any = getattr(flow, 'flow_', flow)
  page = page_data.PageData(fitted, rows)
  template = string.Template(importlib.resources.files(
      'tf_resflow.workflow').joinpath('page.html').read_text())
  with mpl.rc_context(_STYLE), warnings.catch_warnings():
    # Of letters that its font lacks (columns have numbers, too), of constants.
    warnings.simplefilter('ignore', UserWarning)
    files.write_text(os.fspath(path), template.substitute(
        title=html.escape(f'Flow of {page.run.config.data.dataset}'),
        body=''.join(_section(page, *section)
                     for section in _sections(page.flow))))


def _sections(flow):
  """Yields titles and functions of the sections of a flow."""
  yield 'Result', _result, _baselines, _curves
  if flow.is_image:
    yield 'Images', _images
  else:
    if flow.event_shape == (2,) and flow.condition_spec is None:
      yield 'Density', _density
    yield 'Columns', _marginals, _pairs
    yield 'Odd rows', _odd_rows
    if flow.condition_spec is not None:
      yield 'Calibration', _calibration
  yield 'Samples beside data', _measures
  yield 'Inverses and bounds', _bounds
  yield 'Repeat the run', _repeat


def _section(page, title, *make_fns):
  try:
    content = ''.join(part for make in make_fns for part in make(page))
  # A run that has ended well should not fail for a figure.
  except Exception as error:  # pylint: disable=broad-exception-caught
    content = _text(f'Left out: {errors.sentence(error)}')
  return f'<section><h2>{title}</h2>\n{content}</section>\n'


def _text(text, tag='p', kind=''):
  return f'<{tag} class="{kind}">{html.escape(text)}</{tag}>\n'


def _table(frame):
  text = frame.to_html(border=0, float_format='{:.4g}'.format)
  return f'<div class="table" tabindex="0">{text}</div>\n'


def _image(image, finding, kind=''):
  """Returns an image, `[H, W, C]` or a figure, and what it shows."""
  if hasattr(image, 'savefig'):
    image = evaluation.plots.rendered(image)
  png = base64.b64encode(tf.io.encode_png(image).numpy()).decode()
  finding = html.escape(finding)
  return (f'<figure><div><img class="{kind}" alt="{finding}" '
          f'src="data:image/png;base64,{png}"></div>'
          f'<figcaption>{finding}</figcaption></figure>\n')


def _grid(images, num_columns, finding):
  return _image(evaluation.plots.image_grid(images, num_columns), finding)


def _result(page):
  run = page.run
  yield _text(run.summary or 'The flow was not evaluated.')
  for text in run.warnings:
    yield _text(f'Warning: {text}', kind='warning')
  yield _text(f'Weights {run.weights}. ' + ', '.join(
      f'{name}={count:,}' for name, count in run.facts.items()
      if name.startswith('num_') and count))


def _baselines(page):
  report, unit = page.run.report, page.flow.unit
  prefix = f'{unit}_minus_'
  others = [name for name in report
            if name.startswith(prefix) and not name.endswith('_stderr')]
  if not others:
    return
  names = ['flow', *(name.removeprefix(prefix) for name in others)]
  means = report[unit] - np.array([0.0, *(report[name] for name in others)])
  figure = evaluation.plots.new_figure(7, 0.6 + 0.4 * len(names))
  axes = figure.subplots()
  axes.errorbar(means, names, fmt='o', capsize=3, xerr=[
      2.0 * report[f'{name}_stderr'] for name in (unit, *others)])
  axes.invert_yaxis()
  axes.set(xlabel=f'{unit}, lower is better', ymargin=0.3)
  yield _image(figure, ', '.join(
      f'{name} {mean:.3f}' for name, mean in zip(names, means, strict=True)) +
      f' {unit}. Bars are two standard errors; those of the others are of the '
      'difference from the flow.')


def _curves(page):
  curves, unit = page.run.curves, page.flow.unit
  shown = {name: values for name, values in curves.items()
           if name.endswith(unit) and np.isfinite(values).any()}
  if not shown:
    return
  figure = evaluation.plots.new_figure(7, 3)
  axes = figure.subplots()
  for name, values in shown.items():
    known = np.isfinite(values)
    axes.plot(curves['step'][known], values[known], marker='.', label=name)
  name = max(shown, key=lambda name: name == f'validation_{unit}')
  best = np.nanargmin(shown[name])
  is_refit = page.run.is_refit
  axes.axvline(page.run.step, color='0.4', label='best step' if is_refit else
               'weights of the flow')
  axes.set(xlabel='step', ylabel=unit, ylim=(None, np.nanquantile(
      [*shown.values()], 0.98, method='higher')))
  axes.legend()
  yield _image(figure, f'{name} is lowest at step {curves["step"][best]:,.0f}, '
               f'{shown[name][best]:.3f}; the flow has the weights of step '
               f'{page.run.step:,}' + ' of another training, on all rows' * (
                   is_refit) + '.')


def _density(page):
  yield _image(
      evaluation.density_picture(page.flow, *page.rows), 'Held-out points, '
      'the density of the flow, and as many samples.', 'wide')


def _marginals(page):
  (x, samples), table = page.rows, page.columns
  name, first = table.index[0], table.iloc[0]
  shown = table.index[:_MAX_COLUMNS]
  width = min(6, len(shown))
  height = -(-len(shown) // width)
  figure = evaluation.plots.new_figure(1.7 * max(width, 3), 0.5 + 1.4 * height)
  for i, column in enumerate(shown, 1):
    axes = figure.add_subplot(height, width, i, yticks=[])
    for label, part in ('data', x), ('samples', samples):
      axes.hist(part[column], 30, range=x[column].quantile([0.005, 0.995]),
                histtype='step', label=label)
    axes.set_title(page.label(column), fontsize='small')
  figure.legend(*axes.get_legend_handles_labels(), loc='outside upper right')
  weight, spread = page.run.open(page.run.held_out).weights, 2.0 / len(x)
  if weight is not None:  # Rows were drawn by these.
    spread += np.sum(weight**2) / np.sum(weight)**2
  chance = stats.kstwobign.isf(0.05) * np.sqrt(spread)
  yield _image(
      figure, f"Samples' {name} (column {first['#']}) differs most: its "
      f'distribution function by {first["KS distance"]:.3f} (by chance 1 of 20 '
      f'by {chance:.3f}), its mean is {first["of samples"]:.4g}, that of '
      f'{len(x)} held-out rows {first["mean"]:.4g}.',
      'wide' if width > 3 else '')
  yield _table(table.loc[shown])


def _pairs(page):
  x, samples = page.rows
  names = page.columns[:_MAX_PAIRED].sort_values('#').index
  if len(names) < 2:
    return
  gaps = (x[names].corr() - samples[names].corr()).abs().fillna(0.0).stack()
  pair = gaps.idxmax()
  yield _image(
      evaluation.plots.pair_plot([*map(page.label, names)], {
          'data': x[names], 'samples': samples[names]}),
      f'Pairs of {len(names)} columns, held-out rows and as many samples. Of '
      f'the correlations that of {pair[0]} and {pair[1]} differs most, by '
      f'{gaps[pair]:.2f}.', 'wide' if len(names) > 4 else '')


def _odd_rows(page):
  import pandas as pd  # Takes a second.

  part = page.run.held_out
  (used, scores), index = page.scores(part), page.run.index(part)
  lowest = np.argsort(scores, kind='stable')[:_NUM_ODD]
  arrays = page.run.open(part).arrays
  x = arrays['x']
  z = page.flow.standardize(x).numpy()
  z = np.nan_to_num(np.abs(z - np.nanmean(z, axis=0)), nan=np.inf)
  lowest, least = used[lowest], scores[lowest]
  # Labels of other types may be names of persons.
  is_numbered = index is not None and pd.api.types.is_numeric_dtype(index)
  name = index.name if is_numbered else 'row of the part'
  table = pd.DataFrame({
      'log p': least,
      'farthest column': np.array(page.flow.schema.names)[z[lowest].argmax(1)],
      'standard deviations': z[lowest].max(axis=1)})
  if page.shows_rows:
    table = pd.concat([table, page.frame(x.numpy()[lowest])], axis=1)
  table.index = index[lowest] if is_numbered else lowest
  yield _text(
      f'The {len(lowest)} least likely of {len(used)} held-out rows, and the '
      'column of each that is farthest from its mean; a row may also be odd as '
      f'a whole. The median of log p is {np.median(scores):.2f}.')
  yield _table(table.rename_axis(index=None, columns=name))
  if page.shows_rows and not page.flow.is_random_with(
      page.flow.evaluation_estimator()):
    for row, lines in explaining.explanations(
        page.flow, evaluation.example_files.read_rows(
            x.numpy()[lowest], page.flow, condition=arrays['condition'].numpy()[
                lowest] if 'condition' in arrays else None), _NUM_EXPLAINED):
      yield _text(f'{name} {table.index[row]}: {lines[0]["explanation"]}.')


def _images(page):
  test, spec = page.run.open(page.run.held_out), page.flow.condition_spec
  samples = page.draw(
      _NUM_IMAGES, datasets.split.some_conditions(test, _NUM_IMAGES))
  num_labels = spec.num_labels if spec else 0
  yield _grid(
      samples, num_labels if 1 < num_labels <= _IN_ROW else None,
      f'{_NUM_IMAGES} samples of the flow' + (
          ', those of a label in a column.' if num_labels else '.'))
  train, shown = page.part('train')[0], samples[:_IN_ROW]
  places, distances = metrics.pairwise_distances_argmin_min(*(
      part.reshape([len(part), -1]) for part in (shown, train)))
  rms = np.median(distances) / np.sqrt(shown[0].size)
  yield _grid(
      np.concatenate([shown, train[places]]), _IN_ROW, 'Samples, and below '
      f'each the nearest of {len(train):,} training images, in the median at a '
      f'root mean square difference of {rms:.3g} of 255.')
  picture = evaluation.reconstructions(
      page.flow, test, range(min(_IN_ROW, test.num_examples)))
  yield _grid(
      picture.images, picture.num_columns, 'Held-out images, and below each '
      'its reconstruction from latents: '
      f'{picture.report["num_images_changed"]} are changed.')


def _check_unweighted(page):
  """Raises `InvalidValueError` for rows that are drawn by their weights."""
  errors.check(
      page.run.open(page.run.held_out).weights is None, 'sample_weight',
      problem='draws rows more than once, which tests of rows do not allow for')


def _calibration(page):
  _check_unweighted(page)
  x, condition = page.part(page.run.held_out)
  x, size = x.to_numpy()[:_NUM_RANKED], min(len(x), _NUM_RANKED)
  draws = page.draw(
      size * _NUM_DRAWS, np.repeat(condition[:size], _NUM_DRAWS, axis=0), seed=1
  ).to_numpy().reshape([size, _NUM_DRAWS, -1])
  # Of equal values any order is as likely.
  ranks = statistics.ranks(x, draws) + np.random.default_rng(0).integers(
      np.sum(draws == x[:, np.newaxis], axis=1) + 1)
  band = statistics.simultaneous_band(size, _NUM_DRAWS)
  outside = [name for name, values in zip(
      page.flow.schema.names, ranks.T, strict=True) if not band.holds(values)]
  yield _image(
      evaluation.plots.ranks_figure({
          page.label(name): ranks[:, page.columns.at[name, '#'] - 1]
          for name in page.columns.index[:_MAX_PAIRED]}, band),
      f'Ranks of {size} held-out rows among {_NUM_DRAWS} draws given their '
      'condition: central 90 % intervals hold '
      f'{np.mean(np.abs(ranks - 49.5) < 45):.1%} of the values. Outside of the '
      f'band, not calibrated: {", ".join(outside) or "none"}.')


def _measures(page):
  _check_unweighted(page)
  x, given = page.part(page.run.held_out)
  train, given_train = page.part('train')
  size = min(page_data.MAX_TESTED, len(x), len(train))
  if not page.flow.is_image:
    test, *others = (
        part[:size] if c is None else np.column_stack([part[:size], c[:size]])
        for part, c in (
            (x, given), (page.rows[1], given), (train, given_train)))
    found, real = (sample_quality.classifier_two_sample_test(test, other)
                   for other in others)
    yield _text(
        f'Classifier: AUROC {found.auroc:.3f} (p = {found.p_value:.2g}) of '
        f'{size} samples against as many held-out rows, {real.auroc:.3f} (p = '
        f'{real.p_value:.2g}) of training rows against these. Chance is 0.5; '
        f'one from about {found.least_detectable:.3f} on shows a difference.')
    scores = [page.scores(name)[1] for name in ('train', page.run.held_out)]
    sizes = np.array([*map(len, scores)])
    auroc = metrics.roc_auc_score(
        np.repeat([1, 0], sizes), np.nan_to_num(np.concatenate(scores)))
    yield _text(
        f'Scores: log p of a training row is above that of a held-out one with '
        f'probability {auroc:.3f} +- '
        f'{np.sqrt((sizes.sum() + 1.0) / sizes.prod() / 12.0):.3f}; where that '
        'is above 0.5, scores tell which rows were trained on.')
  if given is None and not page.flow.is_image:
    samples = page.rows[1][:size]
  else:  # Those of a condition resemble its row: half are of either part.
    half = min(_NUM_IMAGES if page.flow.is_image else size, size) // 2
    samples = page.draw(2 * half, None if given is None else np.concatenate(
        [given[:half], given_train[:half]]), seed=2)
  copies = sample_quality.find_copies(*(np.nan_to_num(page.flow.standardize(
      tf.constant(part, page.flow.input_dtype)))
                                        for part in (samples, train, x[:size])))
  yield _text(
      f'Copies: {copies.share:.1%} +- {copies.stderr:.1%} of {len(samples)} '
      'samples have a training example nearer than all held-out ones '
      f'({copies.num_references} of either); 50 % if nothing is copied. '
      f'{copies.num_exact} samples equal one of {len(train):,} training '
      f'examples, and so do {copies.num_exact_held_out} held-out ones.')


def _bounds(page):
  report = page.run.report
  if report.get('lipschitz_bound_max') is not None:
    yield _text('Certified: no block has a Lipschitz constant above '
                f'{report["lipschitz_bound_max"]:.4f}.')
  if 'reconstruction_error_max' in report:
    yield _text(
        f'{report["num_reconstructions"]} test examples are mapped to latents '
        f'and back, with errors up to {report["reconstruction_error_max"]:.2g};'
        f' {report["inverse_num_not_converged"]} inverses did not converge.')
  yield _text(page.run.table, 'pre')


def _repeat(page):
  folder = os.path.abspath(page.run.workdir)
  flags = os.path.join(folder, files.RUN_FLAGS)
  if page.run.config.data.dataset in registries.DATASETS:
    yield _text(shlex.join(['tf_resflow', 'train', f'--flagfile={flags}',
                            '--workdir=NEW']), 'pre')
    yield _text(f'config = tf_resflow.load({folder!r}).run.config\n'
                "flow = tf_resflow.fit(config, 'NEW')", 'pre')
  else:
    yield _text("flow = tf_resflow.fit(DATA, 'NEW', ...)  # See the flags.",
                'pre')
  yield _text(files.read_text(flags), 'pre')
