"""Classification by Bayes' rule, with a flow p(x|y) of labels y."""

from typing import Any

import numpy as np
from scipy import special

from tf_resflow import datasets
from tf_resflow import models
from tf_resflow.evaluation import batch_map
from tf_resflow.evaluation import likelihood
from tf_resflow.evaluation import results as results_lib
from tf_resflow.evaluation import settings as settings_lib
from tf_resflow.evaluation import statistics


def log_frequencies(split: datasets.Split) -> np.ndarray:
  """Returns the log-frequencies of the labels that are conditions, `[K]`."""
  labels = datasets.split.first_conditions(split, split.num_examples)
  counts = np.bincount(labels, split.weights, split.num_condition_labels)
  with np.errstate(divide='ignore'):
    return np.log(counts / counts.sum())


def classify(
    model: models.Flow, split: datasets.Split, log_prior: np.ndarray, *,
    settings: settings_lib.EvaluationSettings | None = None,
    num_examples: int | None = None, **changes: Any) -> results_lib.Results:
  """Classifies examples by estimates of `log p(x|y)` for every label.

  Every image is dequantised once. For one example all labels share the noise,
  the probes and the numbers of terms.

  Args:
    model, split: a flow and data whose conditions are labels.
    log_prior: see `log_frequencies`.
    settings: those of `likelihood.scoring_settings` by default.
    num_examples: see `likelihood.nll`.
    **changes: what takes the place of single settings. The size of batches does
      not change the scores, but for rounding.

  Returns:
    Numbers: `accuracy` and `cross_entropy` with their `_stderr`; how scores are
    estimated; and of their standard errors the root mean squares:
    `class_score_stderr_rms` of `log p(x|y)`,
    `class_score_difference_stderr_rms` of that minus its mean over labels.
    Arrays `[N, K]`: `class_log_prob`, `log p(y|x)`; `class_log_density`,
    `log p(x|y)`, and its `_stderr`; nats.
  """
  num_labels = len(log_prior)
  num_examples = num_examples or split.num_examples
  used = settings_lib.EvaluationSettings.of(
      model, settings or likelihood.scoring_settings(model), **changes)
  examples = used.batches(split, num_examples)
  repeats = likelihood.LogProbs(
      batch_map.frozen(model, used.strategy), used, per_example=True)(
          lambda repeat: (
              {**batch, 'condition': np.full(len(batch['x']), label)}
              for label in range(num_labels) for batch in examples),
          num_labels * num_examples,
          f"Classifying by Bayes' rule: {used.reason}."
      ).reshape([-1, num_labels, num_examples]).swapaxes(1, 2)  # [R, N, K]
  log_density = repeats.mean(axis=0)
  stderr, difference_stderr = map(statistics.stderr_per_example, (
      repeats, repeats - repeats.mean(axis=2, keepdims=True)))
  log_prob = special.log_softmax(log_density + log_prior, axis=1)
  accuracy, cross_entropy = likelihood.accuracy_and_cross_entropy(
      log_prob, datasets.split.first_conditions(split, num_examples),
      None if split.weights is None else split.weights[:num_examples]).values()
  return results_lib.Results(numbers={
      **accuracy.report('accuracy'), **cross_entropy.report('cross_entropy'),
      'accuracy_is': "by Bayes' rule from log p(x|y) and the frequencies of "
      'the labels in the training part',
      'accuracy_num_examples': num_examples,
      'class_score_estimator': used.estimator.spec(),
      'class_score_num_repeats': used.num_repeats,
      'class_score_stderr_rms': float(np.sqrt(np.mean(stderr**2))),
      'class_score_difference_stderr_rms': float(
          np.sqrt(np.mean(difference_stderr**2)))
  }, arrays={'class_log_prob': log_prob, 'class_log_density': log_density,
             'class_log_density_stderr': stderr})
