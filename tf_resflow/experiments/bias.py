"""The bias of the log-densities by which a flow trains.

Biased and unbiased estimates are made on the same examples and dequantisation
noise, so that their difference is the bias of the estimator alone.
"""

from typing import Any

from tf_resflow import datasets
from tf_resflow import evaluation
from tf_resflow import models
from tf_resflow.evaluation import statistics


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
