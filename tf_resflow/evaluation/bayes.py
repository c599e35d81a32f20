"""Classification by Bayes' rule, with a flow p(x|y) of labels y."""

from typing import Any, NamedTuple

import numpy as np
from scipy import special

from tf_resflow import datasets
from tf_resflow import models
from tf_resflow.evaluation import batch_map
from tf_resflow.evaluation import likelihood
from tf_resflow.evaluation import statistics


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
  rule: likelihood.ScoringRule

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


def classify(
    model: models.Flow, split: datasets.Split, log_prior: np.ndarray, *,
    rule: likelihood.ScoringRule | None = None,
    num_examples: int | None = None, **settings: Any) -> ClassScores:
  """Estimates `log p(x|y)` of every example for every label.

  Every image is dequantised once. For one example all labels share the noise,
  the probes and the numbers of terms.

  Args:
    model, split: a flow and data whose conditions are labels.
    log_prior: see `log_frequencies`.
    rule: that of `likelihood.scoring_rule` by default.
    num_examples: see `likelihood.nll`.
    **settings: others of `EvaluationSettings`. The size of batches
      does not change the scores, but for rounding.
  """
  num_labels = len(log_prior)
  rule = rule or likelihood.scoring_rule(model)
  num_examples = num_examples or split.num_examples
  used = rule.settings(model, **settings)
  examples = used.batches(split, num_examples)
  repeats = likelihood.LogProbs(
      batch_map.frozen(model, used.strategy), used, per_example=True)(
          lambda repeat: (
              {**batch, 'condition': np.full(len(batch['x']), label)}
              for label in range(num_labels) for batch in examples),
          num_labels * num_examples,
          f"Classifying by Bayes' rule: {rule.reason}.")
  return ClassScores(
      repeats.reshape([-1, num_labels, num_examples]).swapaxes(1, 2),
      log_prior, datasets.split.first_conditions(split, num_examples), rule)
