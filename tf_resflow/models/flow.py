"""Base class of flows: densities, samples and Lipschitz certificates."""

from collections.abc import Callable, Sequence
import functools
import math
from typing import Any, cast, TYPE_CHECKING, TypeVar

import keras
import numpy as np
import tensorflow as tf

from tf_resflow import bijectors
from tf_resflow import errors
from tf_resflow import layers
from tf_resflow import numerics
from tf_resflow.columns import schema as schema_lib
from tf_resflow.layers import base_layer
from tf_resflow.layers.bijections import bijection as bijection_lib
from tf_resflow.models import latent_model
from tf_resflow.models import lipschitz_report
from tf_resflow.numerics import random
from tf_resflow.specs import machine
from tf_resflow.specs import renamed

if TYPE_CHECKING:  # The import takes a second.
  from tensorflow_probability import distributions as tfd

# Largest dimension for which evaluations use exact log-determinants.
MAX_EXACT_SIZE = 64

_Method = TypeVar('_Method', bound=Callable)


def _takes_frames(method: _Method) -> _Method:
  """Lets a method of data and conditions take data frames; see `Flow`."""
  @functools.wraps(method)
  def taking(self, x, condition=None, **options):
    data, condition = self.schema.arrays(x, condition)
    if data is not x:
      data = np.asarray(data, self.compute_dtype)
    return method(self, data, condition, **options)

  return cast(_Method, taking)


