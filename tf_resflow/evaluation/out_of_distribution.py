"""Out-of-distribution detection by the scores of a flow.

The score of an image is `log p(x)`; hybrid models have another one, the
probability of the likeliest class. Flows assign some other data higher
densities than their own (Nalisnick et al., 2019, Do Deep Generative Models Know
What They Don't Know?): then the AUROC of `log p(x)` is below 1/2.
"""

from collections.abc import Iterator, Sequence
import os
from typing import Any, NamedTuple

import numpy as np
from numpy import typing as npt
from scipy import special
from scipy import stats

from tf_resflow import datasets
from tf_resflow import models
from tf_resflow.evaluation import batch_map
from tf_resflow.evaluation import likelihood
from tf_resflow.evaluation import plots
from tf_resflow.evaluation import settings as settings_lib
from tf_resflow.evaluation import statistics

COLORS = ('#1f77b4', '#ff7f0e')
_NUM_BINS = 60
# The key of the area under the ROC curve of every score.
_SCORES = {'auroc': 'log p(x)',
           'class_auroc': 'the probability of the likeliest class'}


def sentences(report: dict[str, Any], names: Sequence[str]) -> Iterator[str]:
  """Yields the results of `compare_scores` as sentences, with both names."""
  for key, score in _SCORES.items():
    if key in report:
      side = 'above' if report[key] >= 0.5 else 'BELOW'
      yield (f'{score}: AUROC {report[key]:.4f} +- '
             f'{report[f"{key}_stderr"]:.4f}; that of {names[0]} (in) is more '
             f'often {side} that of {names[1]} (out)')
      if not report[f'{key}_stderr']:
        yield ('note: the scores do not overlap, or are all equal: the formula '
               'of the standard error then gives 0.')


class Scores(NamedTuple):
  """Scores of `N` images.

  Attributes:
    repeats: `[R, N]`, independent estimates of `log p(x)`, nats.
    class_log_prob: `log p(y|x)` `[N, K]`, nats; None without a classifier.
    label: `[N]`, -1 where there is none.
  """

  repeats: np.ndarray
  class_log_prob: Any
  label: np.ndarray

  @property
  def log_prob(self) -> np.ndarray:
    """The mean of the estimates, `[N]`."""
    return self.repeats.mean(axis=0)

  @property
  def stderr(self) -> np.ndarray:
    """The standard error of that mean, `[N]`."""
    return statistics.stderr_per_example(self.repeats)

  def arrays(self) -> dict[str, np.ndarray]:
    """Returns the results for every image, as arrays for a file."""
    arrays = {'log_prob': self.log_prob, 'log_prob_stderr': self.stderr}
    if self.class_log_prob is not None:
      arrays['class_log_prob'] = self.class_log_prob
    if np.any(self.label >= 0):
      arrays['label'] = self.label
    return arrays

  def report(self, model: models.Flow) -> dict[str, Any]:
    """Returns means, standard deviations and errors, a dict for JSON."""
    return {
        'num_examples': len(self.label),
        'bits_per_dim': float(model.bits_per_dim_of(self.log_prob).mean()),
        'log_prob_mean': float(self.log_prob.mean()),
        'log_prob_std': float(self.log_prob.std(ddof=1)),
        'stderr_rms': float(np.sqrt(np.mean(self.stderr**2))),
        'stderr_max': float(self.stderr.max())}


