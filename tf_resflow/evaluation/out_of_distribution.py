"""Scores that tell a model's data from other data, and how well they do.

The score of an image is `log p(x)`, high where the model expects images;
another one of hybrid models is the probability of the likeliest class. Flows
give some data that they never saw more density than their own (Nalisnick et
al., 2019, Do Deep Generative Models Know What They Don't Know?): then the AUROC
of `log p(x)` is below 1/2.

Every image is dequantised once, and its score is of that `x`. What is left to
chance is the estimate of the log-determinant, whose deviation stands beside
every score.
"""

from typing import Any, NamedTuple

import numpy as np
from scipy import special
import tensorflow as tf

from tf_resflow import errors
from tf_resflow import models
from tf_resflow import numerics
from tf_resflow.evaluation import batch_map
from tf_resflow.evaluation import classification
from tf_resflow.evaluation import examples as examples_lib
from tf_resflow.evaluation import likelihood
from tf_resflow.evaluation import roc
from tf_resflow.evaluation import statistics
from tf_resflow.numerics import random

MIN_REPEATS = 16


class ScoringRule(NamedTuple):
  """How scores are taken.

  Attributes:
    estimator: of the log-determinants.
    num_repeats: independent draws of it that are averaged; 1 where nothing is
      drawn.
    reason: why so, in words.
  """

  estimator: numerics.Estimator
  num_repeats: int
  reason: str


def scoring_rule(
    model: models.Flow, estimator: numerics.Estimator | None = None,
    num_repeats: int | None = None) -> ScoringRule:
  """Returns how the scores of a model are taken.

  Log-determinants are exact for events of up to 64 dimensions. Beyond, they are
  the means of 16 draws of `likelihood.default_estimator()`, or more. What an
  image gets does not depend on its batch. A flow that draws nothing, such as
  one of coupling blocks, is evaluated once. With noise channels the noise is
  drawn as well, and scores are means of the bound.

  Args:
    model: a flow.
    estimator: to use in place of those two.
    num_repeats: number of draws, 16 by default.

  Raises:
    InvalidValueError: if there are too few draws, or nothing is drawn and
      `num_repeats` is given.
  """
  if estimator is not None:
    reason = 'the estimator that was asked for'
    if estimator.is_biased:
      reason += ', whose bias no deviation shows'
  elif model.latent_size <= likelihood.MAX_EXACT_SIZE:
    estimator = numerics.Exact()
    reason = f'exact, as up to {likelihood.MAX_EXACT_SIZE} dimensions'
  else:
    estimator = likelihood.default_estimator()
    reason = (
        f'averaged draws, as beyond {likelihood.MAX_EXACT_SIZE} dimensions')
  if not model.draws(estimator):
    errors.check(
        num_repeats is None, 'num_repeats', num_repeats,
        'no such number where nothing is drawn')
    if not model.bijection.is_random:
      reason = 'no log-determinant of this flow is estimated'
    return ScoringRule(estimator, 1, reason)
  num_repeats = MIN_REPEATS if num_repeats is None else num_repeats
  errors.check(
      num_repeats >= MIN_REPEATS, 'num_repeats', num_repeats,
      f'a number from {MIN_REPEATS}',
      'The noise of fewer draws would pass for a difference between images.')
  return ScoringRule(estimator.per_example(), num_repeats, reason)


class Scores(NamedTuple):
  """What a model says of `N` images.

  Attributes:
    repeats: `[R, N]`, independent estimates of `log p(x)`, nats.
    class_log_prob: `log p(y|x)` `[N, K]`, nats; None without a classifier.
    label: `[N]`, -1 where there is none.
  """

  repeats: np.ndarray
  class_log_prob: np.ndarray | None
  label: np.ndarray

  @property
  def log_prob(self) -> np.ndarray:
    """The mean of the estimates, `[N]`, nats."""
    return self.repeats.mean(axis=0)

  @property
  def deviation(self) -> np.ndarray:
    """The standard deviation of that mean, `[N]`, nats."""
    return statistics.deviation_of_means(self.repeats)

  def arrays(self) -> dict[str, np.ndarray]:
    """Returns what a file keeps of every image."""
    arrays = {'log_prob': self.log_prob, 'log_prob_deviation': self.deviation}
    if self.class_log_prob is not None:
      arrays['class_log_prob'] = self.class_log_prob
    if np.any(self.label >= 0):
      arrays['label'] = self.label
    return arrays

  def report(self, model: models.Flow) -> dict[str, Any]:
    """Returns means, spread and deviation, a dict for JSON."""
    return {
        'num_examples': len(self.label),
        'bits_per_dim': float(model.bits_per_dim_of(self.log_prob).mean()),
        'log_prob_mean': float(self.log_prob.mean()),
        'log_prob_std': float(self.log_prob.std(ddof=1)),
        'deviation_rms': _root_mean_square(self.deviation),
        'deviation_max': float(self.deviation.max()),
    }


