"""Training losses: bits/dim, nats, hybrid, cross entropy.

To add one: a subclass of `Objective` and a line in `registries.OBJECTIVES`.
"""

from collections.abc import Mapping
import dataclasses
import math
from typing import Any, ClassVar, NamedTuple

import tensorflow as tf

from tf_resflow import errors
from tf_resflow.numerics import random
from tf_resflow.specs import fields
from tf_resflow.specs import registries
from tf_resflow.specs import spec

Metrics = dict[str, tf.Tensor]


class Batch(NamedTuple):
  """A batch of examples, the input of an objective.

  Attributes:
    x: `[B, ...]`, images dequantised to [0, 1), or vectors.
    labels: int32 `[B]`, or None for data without labels, whose
      `DatasetInfo.num_classes` is 0.
    condition: `[B, ...]`, conditions of flows `p(x|c)`, or None.
    weight: `[B]`, of examples in means, or None for 1.
  """

  x: tf.Tensor
  labels: tf.Tensor | None = None
  condition: tf.Tensor | None = None
  weight: tf.Tensor | None = None

  def mean(self, values: tf.Tensor) -> tf.Tensor:
    """Returns the mean of weighted values of the examples, a scalar."""
    if self.weight is None:
      return tf.reduce_mean(values)
    weighted = values * tf.cast(self.weight, values.dtype)
    return tf.math.divide_no_nan(tf.reduce_sum(weighted), tf.cast(
        tf.size(values), values.dtype))  # A replica may have no example.


@dataclasses.dataclass(frozen=True)
class Objective(spec.Specified):
  """A training loss with the metrics to log.

  Losses and metrics are means over examples, so that those of equal parts of a
  batch (replicas, gradient accumulation) average to those of the batch.

  Attributes:
    metric_names: names of the metrics, columns of metrics.csv; the progress bar
      shows the first.
    density_metrics: names of the metrics that include a log-determinant. If the
      model estimates it with a bias, their columns are named `biased_NAME`.
    counts_solves: whether its metrics have `solver_steps`, the mean number of
      evaluations of a `g` in a solve, for models whose forward pass solves.

  Example:
    >>> objectives.Objective.get('hybrid:0.5')
    hybrid:0.5
  """

  registry: ClassVar = registries.OBJECTIVES
  metric_names: ClassVar[tuple[str, ...]]
  density_metrics: ClassVar[tuple[str, ...]] = ()
  counts_solves: ClassVar[bool] = False

  def __call__(
      self, model: Any, batch: Batch, seed: random.SeedLike,
      log_det_weight: tf.Tensor | None = None) -> tuple[tf.Tensor, Metrics]:
    """Returns the loss and its metrics, scalars.

    Args:
      model: the `Flow` to train.
      batch: `B` examples.
      seed: seed of all random draws; equal seeds give equal losses.
      log_det_weight: scalar by which gradients (but not values) of the
        log-determinants are multiplied; by default 1.
    """
    raise NotImplementedError

  def names_of(self, model: Any) -> list[str]:
    """Returns the names of all metrics of a model."""
    counts = self.counts_solves and model.bijection.num_solves[0] > 0
    return [*self.metric_names, *['solver_steps'] * counts]

  def solver_steps(self, model: Any, density: Any) -> Metrics:
    """Returns the mean number of evaluations of a `g` in a solve, if named."""
    return {'solver_steps': tf.reduce_mean(tf.cast(tf.stack(
        [solve.solution.num_steps for solve in density.solves]),
        density.log_prob.dtype))} if (
            'solver_steps' in self.names_of(model)) else {}

  def check(self, model: Any) -> None:
    """Raises `InvalidValueError` if it cannot train the model."""

  def check_data(self, data: Any) -> None:
    """Raises `InvalidValueError` if it cannot train on a `DatasetInfo`.

    An objective may need labels (`data.num_classes` is not 0) or a condition
    (`data.condition_labels` is not None).
    """

  def loss_of(self, metrics: Mapping[str, Any], event_size: int) -> Any:
    """Returns the loss from its metrics, such as those of a validation.

    These are numbers or scalars; an event has `event_size` dimensions.
    """
    return metrics[self.metric_names[0]]


@dataclasses.dataclass(frozen=True)
class Nats(Objective):
  """Negative log-likelihood, the mean of `-log p(x)`, in nats."""

  metric_names: ClassVar = ('nats',)
  density_metrics: ClassVar = metric_names
  counts_solves: ClassVar = True

  def to_loss(self, model: Any, log_prob: tf.Tensor) -> tf.Tensor:
    """Converts log p(x) in nats to the loss per example, `[B]`."""
    return -log_prob

  def __call__(
      self, model: Any, batch: Batch, seed: random.SeedLike,
      log_det_weight: tf.Tensor | None = None) -> tuple[tf.Tensor, Metrics]:
    density = model.density(
        batch.x, batch.condition, seed=seed, estimator='training',
        log_det_weight=log_det_weight)
    loss = batch.mean(self.to_loss(model, density.log_prob))
    return loss, {self.metric_names[0]: loss, **self.solver_steps(
        model, density)}


