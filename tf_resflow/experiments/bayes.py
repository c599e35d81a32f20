"""Classification by Bayes' rule, with a flow p(x|y) of labels y."""

from typing import Any, NamedTuple

import numpy as np
from scipy import special
import tensorflow as tf

from tf_resflow import datasets
from tf_resflow import evaluation
from tf_resflow import models
from tf_resflow.evaluation import batch_map
from tf_resflow.evaluation import likelihood
from tf_resflow.evaluation import statistics
from tf_resflow.numerics import random


class ClassScores(NamedTuple):
  """Estimates of `log p(x|y)` of `N` examples, for every label, in nats.

  Attributes:
    repeats: `[R, N, K]`, independent estimates of `log p(x|y)`; within one
      repeat of an example all labels share the random draws.
    log_prior: `[K]`, `log p(y)`.
    label: `[N]`.
    rule: how the estimates were made.
  """

  repeats: np.ndarray
  log_prior: np.ndarray
  label: np.ndarray
  rule: evaluation.ScoringRule

  @property
  def class_log_prob(self) -> np.ndarray:
    """`log p(y|x)`, `[N, K]`."""
    return special.log_softmax(
        self.repeats.mean(axis=0) + self.log_prior, axis=1)

  @property
  def stderr(self) -> np.ndarray:
    """The standard error of the mean of `log p(x|y)`, `[N, K]`."""
    return statistics.stderr_per_example(self.repeats)

  @property
  def difference_stderr(self) -> np.ndarray:
    """The standard error of `log p(x|y)` minus its mean over labels."""
    return statistics.stderr_per_example(
        self.repeats - self.repeats.mean(axis=2, keepdims=True))

  def report(self) -> dict[str, Any]:
    """Returns the accuracy and the cross entropy, a dict for JSON."""
    found = likelihood.accuracy_and_cross_entropy(
        self.class_log_prob, self.label)
    return {
        **found['accuracy'].report('accuracy'),
        **found['cross_entropy'].report('cross_entropy'),
        'accuracy_is': "by Bayes' rule from log p(x|y) and the frequencies of "
        'the labels in the training part',
        'accuracy_num_examples': len(self.label),
        'class_score_estimator': self.rule.estimator.spec(),
        'class_score_num_repeats': self.rule.num_repeats,
        **{f'class_score_{name}_rms': float(np.sqrt(np.mean(values**2)))
           for name, values in (
               ('stderr', self.stderr),
               ('difference_stderr', self.difference_stderr))}}

  def arrays(self) -> dict[str, np.ndarray]:
    """Returns the results for every example, as arrays for a file."""
    return {'class_log_prob': self.class_log_prob,
            'class_log_density': self.repeats.mean(axis=0),
            'class_log_density_stderr': self.stderr}


def log_frequencies(split: datasets.Split) -> np.ndarray:
  """Returns the log-frequencies of the labels that are conditions, `[K]`."""
  labels = datasets.split.first_conditions(split, split.num_examples)
  counts = np.bincount(labels, minlength=split.num_condition_labels)
  with np.errstate(divide='ignore'):
    return np.log(counts / counts.sum())


def main(
    model: models.Flow, split: datasets.Split, log_prior: np.ndarray, *,
    rule: evaluation.ScoringRule | None = None,
    batch_size: int = 128, seed: int = 0, num_examples: int | None = None,
    strategy: tf.distribute.Strategy | None = None, verbose: int = 0,
) -> ClassScores:
  """Estimates `log p(x|y)` of every example for every label.

  Every image is dequantised once. For one example all labels share the noise,
  the probes and the numbers of terms.

  Args:
    model, split: a flow and data whose conditions are labels.
    log_prior: see `log_frequencies`.
    rule: that of `evaluation.scoring_rule` by default.
    batch_size, seed, num_examples, strategy, verbose: see `evaluation.nll`. The
      size of batches does not change the scores, but for rounding.
  """
  num_labels = len(log_prior)
  rule = rule or evaluation.scoring_rule(model)
  num_examples = num_examples or split.num_examples
  draws = [random.fold_in(seed, repeat).values
           for repeat in range(rule.num_repeats)]
  frozen = batch_map.frozen(model, strategy)

  def evaluate(x, numbers, draw, label):
    return frozen.log_prob(
        x, label, seed=random.whole_batch(random.numbered(draw, numbers)),
        estimator=rule.estimator)

  examples = datasets.evaluation_batches(
      split, batch_size=batch_size, seed=seed, num_examples=num_examples)
  bar = batch_map.progress_bar(
      rule.num_repeats * num_labels * num_examples, verbose,
      f"Classifying by Bayes' rule: {rule.reason}.")
  batches = ((batch['x'], batch['index'], draw, tf.constant(label))
             for draw in draws for label in range(num_labels)
             for batch in examples)
  repeats = np.concatenate(list(batch_map.BatchMap(
      evaluate, strategy, shared=[2, 3])(batches, bar)))
  return ClassScores(
      repeats.astype(np.float64).reshape([
          rule.num_repeats, num_labels, num_examples]).swapaxes(1, 2),
      log_prior, datasets.split.first_conditions(split, num_examples), rule)