@keras.saving.register_keras_serializable('tf_resflow')
class Flow(latent_model.LatentModel):
  """A normalizing flow: a bijection from events to standard normal latents.

  With a random augmentation, events `y = (x, u)` consist of data and noise.
  `log_prob` is then `log p(x, u) - log q(u|x)` for one draw `u ~ q`, an
  unbiased estimate of a lower bound of `log p(x)`, and bits/dim, per dimension
  of `x`, are upper bounds; see `layers.Augmentation`.

  Methods take these arguments, all but the first two by keyword:

  - `x`: data, `[B, ...]`; images are dequantised to [0, 1).
  - `condition`: conditions of a flow `p(x|c)`, see `condition_spec`; `[B, ...]`
    or one condition for all examples. Data and conditions of tables may be data
    frames, or cells by column, see `columns.schema.Schema.arrays`.
  - `seed`: seed of all random draws, see `numerics.random.as_seed`; by default
    each execution makes new draws. With a random augmentation, its noise uses
    `fold_in(seed, 0)`, and the log-determinant `fold_in(seed, 1)`.
  - `estimator`: log-determinant estimator, or its spec, such as 'exact';
    'training' selects those of the blocks, by which they are trained. By
    default that of the flow or, if it has none, those of the blocks.
  - `solver`: solver of inverses (and of forward passes that are solves), or its
    spec; by default those of the blocks. A solve that does not converge raises
    `tf.errors.InvalidArgumentError`, except where a method reports it.

  Args:
    bijection: maps events to latents `[D]`; it is built if necessary.
    event_shape: shape of the data, that of an event without an augmentation.
    num_levels: number of integer levels n of pixels; None if continuous.
    classifier: a layer that maps features of the bijection to logits, or None.
    augmentation: maps data to events; None for the identity.
    estimator: default log-determinant estimator, or its spec.
    **kwargs: passed to `keras.Model`.

  Attributes:
    event_size: number of dimensions of the data.
    latent_size: number of dimensions of the latents, including noise.
    config: configuration that it was built from, or None.
    run: the `workflow.Run` that it comes from, or None.

  Example:
    >>> flow = models.Flow(layers.Flatten(), (2, 2, 1))
    >>> flow.log_prob(tf.random.normal([5, 2, 2, 1])).shape
    TensorShape([5])
  """

  config: Any = None
  run: Any = None
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
    self.num_levels: Any = num_levels
    self.estimator = numerics.Estimator.get(estimator)
    self._augmentation = augmentation
    shape = self.augmentation.compute_output_shape((None, *self.event_shape))
    self.latent_size = math.prod(shape[1:])
    with base_layer.variables_named():
      base_layer.build_once(self.augmentation, (None, *self.event_shape))
      base_layer.build_once(bijection, shape)
    self.bijection = bijection
    self.classifier: Any = classifier
    self.built = True

  @functools.cached_property  # Not tracked: checkpoints hold the parts.
  def augmentation(self) -> layers.Augmentation:
    """The augmentation that maps data to events; by default the identity."""
    return self._augmentation or layers.IdentityAugmentation(
        dtype=self.compute_dtype)

  @functools.cached_property
  def schema(self) -> schema_lib.Schema:
    """The columns of its vectors and conditions; without names of arrays."""
    spec = self.condition_spec
    schema = getattr(self.config, 'schema', None) or schema_lib.Schema.unnamed(
        self.event_size if len(self.event_shape) == 1 else 0)
    if spec is None or schema.conditions:
      return schema
    return schema.with_columns(
        [schema_lib.Column(role=schema_lib.CONDITION)] * math.prod(spec.shape))

  def standardize(self, x: tf.Tensor) -> tf.Tensor:
    """Returns data in the units of errors; see `VectorFlow`."""
    return x

  @property
  def condition_spec(self) -> layers.ConditionSpec | None:
    """Type and shape of its conditions; None if unconditional."""
    return self.bijection.condition_spec

  @property
  def bijections(self) -> list[layers.Bijection]:
    """The bijection of events, and those by which the augmentation draws."""
    return [self.bijection, *self.augmentation.parts]

  @property
  def is_image(self) -> bool:
    """Whether data are images of integers, and losses bits/dim."""
    return self.num_levels is not None

  @property
  def has_classifier(self) -> bool:
    """Whether it is a hybrid model, which can classify."""
    return self.classifier is not None

  @property
  def is_initialized(self) -> bool:
    """Whether layers that initialise from a first batch have done so."""
    return all(part is None or part.is_initialized for part in (
        self.bijection, self.classifier, self._augmentation))

  @property
  def is_random(self) -> bool:
    """Whether log-determinants are estimated; if not, they are exact."""
    return any(part.is_random for part in self.bijections)

  def estimators(self) -> list[numerics.Estimator]:
    """Returns the default estimators of its blocks."""
    return [e for part in self.bijections for e in part.estimators()]

  @property
  def is_biased(self) -> bool:
    """Whether an estimator of its blocks is biased, as in i-ResNets."""
    return any(e.is_biased for e in self.estimators())

  def is_random_with(self, estimator: numerics.Estimator | str) -> bool:
    """Returns whether log-densities with `estimator` are random."""
    return self._draws_noise(estimator) or self.is_random and (
        estimator == 'training' or numerics.Estimator.get(estimator).is_random)

  def _draws_noise(self, estimator):
    """Returns whether the augmentation draws noise; evaluation may not."""
    return self.augmentation.is_random and not (
        self.augmentation.num_points and estimator not in (None, 'training'))

  def evaluation_estimator(
      self, *, dequantizes: bool = False) -> numerics.Estimator:
    """Returns the estimator for evaluation: exact up to 64 dimensions.

    For more dimensions, it is unbiased with finite variance (unlike the Poisson
    roulette of training), and takes a fraction of the time of
    'roulette:safe,exact=20', that of the paper's Section 5.1.

    Args:
      dequantizes: whether integer data are dequantised with noise; results are
        averaged over it anyway, so that a random estimator suffices.
    """
    is_estimated = self.latent_size > MAX_EXACT_SIZE or (
        dequantizes and self.is_image)
    if not (self.is_random and is_estimated):
      return numerics.Exact()
    return numerics.AdaptiveRoulette(0.02)  # Larger: faster, noisier.

  @property
  def certified_bijections(self) -> list[layers.Bijection]:
    """Bijections with a `g` whose Lipschitz bound can be certified."""
    return [b for part in self.bijections for b in part.leaves()
            if b.has_certificate]

  @property
  def constrained_layers(self) -> list[layers.LipschitzLayer]:
    """Linear layers with a constrained operator norm."""
    return [c for part in self.bijections for c in part.constrained_layers()]

  @property
  def num_parameters(self) -> int:
    """Number of trainable parameters."""
    return sum(math.prod(v.shape) for v in self.trainable_variables)

  def _seeds(self, seed):
    """Returns the seeds of the augmentation and of the bijection."""
    return (random.fold_in(seed, 0), random.fold_in(seed, 1)
            ) if self.augmentation.is_random else (None, seed)

  def _settings(self, condition, seed, estimator=None, solver=None):
    """Returns the settings of a pass of the bijection with `seed`."""
    return layers.PassSettings.of(
        condition, seed, self.estimator if estimator is None else estimator,
        solver)

  def check_condition(self, condition: Any) -> None:
    """Raises `InvalidValueError` for a condition of an unconditional flow."""
    errors.check(
        condition is None or self.bijection.takes_condition, 'condition',
        problem=f'cannot be used with {self.name}, which is unconditional')

  def _checked(self, name, x, event_shape, condition):
    """Returns `x` as a tensor `[B, *event_shape]`; checks arguments."""
    self.check_condition(condition)
    x = tf.convert_to_tensor(x)
    errors.check(
        x.dtype.is_floating or not self.is_image, name, x.dtype.name,
        'floats', 'datasets.dequantize turns integers into these in [0, 1).')
    x = tf.cast(x, tf.as_dtype(self.compute_dtype))
    errors.check(
        x.shape.is_compatible_with([None, *event_shape]), name,
        f'a tensor {x.shape}', f'[B, {", ".join(map(str, event_shape))}]')
    if condition is not None:
      spec: Any = self.condition_spec
      given = spec.of_any_shape(condition, self.compute_dtype)
      if given.shape.rank == 1 + len(spec.shape):
        base_layer.check_batch(given, x)
    return x

  @_takes_frames
  def augment(self, x: Any, condition: Any = None, *,
              seed: random.SeedLike = None,
              estimator: layers.EstimatorLike = None) -> layers.Augmented:
    """Returns the augmented data, as in all methods at this seed."""
    x = self._checked('x', x, self.event_shape, condition)
    seed, _ = self._seeds(seed)
    settings = self._settings(condition, seed, estimator)
    return self.augmentation.augment(x, condition, seed=seed, **(
        {'estimator': settings.estimator} if self.augmentation.parts else {}))

  @_takes_frames
  def transform(
      self, x: Any, condition: Any = None, *,
      seed: random.SeedLike = None, estimator: layers.EstimatorLike = None,
      solver: layers.SolverLike = None) -> layers.PassResult:
    """Maps data to latents `[B, D]`, and reports convergence."""
    y, _ = self.augment(x, condition, seed=seed, estimator=estimator)
    return self.bijection.forward_pass(y, self._settings(
        condition, self._seeds(seed)[1], estimator, solver))

  def forward_and_log_det(
      self, x: Any, condition: Any = None, *,
      seed: random.SeedLike = None, estimator: layers.EstimatorLike = None,
      solver: layers.SolverLike = None) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns latents `[B, D]` and an estimate of `log|det dz/dy|`, `[B]`."""
    return self.transform(
        x, condition, seed=seed, estimator=estimator, solver=solver
    ).checked()[:2]

  @_takes_frames
  def encode(self, x: Any, condition: Any = None, *,
             seed: random.SeedLike = None) -> tf.Tensor:
    """Returns latents `[B, D]`; the seed is for a random augmentation."""
    return base_layer.call_with(
        self.bijection, self.augment(x, condition, seed=seed).y, condition)

  def call(self, inputs: tf.Tensor, condition: Any = None) -> tf.Tensor:
    return self.encode(inputs, condition)

  def solve_inverse(self, z: Any, condition: Any = None, *,
                    solver: layers.SolverLike = None) -> layers.PassResult:
    """Maps latents `[B, D]` to data, and reports convergence."""
    condition = self.schema.condition_array(condition)
    result = self.bijection.solve_inverse(
        self._checked('z', z, (self.latent_size,), condition), condition,
        solver=solver)
    return result._replace(value=self.augmentation.project(result.value))

  def inverse(self, z: Any, condition: Any = None, *,
              solver: layers.SolverLike = None) -> tf.Tensor:
    """Returns the `x` that `encode` maps to latents `z`, `[B, D]`."""
    return self.solve_inverse(z, condition, solver=solver).checked().value

  def base_log_prob(self, z: tf.Tensor) -> tf.Tensor:
    """Returns the base log-density of latents `[B, D]`, `[B]`."""
    return -0.5 * tf.reduce_sum(z * z + math.log(2.0 * math.pi), axis=1)

  def _density(self, result, log_det_weight):
    """Returns `log p(z) + log_det`; the weight scales only gradients."""
    log_det = result.log_det
    if log_det_weight is not None:
      value = tf.stop_gradient(log_det)
      log_det = value + tf.cast(log_det_weight, value.dtype) * (log_det - value)
    return self.base_log_prob(result.value) + log_det

  @_takes_frames
  def joint_log_prob(
      self, y: Any, condition: Any = None, *,
      seed: random.SeedLike = None, estimator: layers.EstimatorLike = None,
      log_det_weight: Any = None) -> tf.Tensor:
    """Returns an estimate of the log-density of events `y`; see `log_prob`."""
    result = self.bijection.forward_pass(
        y, self._settings(condition, seed, estimator))
    return self._density(result.checked(), log_det_weight)

  @_takes_frames
  def log_prob(
      self, x: Any, condition: Any = None, *,
      seed: random.SeedLike = None, estimator: layers.EstimatorLike = None,
      log_det_weight: tf.Tensor | None = None) -> tf.Tensor:
    """Returns `log p(x)` in nats, `[B]`, or an estimate of it.

    It is random if `is_random_with(estimator)`, and unbiased if the estimator
    is; `evaluation.evaluate_inputs` returns its standard error. With a random
    augmentation it estimates a lower bound, see `Flow`. With `log_det_weight`,
    a scalar `beta`, gradients are those of `log p(z) + beta log|det dz/dx|`.
    With an augmentation that has `points`, estimators other than 'training'
    give the log of the mean density over these, random ones the mean of its
    logarithm.
    """
    used = self.estimator if estimator is None else estimator
    if self.augmentation.num_points and used not in (None, 'training'):
      return self.augmentation.averaged(
          self._checked('x', x, self.event_shape, condition),
          None if self.condition_spec is None else self.condition_spec.convert(
              condition, self.compute_dtype),
          log_prob_fn=lambda y, condition: self.joint_log_prob(
              y, condition, seed=seed, estimator=used),
          is_random=self.is_random_with(used))
    y, log_weight = self.augment(x, condition, seed=seed, estimator=estimator)
    result = self.bijection.forward_pass(
        y, self._settings(condition, self._seeds(seed)[1], estimator))
    return self._density(result.checked(), log_det_weight) + log_weight

  @_takes_frames
  def log_prob_and_logits(
      self, x: Any, condition: Any = None, *,
      seed: random.SeedLike = None, estimator: layers.EstimatorLike = None,
      log_det_weight: tf.Tensor | None = None) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns `log_prob`, `[B]`, and logits, `[B, num_classes]`."""
    self._check_has_classifier()
    y, log_weight = self.augment(x, condition, seed=seed, estimator=estimator)
    result = self.bijection.forward_pass(y, self._settings(
        condition, self._seeds(seed)[1], estimator)).checked()
    log_prob = self._density(result, log_det_weight) + log_weight
    return log_prob, self.classifier(list(result.features))

  def classify(self, x: Any, condition: Any = None, *,
               seed: random.SeedLike = None) -> tf.Tensor:
    """Returns class logits `[B, num_classes]`, without log-determinants."""
    self._check_has_classifier()
    return self.classifier(list(self.transform(
        x, condition, seed=seed, estimator=numerics.NoLogDet()
    ).checked().features))

  def _check_has_classifier(self):
    errors.check(
        self.has_classifier, self.name, problem='has no classifier',
        advice='Train a hybrid model (--hybrid).')

  def bits_per_dim(
      self, x: Any, condition: Any = None, *,
      seed: random.SeedLike = None, estimator: layers.EstimatorLike = None,
  ) -> tf.Tensor:
    """Returns `-(log p(x) - D log n) / (D log 2)` for images, `[B]`.

    For `x = (X + U) / n` with integers `X` in {0, ..., n - 1} and uniform `U`,
    the mean over `U`, and over the noise of an augmentation, is an upper bound
    of the bits/dim of `X` (Theis et al., 2015).
    """
    return self.bits_per_dim_of(self.log_prob(
        x, condition, seed=seed, estimator=estimator))

  def bits_per_dim_of(self, log_prob: Any) -> Any:
    """Converts log-densities, an array or a tensor, to `bits_per_dim`."""
    errors.check(
        self.is_image, 'bits_per_dim',
        problem='requires images of integers', advice='Use log_prob.')
    return (
        math.log(self.num_levels) - log_prob / self.event_size) / math.log(2.0)

  @property
  def unit(self) -> str:
    """Unit of losses: 'bits_per_dim' for integer data, otherwise 'nats'."""
    return 'bits_per_dim' if self.is_image else 'nats'

  @property
  def unit_note(self) -> str:
    """Of how many bits or levels bits/dim are, '' if of 8: '(5 bits)'."""
    bits = math.log2(self.num_levels or 256)
    if bits == 8.0:
      return ''
    return f'({self.num_levels} levels)' if bits % 1.0 else f'({bits:g} bits)'

  def to_loss(self, log_prob: Any) -> Any:
    """Converts log-densities in nats to losses in `unit`."""
    return -log_prob if not self.is_image else self.bits_per_dim_of(
        log_prob)

  def loss_to_log_prob(self, loss: Any) -> Any:
    """Converts losses in `unit` to log-densities in nats."""
    return -loss if not self.is_image else self.event_size * (
        math.log(self.num_levels) - math.log(2.0) * loss)

  @_takes_frames
  def initialize(self, x: Any, condition: Any = None, *,
                 seed: random.SeedLike = None) -> None:
    """Initialises layers such as `ActNorm` from a batch of data."""
    if self.bijection.has_moving_statistics:
      self.update_statistics(x, condition, seed=seed)
    (self.classify if self.has_classifier else self.encode)(
        x, condition, seed=seed)

  @_takes_frames
  def update_statistics(self, x: Any, condition: Any = None, *,
                        seed: random.SeedLike = None) -> None:
    """Updates moving statistics by a batch; see `layers.MovingMean`."""
    self.bijection.update_statistics(
        self.augment(x, condition, seed=seed).y, condition)

  def draw_latents(
      self, num_samples: int | tf.Tensor, *, seed: random.SeedLike = None,
      start: int = 0) -> tf.Tensor:
    """Draws latents `[num_samples, D]` from the base distribution.

    Sample `i` depends only on the seed and `i`, not on the batch size.

    Args:
      num_samples: Python int or int32 scalar.
      start: index of the first sample.
    """
    if not tf.is_tensor(num_samples):
      errors.check(
          num_samples >= 0, 'num_samples', num_samples, 'an integer >= 0')
      # Latents, a copy at another temperature, and the data.
      machine.check_memory(
          3 * num_samples * self.latent_size * tf.as_dtype(
              self.compute_dtype).size, 'num_samples', num_samples)
    return random.normal_rows(
        tf.range(start, start + num_samples), random.as_seed(seed).values,
        self.latent_size, tf.as_dtype(self.compute_dtype))

  def sample(
      self, num_samples: int | tf.Tensor, condition: Any = None, *,
      seed: random.SeedLike = None, temperature: float | tf.Tensor = 1.0,
      solver: layers.SolverLike = None) -> tf.Tensor:
    """Draws samples `[num_samples, ...]` of the data.

    Args:
      num_samples: Python int or int32 scalar.
      condition: see `Flow`.
      seed: see `draw_latents`.
      temperature: standard deviation of the latents; below 1, samples have
        reduced entropy as in the paper's Figure 7.
      solver: see `Flow`.
    """
    z = temperature * self.draw_latents(num_samples, seed=seed)
    return self.inverse(z, condition, solver=solver)

  def sample_frame(
      self, num_samples: int, condition: Any = None, **options: Any) -> Any:
    """Draws samples as a `pandas.DataFrame` with the columns of a table.

    Columns of the condition are among them, in the order of the table.

    Args:
      num_samples: Python int.
      condition: see `Flow`; one for all samples, or one for each.
      **options: of `sample`.
    """
    x = self.sample(num_samples, condition, **options)
    if condition is not None:
      spec: Any = self.condition_spec
      condition = np.array(spec.convert(
          self.schema.condition_array(condition), 'float64'))
      condition = np.broadcast_to(
          condition, [num_samples, *condition.shape[1:]])
    return self.schema.to_frame(x.numpy(), condition)

  def bijector(self, name: str = 'flow') -> 'bijectors.LayerBijector':
    """Returns the flow as a `tfb.Bijector` from events to latents `[D]`."""
    return bijectors.LayerBijector(
        self.bijection, event_shape=self.augmentation.compute_output_shape(
            (None, *self.event_shape))[1:], estimator=self.estimator, name=name)

  def distribution(self) -> 'tfd.Distribution':
    """Returns the distribution of the data, unless only a bound is known."""
    errors.check(
        not self.augmentation.is_random, 'augmentation', self.augmentation.name,
        problem='cannot be used with distribution()', advice='Only a bound of '
        'the density of the data is known; use joint_distribution() for that '
        'with noise.')
    return self.joint_distribution()

  def joint_distribution(self) -> 'tfd.Distribution':
    """Returns the distribution of events: data and the noise, if any."""
    return bijectors.distribution(
        self.bijector(), self.latent_size, self.compute_dtype)

  def frozen(self) -> 'Flow':
    """Returns a copy with fixed weights; see `layers.Bijection.frozen`."""
    flow = Flow(
        self.bijection.frozen(), self.event_shape, self.num_levels,
        self.classifier and base_layer.frozen_copy(self.classifier),
        self._augmentation and self._augmentation.frozen(), self.estimator,
        name=self.name, dtype=self.dtype_policy)
    flow.schema = self.schema
    return flow

  def save_norms(self) -> None:
    """Stores the norms of the current kernels, which only saves time."""
    # A graph is built by one thread.
    for _ in numerics.parallel.map_parallel(
        lambda layer: layer.save_norms(), self.constrained_layers,
        max_parallel=None if tf.executing_eagerly() else 1):
      pass

  def lipschitz_bounds(
      self, *, certify: bool = True) -> list[lipschitz_report.LipschitzReport]:
    """Returns bounds of the Lipschitz constants of the residual blocks.

    Certification takes minutes for large images.
    """
    bounds = []
    leaves = self.bijection.leaves()
    for block in self.certified_bijections:
      name = (block.name if block in leaves
              else f'{self.augmentation.name}/{block.name}')
      bi_lipschitz = block.bi_lipschitz_bounds()
      certificate = (
          block.certificate() if certify else numerics.Certificate(None))
      bounds.append(lipschitz_report.LipschitzReport(
          name, block.lipschitz_bound, block.norm_estimate(),
          certificate.bound, certificate.methods, bi_lipschitz.order,
          bi_lipschitz.bound_source))
    return bounds

  def _config_of(self, **parts):
    return parts | {
        'estimator': self.estimator and self.estimator.spec(),
        'name': self.name, 'dtype': self.compute_dtype}

  def config_of_fields(self) -> dict:
    """Returns `get_config` of a flow that was built from its `config`."""
    return self._config_of(config=self.config.to_json_object())

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
