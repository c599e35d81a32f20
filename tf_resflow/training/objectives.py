"""What training minimises, each a value: bits/dim, nats, hybrid, classes.

To add one: a subclass of `Objective` and a line in `registries.OBJECTIVES`.
"""

from collections.abc import Mapping
import dataclasses
import math
from typing import Any, ClassVar, NamedTuple

import tensorflow as tf

from tf_resflow import errors
from tf_resflow import models
from tf_resflow.numerics import random
from tf_resflow.specs import fields
from tf_resflow.specs import registries
from tf_resflow.specs import spec

Metrics = dict[str, tf.Tensor]


class Batch(NamedTuple):
  """What an objective is computed of.

  Attributes:
    x: `[B, ...]`, events: images dequantised to [0, 1), or vectors.
    labels: int32 `[B]`; None where there are none.
    condition: `[B, ...]`, what flows `p(x|c)` depend on; None elsewhere.
  """

  x: tf.Tensor
  labels: tf.Tensor | None = None
  condition: tf.Tensor | None = None


@dataclasses.dataclass(frozen=True)
class Objective(spec.Specified):
  """A loss of a model and a batch: its gradients train, its metrics are logged.

  Losses and metrics are means over the examples, so that those of equal parts
  of a batch (of replicas, of accumulation) average to those of the batch.

  Attributes:
    metric_names: the keys of the metrics, columns of metrics.csv; the first is
      what a progress bar shows.
    density_metrics: those among them that a log-determinant is part of. Where
      the model estimates it with a bias, their columns are called
      `biased_NAME`.

  Example:
    >>> objectives.Objective.get('hybrid:0.5')
    Hybrid(nll_weight=0.5)
  """

  registry: ClassVar = registries.OBJECTIVES
  metric_names: ClassVar[tuple[str, ...]]
  density_metrics: ClassVar[tuple[str, ...]] = ()

  def __call__(
      self, model: models.Flow, batch: Batch, seed: random.SeedLike,
      log_det_weight: tf.Tensor | None = None) -> tuple[tf.Tensor, Metrics]:
    """Returns the loss and its metrics, scalars.

    Args:
      model: to be trained.
      batch: of `B` examples.
      seed: of everything that is drawn; equal seeds give equal losses.
      log_det_weight: a scalar; gradients, but no values, are those with
        log-determinants times it. Not given where they are whole.
    """
    raise NotImplementedError

  def check(self, model: models.Flow) -> None:
    """Raises `InvalidValueError` for a model that it is no objective of."""

  def loss_of(self, metrics: Mapping[str, Any], event_size: int) -> Any:
    """Returns the loss that metrics amount to, as of a validation.

    Args:
      metrics: numbers or scalars, by names.
      event_size: number of dimensions of an event.
    """
    return metrics[self.metric_names[0]]


class _Density(Objective):
  """The mean of what `-log p(x)` is in some unit."""

  def to_loss(self, model: models.Flow, log_prob: tf.Tensor) -> tf.Tensor:
    """Returns the loss per example, `[B]`, for log p(x) in nats."""
    raise NotImplementedError

  def __call__(
      self, model: models.Flow, batch: Batch, seed: random.SeedLike,
      log_det_weight: tf.Tensor | None = None) -> tuple[tf.Tensor, Metrics]:
    loss = tf.reduce_mean(self.to_loss(model, model.log_prob(
        batch.x, batch.condition, seed=seed, estimator='own',
        log_det_weight=log_det_weight)))
    return loss, {self.metric_names[0]: loss}


@dataclasses.dataclass(frozen=True)
class BitsPerDim(_Density):
  """The density of dequantised images: mean bits per dimension."""

  metric_names: ClassVar = ('bits_per_dim',)
  density_metrics: ClassVar = metric_names

  def check(self, model: models.Flow) -> None:
    errors.check(
        model.num_levels is not None, 'objective', self.spec(),
        f'another one, since {model.name} is no flow of images', 'Give nats.')

  def to_loss(self, model: models.Flow, log_prob: tf.Tensor) -> tf.Tensor:
    return model.bits_per_dim_of(log_prob)


@dataclasses.dataclass(frozen=True)
class Nats(_Density):
  """The density of vectors: mean of `-log p(x)`, nats."""

  metric_names: ClassVar = ('nats',)
  density_metrics: ClassVar = metric_names

  def to_loss(self, model: models.Flow, log_prob: tf.Tensor) -> tf.Tensor:
    return -log_prob


