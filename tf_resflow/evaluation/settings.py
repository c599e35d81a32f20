"""Settings that the evaluations of a flow share."""

import dataclasses
from typing import Any

import tensorflow as tf

from tf_resflow import datasets
from tf_resflow import layers
from tf_resflow import models
from tf_resflow import numerics

# Default batch size; that of short vectors is larger: most vectors, and most
# numbers in them.
_NUM_EXAMPLES = 128
_MAX_VECTORS = 10_000
_MAX_NUMBERS = 80_000


def default_batch_size(
    model: models.Flow, estimator: layers.EstimatorLike = None,
    largest: int | None = None) -> int:
  """Returns the default batch size for a model and an estimator.

  Args:
    estimator: of its log-determinants; None if they are not computed.
    largest: the batch size unless the estimator limits it. By default 128, and
      up to 10,000 for short vectors: launching operations takes most of the
      time then.

  Raises:
    InvalidValueError: if the events are too large for the estimator.
  """
  if largest is None:
    largest = _NUM_EXAMPLES if len(model.event_shape) > 1 else max(
        _NUM_EXAMPLES, min(_MAX_VECTORS, _MAX_NUMBERS // model.latent_size))
  estimator = numerics.Estimator.get(estimator)
  limit = estimator.max_batch_size(
      model.latent_size, tf.as_dtype(model.compute_dtype)
  ) if estimator is not None and model.is_random else None
  num_points = max(1, model.augmentation.num_points)
  return max(1, (
      largest if limit is None else min(largest, limit)) // num_points)


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
  """Settings of evaluations.

  Functions of this package take `settings`, or single ones by their names,
  which replace those of `settings`: they are the arguments of `of`. Those
  that a function has no use for, as an inverse for estimators, are ignored.

  Attributes:
    batch_size: examples per batch, each on one device; `default_batch_size` by
      default.
    num_repeats: `R`, independent repeats, at least 8; a deterministic
      evaluation has one.
    num_probes: independent draws of the estimator (and of an augmentation)
      per example and repeat, at the same noise, which are averaged.
    seed: the result is a function of it.
    estimator: of the log-determinant, or its spec; by default that of
      `Flow.evaluation_estimator`. 'training' stands for those of the model's
      blocks, with the default batch size of evaluation, so that the noise is
      the same.
    strategy: in whose scope the model was made; its devices share the batches,
      and the result does not depend on their number.
    verbose: 1 shows a progress bar.
    reason: of the estimator and the repeats, in words.
  """

  batch_size: Any = None
  num_repeats: int = 8
  num_probes: int = 1
  seed: int = 0
  estimator: Any = None
  strategy: tf.distribute.Strategy | None = None
  verbose: int = 0
  reason: str = ''

  @classmethod
  def of(cls, model: models.Flow, settings: 'EvaluationSettings | None' = None,
         *, dequantizes: bool = False, **changes: Any) -> 'EvaluationSettings':
    """Returns settings with the defaults of a model in place of None.

    Args:
      model: a flow.
      settings: those of the class by default.
      dequantizes: see `Flow.evaluation_estimator`.
      **changes: what takes the place of single settings.
    """
    settings = dataclasses.replace(settings or cls(), **changes)
    is_training = settings.estimator == 'training'
    estimator = (
        model.evaluation_estimator(dequantizes=dequantizes)
        if settings.estimator is None or is_training
        else numerics.Estimator.get(settings.estimator))
    return dataclasses.replace(
        settings, estimator='training' if is_training else estimator,
        batch_size=settings.batch_size or default_batch_size(
            model, estimator))

  def batches(
      self, split: datasets.Split, num_examples: int | None = None,
      seed: int | None = None) -> tf.data.Dataset:
    """Returns `datasets.evaluation_batches`, by default with this seed."""
    return datasets.evaluation_batches(
        split, batch_size=self.batch_size, num_examples=num_examples,
        seed=self.seed if seed is None else seed)
