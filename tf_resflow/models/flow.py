"""What all flows share: densities, samples and certificates."""

from collections.abc import Sequence
import functools
import math
from typing import Any, NamedTuple, TYPE_CHECKING

import keras
import tensorflow as tf

from tf_resflow import bijectors
from tf_resflow import errors
from tf_resflow import layers
from tf_resflow import numerics
from tf_resflow.layers import augmentations
from tf_resflow.layers import base_layer
from tf_resflow.layers.bijections import bijection as bijection_lib
from tf_resflow.layers.lipschitz import lipschitz_layer
from tf_resflow.numerics import random
from tf_resflow.specs import renamed

if TYPE_CHECKING:
  # It takes a second to import, which only those pay who ask for it.
  from tensorflow_probability import distributions as tfd

# Dimensions up to which evaluations take exact log-determinants.
MAX_EXACT_SIZE = 64


class BlockBound(NamedTuple):
  """Lipschitz constants of the `g` of one block.

  Attributes:
    name: of the block.
    lipschitz_bound: what the block keeps to at every call.
    power_iteration: product of the layers' norms as power iteration sees them
      (from below, to a relative 1e-3) and of the activations' constants.
    certificate: product of guaranteed upper bounds of the present weights;
      None if uncertified.
    methods: how every layer was certified, or ('asserted',).
    order: the `p` of the l_p in which the bounds hold.
    bound_source: how it is known, one of `lipschitz_layer.BOUND_SOURCES`.
  """

  name: str
  lipschitz_bound: float
  power_iteration: float | None
  certificate: float | None
  methods: tuple[str, ...]
  order: float | None = 2.0
  bound_source: str = 'construction'

  @property
  def is_estimated(self) -> bool:
    """Whether `lipschitz_bound` comes from norms that may be too low."""
    return self.bound_source == lipschitz_layer.ESTIMATED

  @property
  def excess(self) -> float:
    """By which share of the bound a search found more, at least 0."""
    return max(0.0, self.power_iteration / self.lipschitz_bound - 1.0)