def score_examples(
    model: models.Flow, examples: examples_lib.Examples, rule: ScoringRule, *,
    batch_size: int = 128, seed: random.SeedLike = 0,
    strategy: tf.distribute.Strategy | None = None, verbose: int = 0,
) -> Scores:
  """Takes the scores of images, one by one.

  Args:
    model: a flow on images of integers.
    examples: the images.
    rule: see `scoring_rule`.
    batch_size: images per batch; it does not change the scores, but for
      rounding.
    seed: the scores are a function of it.
    strategy: see `likelihood.nll`.
    verbose: 1 shows a progress bar.
  """
  draws = [random.fold_in(seed, repeat).values
           for repeat in range(rule.num_repeats)]

  frozen = batch_map.frozen(model, strategy)

  def evaluate(images, labels, numbers, draw):
    pass_seed = random.whole_batch(random.numbered(draw, numbers))
    if model.has_classifier:
      log_prob, logits = frozen.log_prob_and_logits(
          images, seed=pass_seed, estimator=rule.estimator)
    else:
      log_prob = frozen.log_prob(
          images, seed=pass_seed, estimator=rule.estimator)
      logits = log_prob[:, tf.newaxis]
    return log_prob, logits, labels

  bar = batch_map.progress_bar(
      rule.num_repeats * examples.num_examples, verbose)
  batches = ((batch['x'], batch['label'], batch['index'], draw)
             for draw in draws for batch in examples.batches(batch_size))
  log_prob, logits, label = map(np.concatenate, zip(
      *batch_map.BatchMap(evaluate, strategy, shared=[3])(batches, bar),
      strict=True))
  shape = rule.num_repeats, examples.num_examples
  class_log_prob = None
  if model.has_classifier:
    # The mean probability, of passes that may draw on the way to the features.
    class_log_prob = special.logsumexp(
        classification.log_probs_of_logits(logits).reshape([*shape, -1]),
        axis=0) - np.log(rule.num_repeats)
  return Scores(log_prob.astype(np.float64).reshape(shape), class_log_prob,
                label[:examples.num_examples])


def compare_scores(
    model: models.Flow, inside: Scores, outside: Scores) -> dict[str, Any]:
  """Says how well the scores tell a model's own images from others.

  The noise of estimates blurs the order of scores. Where both samples are
  normal, AUROC is `Phi(d / s)`, `d` the difference of the means and `s^2` the
  sum of both variances, a share of which is that of the estimator: so
  `noise_share = sqrt(sum of mean squared deviations) / s` brings the
  `Phi^-1(AUROC)` of exact scores down by the factor `sqrt(1 - noise_share^2)`.

  Args:
    model: the flow.
    inside: of images like those that it was trained on.
    outside: of others.

  Returns:
    A dict for JSON: `auroc` of `log p(x)`, above 1/2 where the model finds its
    own images likelier, `auroc_stderr` (across images) and
    `auroc_estimator_stderr`; `noise_share`; of hybrids `class_auroc` and
    `class_auroc_stderr`, of the probability of the likeliest class, and where
    the labels are known `accuracy` and `accuracy_stderr`; and for the images
    `in` and `out` their number, mean bits/dim, mean and standard deviation of
    `log p(x)`, and the deviation of the estimator per image (root mean square
    and largest).
  """
  auroc = roc.auroc(inside.log_prob, outside.log_prob)
  parts = inside.report(model), outside.report(model)
  noise, spread = (
      np.hypot(*(part[key] for part in parts))
      for key in ('deviation_rms', 'log_prob_std'))
  report = {
      'auroc': auroc.value,
      'auroc_stderr': auroc.stderr,
      'auroc_estimator_stderr': roc.estimator_stderr(
          inside.repeats, outside.repeats),
      'noise_share': float(noise / spread) if noise else 0.0,
  }
  if inside.class_log_prob is not None:
    # The order of probabilities, without their rounding to 1.
    confidence = roc.auroc(*(
        scores.class_log_prob.max(axis=1) for scores in (inside, outside)))
    report['class_auroc'] = confidence.value
    report['class_auroc_stderr'] = confidence.stderr
    if np.all(inside.label >= 0):
      share = statistics.mean_and_stderr(
          inside.class_log_prob.argmax(axis=1) == inside.label)
      report |= {'accuracy': share.mean, 'accuracy_stderr': share.stderr}
  for name, part in zip(('in', 'out'), parts, strict=True):
    report |= {f'{name}_{key}': value for key, value in part.items()}
  return report


def _root_mean_square(values):
  return float(np.sqrt(np.mean(np.square(values))))