def score_examples(
    model: models.Flow, split: datasets.Split,
    settings: settings_lib.EvaluationSettings | None = None, *,
    noise_seed: int = 0, num_examples: int | None = None,
    **changes: Any) -> Scores:
  """Estimates the scores of single images, integers or dequantised ones.

  Args:
    model: a flow on images of integers.
    settings: those of `likelihood.scoring_settings` by default.
    noise_seed: of the noise of integers.
    **changes: what takes the place of single settings. The size of batches does
      not change the scores, but for rounding.
  """
  used = settings_lib.EvaluationSettings.of(
      model, settings or likelihood.scoring_settings(model), **changes)
  num_examples = num_examples or split.num_examples
  examples = used.batches(split, num_examples, noise_seed)

  def scores(model, *inputs, **options):
    density = model.density(*inputs, **options)
    return density.log_prob, *(
        [model.logits(density.features)] if model.has_classifier else [])

  log_prob, *logits = zip(*likelihood.LogProbs(
      batch_map.frozen(model, used.strategy), used, scores, per_example=True
  ).draws(lambda repeat: examples, num_examples), strict=True)
  # The mean probability over passes, whose features may be random.
  class_log_prob = special.logsumexp(
      special.log_softmax(np.float64(logits[0]), axis=-1), axis=0
  ) - np.log(used.num_repeats) if logits else None
  return Scores(np.float64(log_prob), class_log_prob, np.concatenate(
      [batch['label'] for batch in examples]))


def compare_scores(
    model: models.Flow, inside: Scores, outside: Scores) -> dict[str, Any]:
  """Measures how well scores separate a model's own images from others.

  The noise of estimates blurs the order of scores. Where both samples are
  normal, AUROC is `Phi(d / s)`, `d` the difference of the means and `s^2` the
  sum of both variances, a share of which is that of the estimator: so
  `noise_share = sqrt(sum of mean squared standard errors) / s` reduces the
  `Phi^-1(AUROC)` of exact scores by the factor `sqrt(1 - noise_share^2)`.

  Returns:
    A dict for JSON: `auroc` of `log p(x)`, above 1/2 if the model finds its
    own images likelier, `auroc_stderr` (across images) and
    `auroc_estimator_stderr`; `noise_share`; of hybrids `class_auroc` and
    `class_auroc_stderr`, of the probability of the likeliest class, and where
    the labels are known `accuracy` and `accuracy_stderr`; and for the images
    `in` and `out` their number, mean bits/dim, mean and standard deviation of
    `log p(x)`, and the standard error of the estimator per image (root mean
    square and largest).
  """
  auroc = measure_auroc(inside.log_prob, outside.log_prob)
  parts = inside.report(model), outside.report(model)
  noise, spread = (
      np.hypot(*(part[key] for part in parts))
      for key in ('stderr_rms', 'log_prob_std'))
  report = {
      **auroc.report('auroc'),
      'auroc_estimator_stderr': estimator_stderr(
          inside.repeats, outside.repeats),
      'noise_share': float(noise / spread) if noise else 0.0}
  if inside.class_log_prob is not None:
    # Log-probabilities have the same order, without rounding to 1.
    report |= measure_auroc(*(
        scores.class_log_prob.max(axis=1) for scores in (inside, outside)
    )).report('class_auroc')
    if np.all(inside.label >= 0):
      report |= likelihood.accuracy_and_cross_entropy(
          inside.class_log_prob, inside.label)['accuracy'].report('accuracy')
  for name, part in zip(('in', 'out'), parts, strict=True):
    report |= {f'{name}_{key}': value for key, value in part.items()}
  return report