@keras.saving.register_keras_serializable('tf_resflow')
class Flow(keras.Model):
  """A density: a bijection from events to latents `[D]`, standard normal there.

  With an augmentation that draws, events `y = (x, u)` hold noise beside the
  data. `log_prob` is then `log p(x, u) - log q(u|x)` of one draw `u ~ q`: an
  unbiased estimate of a lower bound of `log p(x)`, and bits/dim, per dimension
  of `x`, bound from above; see `layers.Augmentation`.

  Methods take these arguments, all but the first two by their names:

  - `x`: `[B, ...]`, data; images are dequantised to [0, 1).
  - `condition`: what flows depend on that are `p(x|c)`, see `condition_spec`;
    `[B, ...]`, or that of a single example for all.
  - `seed`: of everything that is drawn, see `numerics.random.as_seed`; fresh
    draws at every execution by default. With an augmentation that draws, its
    noise takes `fold_in(seed, 0)`, and the log-determinant `fold_in(seed, 1)`.
  - `estimator`: of the log-determinant, or its spec, such as 'exact'; 'own'
    stands for those of the blocks, by which they are trained. By default that
    of the flow, and those of the blocks where it has none.
  - `solver`: of inverses, and of forward directions that are solves, or its
    spec; those of the blocks by default. A solve that does not converge raises
    `tf.errors.InvalidArgumentError`, except where a method reports it.

  Args:
    bijection: maps events to `[D]`; it is built if need be.
    event_shape: shape of the data, that of an event without an augmentation.
    num_levels: number of integer levels n of a pixel, for `bits_per_dim`; None
      for continuous data.
    classifier: a layer from the features that the bijection lets out to
      logits, or None.
    augmentation: from data to events; None where they are the same.
    estimator: of log-determinants where a call names none, or its spec;
      `training.load` gives flows their `evaluation_estimator`.
    **kwargs: of `keras.Model`.

  Attributes:
    event_size: number of dimensions of the data.
    latent_size: number of dimensions of the latents, those of noise included.
    config: what built it; None for a flow that was put together by hand.
    column_names: what the numbers of its vectors are called, if anything.

  Example:
    >>> flow = models.Flow(layers.Flatten(), (2, 2, 1))
    >>> flow.log_prob(tf.random.normal([5, 2, 2, 1])).shape
    TensorShape([5])
  """

  config = None
  column_names = ()
  __repr__ = base_layer.settings_repr

  def __init__(
      self, bijection: layers.Bijection, event_shape: Sequence[int],
      num_levels: int | None = None,
      classifier: keras.layers.Layer | None = None,
      augmentation: layers.Augmentation | None = None,
      estimator: layers.EstimatorLike = None, **kwargs):
    kwargs.setdefault('dtype', bijection.compute_dtype)
    super().__init__(**kwargs)
    self.event_shape = bijection_lib.event_shape_of(event_shape)
    self.event_size = math.prod(self.event_shape)
    self.num_levels = num_levels
    self.estimator = numerics.Estimator.get(estimator)
    self._augmentation = augmentation
    shape = self.augmentation.compute_output_shape((None, *self.event_shape))
    self.latent_size = math.prod(shape[1:])
    with base_layer.variables_named():
      base_layer.build_once(self.augmentation, (None, *self.event_shape))
      base_layer.build_once(bijection, shape)
    self.bijection = bijection
    self.classifier = classifier
    self.built = True

  @functools.cached_property  # Which nothing tracks: checkpoints hold parts.
  def augmentation(self) -> layers.Augmentation:
    """What takes data to events; the identity where there is none."""
    return self._augmentation or layers.IdentityAugmentation(
        dtype=self.compute_dtype)

  @property
  def condition_spec(self) -> layers.ConditionSpec | None:
    """What its conditions are; None where it depends on none."""
    return self.bijection.condition_spec

  @property
  def has_classifier(self) -> bool:
    """Whether it is a hybrid model; others refuse to classify."""
    return self.classifier is not None

  @property
  def is_initialized(self) -> bool:
    """Whether everything that a first batch sets has been set."""
    return all(part is None or part.is_initialized for part in (
        self.bijection, self.classifier, self._augmentation))

  @property
  def is_random(self) -> bool:
    """Whether log-determinants are drawn; if not, all estimators are alike."""
    return self.bijection.is_random

  @property
  def is_biased(self) -> bool:
    """Whether those of its blocks are biased, as those of i-ResNets."""
    return any(e.is_biased for e in self.bijection.estimators())

  def is_random_with(self, estimator: numerics.Estimator | str) -> bool:
    """Whether log-densities that take `estimator` are drawn."""
    return self.augmentation.is_random or (
        self.is_random and numerics.Estimator.get(estimator).is_random)

  def evaluation_estimator(
      self, *, dequantizes: bool = False) -> numerics.Estimator:
    """Returns the estimator of evaluations: exact up to 64 dimensions.

    Beyond, unbiased draws of finite variance (which the Poisson roulette of
    training has not), at a fraction of the cost of 'roulette:safe,exact=20',
    those of the paper's Section 5.1.

    Args:
      dequantizes: whether values of integers, if the data are some, get noise;
        that is averaged anyway, so that estimates do.
    """
    is_estimated = self.latent_size > MAX_EXACT_SIZE or (
        dequantizes and self.num_levels is not None)
    if not (self.is_random and is_estimated):
      return numerics.Exact()
    return numerics.AdaptiveRoulette(0.02)  # Larger tails: faster, noisier.

  @property
  def certified_bijections(self) -> list[layers.Bijection]:
    """The parts with a `g` whose Lipschitz bound can be certified."""
    return [b for b in self.bijection.leaves() if b.has_certificate]

  @property
  def constrained_layers(self) -> list[layers.LipschitzLayer]:
    """Every linear layer whose operator norm is constrained."""
    return self.bijection.constrained_layers()

  @property
  def num_parameters(self) -> int:
    """How many numbers are learned: neither singular vectors nor states."""
    return sum(math.prod(v.shape) for v in self.trainable_variables)

  def _seeds(self, seed):
    """Returns the seeds of the augmentation and of the bijection."""
    return (random.fold_in(seed, 0), random.fold_in(seed, 1)
            ) if self.augmentation.is_random else (None, seed)

  def _settings(self, condition, seed, estimator=None, solver=None):
    """Returns those of a pass of the bijection, which takes `seed` itself."""
    return layers.PassSettings.of(
        condition, seed, self.estimator if estimator is None else estimator,
        solver)

  def check_condition(self, condition: Any) -> None:
    """Raises `InvalidValueError` for a condition that has no effect."""
    errors.check(
        condition is None or self.bijection.takes_condition, 'condition',
        'given', f'none, since {self.name} depends on no condition')

  def _checked(self, name, x, event_shape, condition):
    """Returns `x` as a tensor `[B, *event_shape]`; checks the condition."""
    self.check_condition(condition)
    x = tf.convert_to_tensor(x)
    errors.check(
        x.dtype.is_floating, name, x.dtype.name, 'floats',
        'datasets.dequantize turns integers into numbers in [0, 1).')
    x = tf.cast(x, tf.as_dtype(self.compute_dtype))
    errors.check(
        x.shape.is_compatible_with([None, *event_shape]), name,
        f'a tensor {x.shape}', f'[B, {", ".join(map(str, event_shape))}]')
    return x

  def augment(self, x: tf.Tensor, condition: Any = None, *,
              seed: random.SeedLike = None) -> augmentations.Augmented:
    """Returns events that stand for data: those of all methods at this seed."""
    x = self._checked('x', x, self.event_shape, condition)
    return self.augmentation.augment(x, condition, seed=self._seeds(seed)[0])

  def transform(
      self, x: tf.Tensor, condition: Any = None, *,
      seed: random.SeedLike = None, estimator: layers.EstimatorLike = None,
      solver: layers.SolverLike = None) -> layers.PassResult:
    """Sends data to latents `[B, D]`; reports what did not converge."""
    return self.bijection.forward_pass(
        self.augment(x, condition, seed=seed).y, self._settings(
            condition, self._seeds(seed)[1], estimator, solver))

  def forward_and_log_det(
      self, x: tf.Tensor, condition: Any = None, *,
      seed: random.SeedLike = None, estimator: layers.EstimatorLike = None,
      solver: layers.SolverLike = None) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns latents `[B, D]` and an estimate of `log|det dz/dy|`, `[B]`."""
    return self.transform(
        x, condition, seed=seed, estimator=estimator, solver=solver
    ).checked()[:2]

  def encode(self, x: tf.Tensor, condition: Any = None, *,
             seed: random.SeedLike = None) -> tf.Tensor:
    """Returns latents `[B, D]` alone; the seed is that of an augmentation."""
    return base_layer.call_with(
        self.bijection, self.augment(x, condition, seed=seed).y, condition)

  def call(self, inputs: tf.Tensor, condition: Any = None) -> tf.Tensor:
    return self.encode(inputs, condition)

  def solve_inverse(
      self, z: tf.Tensor, condition: Any = None, *,
      solver: layers.SolverLike = None) -> layers.PassResult:
    """Sends latents `[B, D]` to data; reports what did not converge."""
    result = self.bijection.solve_inverse(
        self._checked('z', z, (self.latent_size,), condition), condition,
        solver=solver)
    return result._replace(value=self.augmentation.project(result.value))

  def inverse(self, z: tf.Tensor, condition: Any = None, *,
              solver: layers.SolverLike = None) -> tf.Tensor:
    """Returns the `x` that `encode` sends to latents `z`, `[B, D]`."""
    return self.solve_inverse(z, condition, solver=solver).checked().value

  def base_log_prob(self, z: tf.Tensor) -> tf.Tensor:
    """Returns the log-density of latents `[B, D]` under the base, `[B]`."""
    return -0.5 * tf.reduce_sum(z * z + math.log(2.0 * math.pi), axis=1)

  def _density(self, result, log_det_weight):
    """Returns `log p(z) + log_det`; a weight is for gradients of the latter."""
    log_det = result.log_det
    if log_det_weight is not None:
      value = tf.stop_gradient(log_det)
      log_det = value + tf.cast(log_det_weight, value.dtype) * (log_det - value)
    return self.base_log_prob(result.value) + log_det

  def joint_log_prob(
      self, y: tf.Tensor, condition: Any = None, *,
      seed: random.SeedLike = None, estimator: layers.EstimatorLike = None,
      log_det_weight: tf.Tensor | None = None) -> tf.Tensor:
    """Returns an estimate of the log-density of events `y`; see `log_prob`."""
    result = self.bijection.forward_pass(
        y, self._settings(condition, seed, estimator))
    return self._density(result.checked(), log_det_weight)

  def log_prob(
      self, x: tf.Tensor, condition: Any = None, *,
      seed: random.SeedLike = None, estimator: layers.EstimatorLike = None,
      log_det_weight: tf.Tensor | None = None) -> tf.Tensor:
    """Returns `log p(x)`, `[B]`, nats, or an estimate of it.

    It is an estimate where `draws` says so of the estimator, and unbiased if
    that is; `evaluation.evaluate_inputs` has its standard deviation. With an
    augmentation that draws, it is one of a lower bound, see `Flow`. With
    `log_det_weight`, a scalar `beta`, gradients are those of
    `log p(z) + beta log|det dz/dx|`.
    """
    y, log_weight = self.augment(x, condition, seed=seed)
    result = self.bijection.forward_pass(
        y, self._settings(condition, self._seeds(seed)[1], estimator))
    return self._density(result.checked(), log_det_weight) + log_weight

  def log_prob_and_logits(
      self, x: tf.Tensor, condition: Any = None, *,
      seed: random.SeedLike = None, estimator: layers.EstimatorLike = None,
      log_det_weight: tf.Tensor | None = None) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns `log_prob` `[B]` and logits `[B, num_classes]`, of one pass."""
    self._check_has_classifier()
    y, log_weight = self.augment(x, condition, seed=seed)
    result = self.bijection.forward_pass(y, self._settings(
        condition, self._seeds(seed)[1], estimator)).checked()
    log_prob = self._density(result, log_det_weight) + log_weight
    return log_prob, self.classifier(list(result.features))

  def classify(self, x: tf.Tensor, condition: Any = None, *,
               seed: random.SeedLike = None) -> tf.Tensor:
    """Returns the class logits `[B, num_classes]`; takes no log-determinant."""
    self._check_has_classifier()
    return self.classifier(list(self.transform(
        x, condition, seed=seed, estimator=numerics.NoLogDet()
    ).checked().features))

  def _check_has_classifier(self):
    errors.check(
        self.has_classifier, 'num_classes', 0, 'a number from 2',
        f'{self.name} has no classifier: hybrid models are configured with '
        'num_classes.')

  def bits_per_dim(
      self, x: tf.Tensor, condition: Any = None, *,
      seed: random.SeedLike = None, estimator: layers.EstimatorLike = None,
  ) -> tf.Tensor:
    """Returns `-(log p(x) - D log n) / (D log 2)`, `[B]`, of images.

    They are `x = (X + U) / n` for integers `X` in {0, ..., n - 1} and uniform
    `U`. Its mean over `U`, and over the draws of an augmentation, bounds that
    of the integers from above (Theis et al., 2015).
    """
    return self.bits_per_dim_of(self.log_prob(
        x, condition, seed=seed, estimator=estimator))

  def bits_per_dim_of(self, log_prob: Any) -> Any:
    """Returns the `bits_per_dim` of log-densities, an array or a tensor."""
    errors.check(
        self.num_levels is not None, 'num_levels', None,
        'a number from 2', 'bits_per_dim is defined for integers; use '
        'log_prob.')
    return (
        math.log(self.num_levels) - log_prob / self.event_size) / math.log(2.0)

  @property
  def unit(self) -> str:
    """'bits_per_dim' of images of integers, 'nats' of other data."""
    return 'nats' if self.num_levels is None else 'bits_per_dim'

  def to_loss(self, log_prob: Any) -> Any:
    """Returns what log-densities in nats cost, in `unit`."""
    return -log_prob if self.num_levels is None else self.bits_per_dim_of(
        log_prob)

  def loss_to_log_prob(self, cost: Any) -> Any:
    """Returns the log-density in nats that `to_loss` made a cost of."""
    return -cost if self.num_levels is None else self.event_size * (
        math.log(self.num_levels) - math.log(2.0) * cost)

  def initialize(self, x: tf.Tensor, condition: Any = None, *,
                 seed: random.SeedLike = None) -> None:
    """Runs every layer once, so that ActNorms set themselves from a batch."""
    if self.bijection.has_moving_statistics:
      self.update_statistics(x, condition, seed=seed)
    (self.classify if self.has_classifier else self.encode)(
        x, condition, seed=seed)

  def update_statistics(self, x: tf.Tensor, condition: Any = None, *,
                        seed: random.SeedLike = None) -> None:
    """Lets moving statistics see a batch; see `layers.MovingMean`."""
    self.bijection.update_statistics(
        self.augment(x, condition, seed=seed).y, condition)

  def draw_latents(
      self, num_samples: int | tf.Tensor, *, seed: random.SeedLike = None,
      start: int = 0) -> tf.Tensor:
    """Draws latents `[num_samples, D]` from the base.

    Number `i` depends on the seed and `i` alone, so a sample is the same
    however many are drawn, in batches of any size.

    Args:
      num_samples: Python int or int32 scalar.
      seed: see `Flow`.
      start: number of the first one.
    """
    return random.normal_rows(
        tf.range(start, start + num_samples), random.as_seed(seed).values,
        self.latent_size, tf.as_dtype(self.compute_dtype))

  def sample(
      self, num_samples: int | tf.Tensor, condition: Any = None, *,
      seed: random.SeedLike = None, temperature: float | tf.Tensor = 1.0,
      solver: layers.SolverLike = None) -> tf.Tensor:
    """Draws data `[num_samples, ...]` of latents as `draw_latents` has them.

    Args:
      num_samples: Python int or int32 scalar.
      condition: see `Flow`, as `seed` and `solver`.
      temperature: standard deviation of all latents (the reduced entropy of
        the paper's Figure 7 below one).
    """
    z = temperature * self.draw_latents(num_samples, seed=seed)
    return self.inverse(z, condition, solver=solver)

  def bijector(self, name: str = 'flow') -> 'bijectors.LayerBijector':
    """Returns the flow as a `tfb.Bijector` from events to latents `[D]`."""
    return bijectors.LayerBijector(
        self.bijection, event_shape=self.augmentation.compute_output_shape(
            (None, *self.event_shape))[1:], estimator=self.estimator, name=name)

  def distribution(self) -> 'tfd.Distribution':
    """Returns the density as a distribution of data, unless it is a bound."""
    errors.check(
        not self.augmentation.is_random, 'augmentation', self.augmentation.name,
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
        self._augmentation and self._augmentation.frozen(), self.estimator,
        name=self.name, dtype=self.dtype_policy)

  def save_norms(self) -> None:
    """Stores the norms of the present kernels; saves time only."""
    # Graphs are of one thread.
    for _ in numerics.parallel.map_parallel(
        lambda layer: layer.save_norms(), self.constrained_layers,
        max_parallel=None if tf.executing_eagerly() else 1):
      pass

  def lipschitz_bounds(self, *, certify: bool = True) -> list[BlockBound]:
    """Returns the Lipschitz constants of every block that has some.

    To certify them takes minutes for large images.
    """
    bounds = []
    for block in self.certified_bijections:
      slopes = block.bi_lipschitz_bounds()
      certificate = (
          block.certificate() if certify else numerics.Certificate(None))
      bounds.append(BlockBound(
          block.name, block.lipschitz_bound, block.norm_estimate(),
          certificate.bound, certificate.methods, slopes.order,
          slopes.bound_source))
    return bounds

  def _config_of(self, **parts):
    return parts | {
        'estimator': self.estimator and self.estimator.spec(),
        'name': self.name, 'dtype': self.compute_dtype}

  def config_of_fields(self) -> dict:
    """Returns what `get_config` does for a flow that its `config` describes."""
    return self._config_of(config=self.config.values())

  def get_config(self) -> dict:
    serialize = keras.saving.serialize_keras_object
    return self._config_of(
        bijection=serialize(self.bijection), event_shape=self.event_shape,
        num_levels=self.num_levels, classifier=serialize(self.classifier),
        augmentation=serialize(self._augmentation))

  @classmethod
  def from_config(cls, config: dict) -> 'Flow':
    config = renamed.present_arguments('Flow', config)
    return cls(**config | {
        name: keras.saving.deserialize_keras_object(config[name])
        for name in ('bijection', 'classifier', 'augmentation')
        if name in config})
