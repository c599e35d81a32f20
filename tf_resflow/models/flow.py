"""What all flows share: densities, samples and certificates."""

from collections.abc import Sequence
import math
from typing import Any, TYPE_CHECKING

import keras
import tensorflow as tf

from tf_resflow import bijectors
from tf_resflow import errors
from tf_resflow import layers
from tf_resflow import numerics
from tf_resflow.layers import base_layer
from tf_resflow.models import block_bound
from tf_resflow.models import embeds_data
from tf_resflow.numerics import random

if TYPE_CHECKING:
  # It takes a second to import, which only those pay who ask for it.
  from tensorflow_probability import distributions as tfd

# AutoGraph would follow it into imports, and say that it cannot.
_estimator = tf.autograph.experimental.do_not_convert(numerics.Estimator.get)


@keras.saving.register_keras_serializable('tf_resflow')
class Flow(embeds_data.EmbedsData):
  """A density: a bijection from events to latents `[D]`, standard normal there.

  With an embedding that draws, events `y = (x, u)` hold noise beside the data
  `x`. What is called a log-density of `x` is then `log p(x, u) - log q(u|x)`
  of one draw `u ~ q`: an unbiased estimate of a lower bound of `log p(x)`, and
  bits/dim, per dimension of `x`, bound from above; see `layers.Embedding`.

  Args:
    bijection: maps events to `[D]`; it is built if need be.
    event_shape: shape of the data, that of an event without an embedding.
    num_levels: number of integer levels of a pixel, for `bits_per_dim`; None
      for continuous data.
    classifier: a layer from the features that the bijection lets out to
      logits, or None.
    embedding: from data to events; None where they are the same.
    **kwargs: of `keras.Model`.

  Example:
    >>> flow = models.Flow(
    ...     layers.Chain([layers.ActNorm(), layers.Flatten()]), (2, 2, 1))
    >>> flow.log_prob(tf.random.normal([5, 2, 2, 1])).shape
    TensorShape([5])
  """

  # What built it; None for a flow that was put together by hand.
  config = None
  # What the numbers of its vectors are called, where they have names.
  column_names = ()

  def __init__(
      self, bijection: layers.Bijection, event_shape: Sequence[int],
      num_levels: int | None = None,
      classifier: keras.layers.Layer | None = None,
      embedding: layers.Embedding | None = None, **kwargs):
    kwargs.setdefault('dtype', bijection.compute_dtype)
    super().__init__(**kwargs)
    self.event_shape = layers.event_shape_of(event_shape)
    self.event_size = math.prod(self.event_shape)
    self.num_levels = num_levels
    self._embedding = embedding
    embedded = self.embedding.compute_output_shape((None, *self.event_shape))
    self.latent_size = math.prod(embedded[1:])  # `event_size`, with noise.
    with base_layer.variables_named():
      base_layer.build_once(self.embedding, (None, *self.event_shape))
      base_layer.build_once(bijection, embedded)
    self.bijection = bijection
    self.classifier = classifier
    self.built = True

  def draws(self, estimator: numerics.Estimator) -> bool:
    """Whether log-densities that take `estimator` are drawn."""
    return self.embedding.is_random or (
        self.bijection.is_random and estimator.is_random)

  @property
  def is_biased(self) -> bool:
    """Whether its own log-determinants are, as those of i-ResNets."""
    return any(e.is_biased for e in self.bijection.estimators())

  @property
  def is_initialized(self) -> bool:
    """Whether everything that a first batch sets has been set."""
    return all(part is None or part.is_initialized for part in (
        self.bijection, self.classifier, self._embedding))

  @property
  def condition_spec(self) -> layers.ConditionSpec | None:
    """What its conditions are; None where it depends on none."""
    return self.bijection.condition_spec

  @property
  def is_random(self) -> bool:
    """Whether log-determinants are drawn; if not, all estimators are alike."""
    return self.bijection.is_random

  @property
  def certified_bijections(self) -> list[layers.Bijection]:
    """The parts with a `g` whose Lipschitz bound can be certified."""
    return [b for b in self.bijection.elementary() if b.has_certificate]

  @property
  def num_parameters(self) -> int:
    """How many numbers are learned: neither singular vectors nor states."""
    return sum(math.prod(v.shape) for v in self.trainable_variables)

  @property
  def constrained_layers(self) -> list[layers.LipschitzLayer]:
    """Every linear layer whose operator norm is constrained."""
    return self.bijection.constrained_layers()

  def transform(
      self, x: tf.Tensor, condition: Any = None, seed: random.SeedLike = None,
      estimator: numerics.Estimator | str | None = None,
      solver: numerics.Solver | None = None) -> layers.PassResult:
    """Sends events to latents: the one pass behind everything below.

    Args:
      x: `[B, ...]`, images dequantised to [0, 1).
      condition: what flows depend on that are `p(x|c)`, see
        `condition_spec`; `[B, ...]`, or that of a single example for all.
      seed: see `numerics.random.as_seed`; fresh draws at every execution by
        default.
      estimator: of the log-determinant, in place of the bijection's own, or its
        spec, such as 'exact'.
      solver: of forward directions that are solves, in place of the blocks'
        own.

    Returns:
      A `layers.PassResult`: `value` `[B, D]`, `log_det`, `solves`, `features`.
    """
    return self.bijection.transform(
        self.embed(x, condition, seed).y, condition=condition,
        seed=self._seeds(seed)[1], estimator=_estimator(estimator),
        solver=solver)

  def forward_and_log_det(
      self, x: tf.Tensor, condition: Any = None, seed: random.SeedLike = None,
      estimator: numerics.Estimator | str | None = None,
      solver: numerics.Solver | None = None) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns latents `[B, D]` and an estimate of `log|det dz/dy|`, `[B]`.

    The arguments are those of `transform`. Raises where a forward direction
    that is a solve does not converge.
    """
    return self.transform(
        x, condition, seed, estimator, solver).checked()[:2]

  def solve_inverse(
      self, z: tf.Tensor, condition: Any = None,
      solver: numerics.Solver | None = None) -> layers.PassResult:
    """Sends latents to events; reports what did not converge.

    Args:
      z: `[B, D]`.
      condition: see `transform`.
      solver: a solver to use in place of the blocks' own.
    """
    result = self.bijection.solve_inverse(
        self._events(z, (self.latent_size,), 'z', condition),
        condition=condition, solver=solver)
    return result._replace(value=self.embedding.project(result.value))

  def inverse(
      self, z: tf.Tensor, condition: Any = None,
      solver: numerics.Solver | None = None) -> tf.Tensor:
    """Returns `x` with `forward(x) = z`; see `solve_inverse`.

    Raises:
      tf.errors.InvalidArgumentError: when an example does not converge.
    """
    return self.embedding.project(self.bijection.inverse(
        self._events(z, (self.latent_size,), 'z', condition),
        condition=condition, solver=solver))

  def base_log_prob(self, z: tf.Tensor) -> tf.Tensor:
    """Returns the log-density of latents `[B, D]` under the base, `[B]`."""
    return -0.5 * tf.reduce_sum(
        z * z + math.log(2.0 * math.pi), axis=1)

  def _log_density(self, z, log_det, log_det_weight):
    """Returns `log p(z) + log_det`; a weight is for gradients of the latter."""
    if log_det_weight is not None:
      value = tf.stop_gradient(log_det)
      log_det = value + tf.cast(log_det_weight, value.dtype) * (log_det - value)
    return self.base_log_prob(z) + log_det

  def joint_log_prob(
      self, y: tf.Tensor, condition: Any = None, seed: random.SeedLike = None,
      estimator: numerics.Estimator | str | None = None,
      log_det_weight: tf.Tensor | None = None) -> tf.Tensor:
    """Returns an estimate of the log-density of events `y`; see `log_prob`."""
    z, log_det = self.bijection.forward_and_log_det(
        y, condition=condition, seed=seed,
        estimator=_estimator(estimator))
    return self._log_density(z, log_det, log_det_weight)

  def log_prob(
      self, x: tf.Tensor, condition: Any = None, seed: random.SeedLike = None,
      estimator: numerics.Estimator | str | None = None,
      log_det_weight: tf.Tensor | None = None) -> tf.Tensor:
    """Returns an estimate of `log p(x)`, `[B]`, nats.

    It is unbiased if the estimator is; `is_biased` says so of the flow's own.
    With an embedding that draws, it is one of a lower bound, see `Flow`. The
    arguments are those of `transform`; with `log_det_weight`, a scalar `beta`,
    gradients are those of `log p(z) + beta log|det dz/dx|`.
    """
    y, log_weight = self.embed(x, condition, seed)
    result = self.bijection.forward_pass(y, layers.PassSettings(
        condition, self._seeds(seed)[1], _estimator(estimator)))
    z, log_det, *_ = result.checked()
    return self._log_density(z, log_det, log_det_weight) + log_weight

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
        estimator=_estimator(estimator)).checked()
    log_prob = self._log_density(result.value, result.log_det, log_det_weight)
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
        x, condition, seed, estimator=numerics.Skip()).checked().features))

  def _check_has_classifier(self):
    errors.check(
        self.has_classifier, 'num_classes', 0, 'a number from 2',
        f'{self.name} has no classifier: hybrid models are configured with '
        'num_classes.')

  def bits_per_dim(
      self, x: tf.Tensor, condition: Any = None, seed: random.SeedLike = None,
      estimator: numerics.Estimator | str | None = None) -> tf.Tensor:
    """Returns `-(log p(x) - D log n) / (D log 2)` for dequantised images.

    The arguments are those of `transform`, with `x = (X + U) / n` for integers
    `X` in {0, ..., n - 1} and uniform `U`.

    Returns:
      `[B]`, bits per dimension; its mean over `U`, and over the draws of an
      embedding, bounds that of the integers from above (Theis et al., 2015).

    Raises:
      InvalidValueError: if the model has no `num_levels`.
    """
    return self.bits_per_dim_of(self.log_prob(x, condition, seed, estimator))

  def initialize(self, x: tf.Tensor, seed: random.SeedLike = None,
                 condition: Any = None) -> None:
    """Runs every layer once, so that ActNorms set themselves from a batch."""
    if self.bijection.has_moving_statistics:
      self.update_statistics(x, seed, condition)
    (self.classify if self.has_classifier else self.encode)(
        x, seed=seed, condition=condition)

  def draw_latents(
      self, num_samples: int | tf.Tensor, seed: random.SeedLike = None,
      start: int = 0) -> tf.Tensor:
    """Draws from the base; latents `i` depend on the seed and `i` alone.

    So a sample is the same however many are drawn, in batches of any size.

    Args:
      num_samples: Python int or int32 scalar.
      seed: see `numerics.random.as_seed`.
      start: number of the first one.

    Returns:
      `[num_samples, D]`.
    """
    return random.normal_rows(
        tf.range(start, start + num_samples), random.as_seed(seed).values,
        self.latent_size, tf.as_dtype(self.compute_dtype))

  def sample(
      self, num_samples: int | tf.Tensor, seed: random.SeedLike = None,
      temperature: float | tf.Tensor = 1.0, condition: Any = None,
      solver: numerics.Solver | None = None) -> tf.Tensor:
    """Draws from the flow.

    Args:
      num_samples: Python int or int32 scalar.
      seed: see `draw_latents`.
      temperature: standard deviation of all latents (the reduced entropy of
        the paper's Figure 7 below one).
      condition: see `transform`.
      solver: a solver to use in place of the blocks' own.

    Returns:
      `[num_samples, ...]`.
    """
    z = temperature * self.draw_latents(num_samples, seed)
    return self.inverse(z, condition, solver)

  def bijector(self, name: str = 'flow') -> 'bijectors.LayerBijector':
    """Returns the flow as a `tfb.Bijector` from events to latents `[D]`."""
    return bijectors.LayerBijector(
        self.bijection, event_shape=self.embedding.compute_output_shape(
            (None, *self.event_shape))[1:], name=name)

  def distribution(self) -> 'tfd.Distribution':
    """Returns the density as a distribution of data, unless it is a bound."""
    errors.check(
        not self.embedding.is_random, 'embedding', self.embedding.name,
        'none that draws', 'Only a bound of the density of data is known; '
        'joint_distribution() is that of data and draws.')
    return self.joint_distribution()

  def joint_distribution(self) -> 'tfd.Distribution':
    """Returns the density as a distribution of events of the bijection."""
    return bijectors.distribution(
        self.bijector(), self.latent_size, self.compute_dtype)

  def frozen(self) -> 'Flow':
    """Returns a flow that keeps its weights; see `layers.Bijection.frozen`."""
    return Flow(
        self.bijection.frozen(), self.event_shape, self.num_levels,
        self.classifier and base_layer.frozen_copy(self.classifier),
        self._embedding and self._embedding.frozen(), name=self.name,
        dtype=self.dtype_policy)

  def save_norms(self) -> None:
    """Stores the norms of the present kernels; saves time only."""
    # Graphs are of one thread.
    for _ in numerics.cores.map_parallel(
        lambda layer: layer.save_norms(), self.constrained_layers,
        max_parallel=None if tf.executing_eagerly() else 1):
      pass

  def lipschitz_bounds(
      self, certify: bool = True) -> list[block_bound.BlockBound]:
    """Returns the Lipschitz constants of every block that has some.

    Args:
      certify: whether to compute guaranteed upper bounds; for large images
        that takes minutes.
    """
    return block_bound.bounds_of(self.certified_bijections, certify)

  def config_of_fields(self) -> dict:
    """Returns what `get_config` does for a flow that its `config` describes."""
    return {'config': self.config.values(), 'name': self.name,
            'dtype': self.compute_dtype}

  def get_config(self) -> dict:
    return {
        'bijection': keras.saving.serialize_keras_object(self.bijection),
        'event_shape': self.event_shape,
        'num_levels': self.num_levels,
        'classifier': keras.saving.serialize_keras_object(self.classifier),
        'embedding': keras.saving.serialize_keras_object(self._embedding),
        'name': self.name,
        'dtype': self.compute_dtype}

  @classmethod
  def from_config(cls, config: dict) -> 'Flow':
    return cls(**config | {
        name: keras.saving.deserialize_keras_object(config[name])
        for name in ('bijection', 'classifier', 'embedding')
        if name in config})