def measure_auroc(
    inside: npt.ArrayLike, outside: npt.ArrayLike) -> statistics.MeanAndStderr:
  """Returns the AUROC of a score, with its standard error across examples.

  With scores `X_1 ... X_m` inside and `Y_1 ... Y_n` outside,

    AUROC = sum_ij psi(X_i, Y_j) / (m n),
    psi(x, y) = 1 if x > y, 1/2 if x = y, else 0,

  which is the statistic of Mann and Whitney over `m n`, and an unbiased
  estimate of `P(X > Y) + P(X = Y) / 2`. Below 1/2 the examples outside have the
  higher scores.

  The standard error is that of DeLong et al., which assumes no distribution,
  from two independent means, with sample variances:

    stderr^2 = var(V) / m + var(W) / n,
    V_i = mean_j psi(X_i, Y_j),   W_j = mean_i psi(X_i, Y_j).

  They follow from ranks, ties at their mean: `V_i` is the rank of `X_i` in both
  samples together less that in its own, over `n`, and `1 - W_j` likewise. If
  the samples do not overlap it is 0, which only means that no example lay in
  between.

  Args:
    inside, outside: `[m]` and `[n]`, 2 or more finite numbers each.

  Example:
    >>> measure_auroc([0.5, 0.7, 0.9], [0.1, 0.7]).mean
    0.75

  References:
    DeLong, DeLong and Clarke-Pearson, 1988, Comparing the Areas under Two or
    More Correlated Receiver Operating Characteristic Curves; Sun and Xu, 2014,
    Fast Implementation of DeLong's Algorithm (ranks).
  """
  parts = [statistics.as_finite(scores, name, least=2) for name, scores in (
      ('inside', inside), ('outside', outside))]
  ranks = np.split(stats.rankdata(np.concatenate(parts)), [len(parts[0])])
  shares = [(ranks[i] - stats.rankdata(part)) / len(parts[1 - i])
            for i, part in enumerate(parts)]
  return statistics.MeanAndStderr(
      float(shares[0].mean()), float(np.hypot(*map(stats.sem, shares))),
      len(ranks[0]) + len(ranks[1]))


def estimator_stderr(inside: np.ndarray, outside: np.ndarray) -> float:
  """Returns the standard error of an AUROC that the estimator causes.

  It is that of the jackknife over the repeats: with `A_r` the AUROC of scores
  averaged over all repeats but `r`,

    stderr^2 = (R - 1) / R sum_r (A_r - mean A)^2.

  Args:
    inside, outside: `[R, m]` and `[R, n]`, independent estimates of all scores;
      `R = 1` stands for exact ones, whose error is 0.

  References:
    Efron and Stein, 1981, The Jackknife Estimate of Variance.
  """
  num_repeats = len(inside)
  if num_repeats == 1:
    return 0.0
  means = [[(a.sum(axis=0) - a[r]) / (num_repeats - 1)
            for a in (inside, outside)] for r in range(num_repeats)]
  values = [measure_auroc(*pair).mean for pair in means]
  return float(np.sqrt((num_repeats - 1) * np.var(values)))


def save_histograms(
    path: str | os.PathLike, names: Sequence[str], report: dict[str, Any],
    scores: Sequence[Scores]) -> None:
  """Plots the histograms of two samples, one panel per score.

  All bins of a panel have one width, and either histogram the area 1. An error
  bar shows the standard error of the estimates. See `compare_scores`.
  """
  panels = [('log p(x), nats', [part.log_prob for part in scores])]
  if 'class_auroc' in report:
    panels.append(('probability of the likeliest class', [
        np.exp(part.class_log_prob.max(axis=1)) for part in scores]))
  figure = plots.new_figure(5.2 * len(panels), 3.4)
  axes = figure.subplots(1, len(panels), squeeze=False)[0]
  for axis, key, (label, samples) in zip(axes, _SCORES, panels, strict=False):
    edges = np.histogram_bin_edges(np.concatenate(samples), _NUM_BINS)
    for name, sample, color in zip(names, samples, COLORS, strict=True):
      axis.hist(
          sample, edges, density=True, histtype='stepfilled', edgecolor=color,
          facecolor=(color, 0.4), label=f'{name} ({len(sample)})')
    stderr = np.hypot(
        report['in_stderr_rms'], report['out_stderr_rms']) / 2.0**0.5
    if stderr and key == 'auroc':
      axis.errorbar(
          0.5 * (edges[0] + edges[-1]), 0.96 * axis.get_ylim()[1],
          xerr=stderr, color='black', capsize=3,
          label='estimator, one standard error')
    axis.set(xlabel=label, ylabel='density', title=(
        f'AUROC {report[key]:.3f} +- {report[f"{key}_stderr"]:.3f}'))
    axis.legend(frameon=False)
  figure.savefig(path, dpi=120)
