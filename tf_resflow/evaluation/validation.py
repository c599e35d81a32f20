"""What a training run logs of its validation part."""

import tensorflow as tf

from tf_resflow import datasets
from tf_resflow import models
from tf_resflow.evaluation import classification
from tf_resflow.evaluation import likelihood
from tf_resflow.evaluation import statistics


class Validation:
  """Validates a flow as often as a run does, with the graphs of the first time.

  Args:
    model: a flow; every call takes the weights that it has then.
    strategy: see `likelihood.NegativeLogLikelihood`.
  """

  def __init__(
      self, model: models.Flow,
      strategy: tf.distribute.Strategy | None = None):
    self._unit = model.unit
    self._costs = likelihood.NegativeLogLikelihood(model, strategy=strategy)
    self._biased_costs = likelihood.NegativeLogLikelihood(
        model, strategy=strategy, own_estimator=True
    ) if model.is_biased else None
    self._classify = classification.Classification(
        model, strategy) if model.has_classifier else None

  def __call__(self, split: datasets.Split) -> dict[str, float]:
    """Validates.

    Args:
      split: the validation part, two examples or more.

    Returns:
      With the model's unit for UNIT, `validation_UNIT`, unbiased;
      `validation_UNIT_stderr` across examples, and
      `validation_estimator_stderr`. Where the estimators that the flow trains
      by are biased, also `validation_biased_UNIT`, by these; `validation_bias`,
      that less the unbiased number, and `validation_bias_stderr`. Of hybrid
      models, `validation_accuracy` and `validation_cross_entropy`, nats.
    """
    unit = self._unit
    costs = self._costs(split)
    summary = statistics.summarize_repeats(costs)
    row = {
        f'validation_{unit}': float(costs.mean()),
        f'validation_{unit}_stderr': summary.stderr,
        'validation_estimator_stderr': summary.estimator_stderr}
    if self._biased_costs is not None:
      biased = self._biased_costs(split)
      difference = statistics.summarize_repeats(biased - costs)
      row |= {
          f'validation_biased_{unit}': float(biased.mean()),
          'validation_bias': difference.mean,
          'validation_bias_stderr': difference.total_stderr}
    if self._classify is not None:
      row |= {f'validation_{name}': value.mean
              for name, value in self._classify(split).items()}
    return row