@dataclasses.dataclass(frozen=True)
class BitsPerDim(Nats):
  """Negative log-likelihood of dequantised images, in bits per dimension."""

  metric_names: ClassVar = ('bits_per_dim',)
  density_metrics: ClassVar = metric_names

  def check(self, model: Any) -> None:
    errors.check(
        model.is_image, 'objective', self.spec(),
        problem=f'cannot be used with {model.name}',
        advice='It requires images; use nats.')

  def to_loss(self, model: Any, log_prob: tf.Tensor) -> tf.Tensor:
    return model.bits_per_dim_of(log_prob)


class _Classification(Objective):
  """Base class of objectives that train a classifier."""

  def check(self, model: Any) -> None:
    errors.check(
        model.has_classifier, 'objective', self.spec(),
        problem=f'cannot be used with {model.name}, which has no classifier',
        advice='Use --hybrid.')
    condition = model.condition_spec
    errors.check(
        condition is None or not condition.num_labels, 'hybrid', 'true',
        problem='cannot be used with condition_on=label',
        advice='The classifier would see the label that it predicts.')


@dataclasses.dataclass(frozen=True)
class CrossEntropy(_Classification):
  """Cross entropy of the classifier alone: mean of `-log p(y|x)`, in nats.

  The hybrid loss with `lambda = 0`: log-determinants are not computed, and
  there are no bits/dim to log.
  """

  metric_names: ClassVar = ('cross_entropy', 'accuracy')

  def __call__(
      self, model: Any, batch: Batch, seed: random.SeedLike,
      log_det_weight: tf.Tensor | None = None) -> tuple[tf.Tensor, Metrics]:
    metrics = _classification_metrics(
        model.classify(batch.x, batch.condition, seed=seed), batch)
    return metrics['cross_entropy'], metrics


@dataclasses.dataclass(frozen=True)
class Hybrid(_Classification):
  """Hybrid loss: mean of `-(lambda log p(x) + log p(y|x))`, in nats.

  The authors' code minimises it divided by ln 2, in bits: for `lambda = 1`
  `D bits/dim + cross entropy / ln 2`, for `lambda = 1/D` (its `scale_dim`)
  `bits/dim + cross entropy / ln 2`. Adam is invariant to the scale of
  gradients, but clipping is not: gradients here are ln 2 times theirs, so that
  clipping at norm 1 there corresponds to `clip_norm = ln 2 = 0.693` here.
  (`BitsPerDim` and `CrossEntropy` have the same scale as theirs.)

  Attributes:
    nll_weight: `lambda`, above 0; for 0 use `CrossEntropy`.

  References:
    Chen et al., 2019, Residual Flows, Section 5.4.
  """

  metric_names: ClassVar = ('bits_per_dim', 'cross_entropy', 'accuracy')
  density_metrics: ClassVar = ('bits_per_dim',)
  counts_solves: ClassVar = True

  nll_weight: float = 1.0

  def __post_init__(self):
    errors.check(
        0.0 < self.nll_weight < math.inf, 'nll_weight', self.nll_weight,
        'a finite number > 0', 'For 0 use cross_entropy.')

  def __call__(
      self, model: Any, batch: Batch, seed: random.SeedLike,
      log_det_weight: tf.Tensor | None = None) -> tuple[tf.Tensor, Metrics]:
    density = model.density(
        batch.x, batch.condition, seed=seed, estimator='training',
        log_det_weight=log_det_weight)
    metrics = {
        'bits_per_dim': batch.mean(model.bits_per_dim_of(density.log_prob)),
        **_classification_metrics(model.logits(density.features), batch),
        **self.solver_steps(model, density)}
    return self.loss_of(metrics, model.event_size), metrics

  def loss_of(self, metrics: Mapping[str, Any], event_size: int) -> Any:
    # -log p(x) + D log n: the constant has no gradient.
    nats = metrics['bits_per_dim'] * event_size * math.log(2.0)
    return self.nll_weight * nats + metrics['cross_entropy']


def _classification_metrics(logits: tf.Tensor, batch: Batch) -> Metrics:
  """Returns mean cross entropy and accuracy of logits `[B, K]`."""
  labels: Any = batch.labels
  predicted = tf.argmax(logits, axis=1, output_type=labels.dtype)
  return {
      'cross_entropy': batch.mean(
          tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)),
      'accuracy': batch.mean(tf.cast(predicted == labels, logits.dtype))}


def objective_of(
    model: Any, nll_weight: float = 1.0, spec: str = fields.AUTO,
    data: Any = None) -> Objective:
  """Returns the objective of a model.

  Args:
    model: the `Flow` to train.
    nll_weight: `lambda` of a hybrid; 0 trains only the classifier.
    spec: spec of an objective; 'auto' selects a hybrid for models with a
      classifier, bits/dim for images with `num_levels`, otherwise nats.
    data: the `datasets.DatasetInfo` to train on, if it is to be checked.

  Raises:
    InvalidValueError: if the objective cannot train the model, such as a hybrid
      with the label as the condition, or on the data.
  """
  if spec != fields.AUTO:
    objective = Objective.get(spec)
  elif model.has_classifier:
    objective = Hybrid(nll_weight) if nll_weight else CrossEntropy()
  else:
    objective = Objective.get(model.unit)
  objective.check(model)
  if data is not None:
    objective.check_data(data)
  return objective