class _OfClasses(Objective):
  """One that learns labels."""

  def check(self, model: models.Flow) -> None:
    errors.check(
        model.has_classifier, 'objective', self.spec(),
        f'another one, since {model.name} has no classifier', 'Give --hybrid.')
    condition = model.condition_spec
    errors.check(
        condition is None or not condition.num_labels, 'hybrid', 'true',
        'false where the condition is a label',
        'The classifier would be given what it is to learn.')


@dataclasses.dataclass(frozen=True)
class CrossEntropy(_OfClasses):
  """Classification alone: mean of `-log p(y|x)`, nats.

  The hybrid loss with `lambda = 0`, without the density: no log-determinant is
  taken, no series runs, and there are no bits/dim to log.
  """

  metric_names: ClassVar = ('cross_entropy', 'accuracy')

  def __call__(
      self, model: models.Flow, batch: Batch, seed: random.SeedLike,
      log_det_weight: tf.Tensor | None = None) -> tuple[tf.Tensor, Metrics]:
    metrics = _classification_metrics(
        model.classify(batch.x, batch.condition, seed=seed), batch.labels)
    return metrics['cross_entropy'], metrics


@dataclasses.dataclass(frozen=True)
class Hybrid(_OfClasses):
  """Density and classes: mean of `-(lambda log p(x) + log p(y|x))`, nats.

  The authors' code minimises the same over ln 2, in bits: for `lambda = 1`
  `D bits/dim + cross entropy / ln 2`, for `lambda = 1/D` (its `scale_dim`)
  `bits/dim + cross entropy / ln 2`. Adam's update does not change when all
  gradients are scaled, but clipping sees the scale: gradients here are ln 2 of
  theirs, and what they clip at norm 1 is clipped here at `clip_norm = ln 2 =
  0.693`. (`BitsPerDim` and `CrossEntropy` have the scale of theirs.)

  Attributes:
    nll_weight: `lambda`, above 0; `CrossEntropy` is the objective for 0.

  References:
    Chen et al., 2019, Residual Flows, Section 5.4.
  """

  metric_names: ClassVar = ('bits_per_dim', 'cross_entropy', 'accuracy')
  density_metrics: ClassVar = ('bits_per_dim',)

  nll_weight: float = 1.0

  def __post_init__(self):
    errors.check(
        0.0 < self.nll_weight < math.inf, 'nll_weight', self.nll_weight,
        'a finite number above 0', 'Without the density use cross_entropy.')

  def __call__(
      self, model: models.Flow, batch: Batch, seed: random.SeedLike,
      log_det_weight: tf.Tensor | None = None) -> tuple[tf.Tensor, Metrics]:
    log_prob, logits = model.log_prob_and_logits(
        batch.x, batch.condition, seed=seed, estimator='own',
        log_det_weight=log_det_weight)
    metrics = {
        'bits_per_dim': tf.reduce_mean(model.bits_per_dim_of(log_prob)),
        **_classification_metrics(logits, batch.labels)}
    return self.loss_of(metrics, model.event_size), metrics

  def loss_of(self, metrics: Mapping[str, Any], event_size: int) -> Any:
    # -log p(x) + D log n: the constant changes no gradient.
    nats = metrics['bits_per_dim'] * event_size * math.log(2.0)
    return self.nll_weight * nats + metrics['cross_entropy']


def _classification_metrics(logits: tf.Tensor, labels: tf.Tensor) -> Metrics:
  """Returns mean cross entropy and accuracy of logits `[B, K]`."""
  predicted = tf.argmax(logits, axis=1, output_type=labels.dtype)
  return {
      'cross_entropy': tf.reduce_mean(
          tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)),
      'accuracy': tf.reduce_mean(
          tf.cast(predicted == labels, logits.dtype))}


def objective_of(
    model: models.Flow, nll_weight: float = 1.0, spec: str = fields.AUTO,
) -> Objective:
  """Returns the objective of a model.

  Args:
    model: images with `num_levels` are measured in bits/dim, other events in
      nats; a classifier makes it a hybrid.
    nll_weight: `lambda` of a hybrid; 0 trains the classifier alone.
    spec: names another objective; 'auto' takes the one that suits the model.

  Raises:
    InvalidValueError: if it is no objective of the model, such as a hybrid
      whose condition is a label.
  """
  if spec != fields.AUTO:
    objective = Objective.get(spec)
  elif model.has_classifier:
    objective = Hybrid(nll_weight) if nll_weight else CrossEntropy()
  else:
    objective = Objective.get(model.unit)
  objective.check(model)
  return objective
