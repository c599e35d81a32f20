"""What a flow with a classifier does: a hybrid model."""

from typing import Any

import keras
import tensorflow as tf

from tf_resflow import errors
from tf_resflow import numerics
from tf_resflow.numerics import random


class Classifies:
  """The methods of `Flow` that take its classifier, if it has one.

  Attributes:
    classifier: a layer from the features that the bijection lets out to logits;
      None where there is none.
  """

  classifier: keras.layers.Layer | None

  @property
  def has_classifier(self) -> bool:
    """Whether the flow is a hybrid model."""
    return self.classifier is not None

  def log_prob_and_logits(
      self, x: tf.Tensor, condition: Any = None, seed: random.SeedLike = None,
      estimator: numerics.Estimator | str | None = None,
      log_det_weight: tf.Tensor | None = None) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns what `log_prob` does and the class logits, from one pass.

    The arguments are those of `log_prob`.

    Returns:
      `log_prob`: `[B]`, nats; `logits`: `[B, num_classes]`.

    Raises:
      InvalidValueError: if the model has no classifier.
    """
    self._check_has_classifier()
    y, log_weight = self.embed(x, condition, seed)
    result = self.bijection.transform(
        y, condition=condition, seed=self._seeds(seed)[1],
        estimator=numerics.Estimator.get(estimator))
    log_prob = self._log_density(result.y, result.log_det, log_det_weight)
    return log_prob + log_weight, self.classifier(list(result.features))

  def classify(self, x: tf.Tensor, condition: Any = None,
               seed: random.SeedLike = None) -> tf.Tensor:
    """Returns the class logits `[B, num_classes]`; takes no log-determinant.

    Args:
      x: `[B, ...]`.
      condition: see `transform`.
      seed: of an embedding that draws.

    Raises:
      InvalidValueError: if the model has no classifier.
    """
    self._check_has_classifier()
    return self.classifier(list(self.transform(
        x, condition, seed, estimator=numerics.Skip()).features))

  def _check_has_classifier(self):
    errors.check(
        self.has_classifier, 'num_classes', 0, 'a number from 2',
        f'{self.name} has no classifier: hybrid models are configured with '
        'num_classes.')
