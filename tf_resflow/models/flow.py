"""Base class of flows: densities and samples."""

from typing import Any, NamedTuple, TYPE_CHECKING

import keras
import numpy as np
import tensorflow as tf

from tf_resflow import bijectors
from tf_resflow import errors
from tf_resflow import layers
from tf_resflow import numerics
from tf_resflow.columns import rows as rows_lib
from tf_resflow.layers import base_layer
from tf_resflow.layers.bijections.bijection import EstimatorLike
from tf_resflow.layers.bijections.bijection import SolverLike
from tf_resflow.models import parts as parts_lib
from tf_resflow.models import trainable_model
from tf_resflow.numerics import random
from tf_resflow.numerics.random import SeedLike
from tf_resflow.specs import renamed

if TYPE_CHECKING:  # The import takes a second.
  from tensorflow_probability import distributions as tfd

# Most rows that a base distribution is fitted to.
_MAX_ROWS = 10_000


class Density(NamedTuple):
  """The log-density of data, and all that a pass gives besides.

  Attributes:
    log_prob: `[B]`, nats, see `Flow.log_prob`.
    z: latents `[B, D]`.
    log_det: `[B]`, an estimate of `log|det dz/dy|` at events `y`, nats.
    features: tensors `[B, ...]`, which a classifier reads.
    solves: the fixed points that the pass solved for.
  """

  log_prob: tf.Tensor
  z: tf.Tensor
  log_det: tf.Tensor
  features: tuple[tf.Tensor, ...]
  solves: tuple[layers.Solve, ...] = ()


@keras.saving.register_keras_serializable('tf_resflow')
class Flow(trainable_model.TrainableModel):
  """A normalizing flow: a bijection from events to latents of a base.

  The base distribution of the latents is standard normal by default.

  With a random augmentation, events `y = (x, u)` consist of data and noise.
  `log_prob` is then `log p(x, u) - log q(u|x)` for one draw `u ~ q`, an
  unbiased estimate of a lower bound of `log p(x)`, and bits/dim, per dimension
  of `x`, are upper bounds; see `layers.Augmentation`.

  Methods take these arguments, all but the first two by keyword:

  - `x`: data, `[B, ...]`; images are dequantised to [0, 1).
  - `condition`: conditions of a flow `p(x|c)`, see `condition_spec`; `[B, ...]`
    or one condition for all examples. Data and conditions of tables may be data
    frames, or cells by column, see `columns.rows.arrays`.
  - `seed`: seed of all random draws, see `numerics.random.as_seed`; by default
    each execution makes new draws. With a random augmentation, its noise uses
    `fold_in(seed, 0)`, and the log-determinant `fold_in(seed, 1)`.
  - `estimator`: log-determinant estimator, or its spec, such as 'exact';
    'training' selects those of the blocks, by which they are trained. By
    default that of the flow or, if it has none, those of the blocks.
  - `solver`: solver of inverses (and of forward passes that are solves), or its
    spec; by default those of the blocks. A solve that does not converge raises
    `tf.errors.InvalidArgumentError`, except where a method reports it.

  Called eagerly, `log_prob`, `encode`, `inverse` and `sample` take rows in
  parts of 80,000 numbers, so that memory suffices for any number of them.

  Args:
    bijection: maps events to latents `[D]`; it is built if necessary.
    event_shape: shape of the data, that of an event without an augmentation.
    num_levels: number of integer levels n of pixels; None if continuous.
    classifier: a layer that maps features of the bijection to logits, or None.
    augmentation: maps data to events; None for the identity.
    estimator: default log-determinant estimator, or its spec.
    base: distribution of the latents; None for the standard normal.
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

  # Whether the constructor takes the configuration in place of the parts.
  _takes_config = False

  def _settings(self, condition, seed, estimator=None, solver=None):
    """Returns the settings of a pass of the bijection with `seed`."""
    return layers.PassSettings.of(
        condition, seed, self.estimator if estimator is None else estimator,
        solver)

  def _checked(self, name, x, event_shape, condition):
    """Returns `x` as a tensor `[B, *event_shape]`; checks arguments."""
    self.check_condition(condition)
    x = tf.convert_to_tensor(x, dtype_hint=self.schema.dtype)
    errors.check(
        x.dtype.is_floating or not self.is_image, name, x.dtype.name,
        'floats', 'datasets.dequantize turns integers into these in [0, 1).')
    x = tf.cast(x, self.input_dtype if name == 'x' else self.compute_dtype)
    errors.check(
        x.shape.is_compatible_with([None, *event_shape]), name,
        f'a tensor {x.shape}', f'[B, {", ".join(map(str, event_shape))}]')
    return x

  def _augmented(self, x, condition, seed, estimator=None, solver=None):
    """Returns augmented data, and the settings of the bijection's pass."""
    x, condition = rows_lib.arrays(self.schema, x, condition)
    x = self._checked('x', x, self.event_shape, condition)
    of_noise, of_log_det = (
        random.fold_in(seed, 0), random.fold_in(seed, 1)
    ) if self.augmentation.is_random else (None, seed)
    settings = self._settings(condition, of_log_det, estimator, solver)
    return self.augmentation.augment(x, condition, seed=of_noise, **(
        {'estimator': settings.estimator} if self.augmentation.parts else {}
    )), settings

  def augment(self, x: Any, condition: Any = None, *, seed: SeedLike = None,
              estimator: EstimatorLike = None) -> layers.Augmented:
    """Returns the augmented data, as in all methods at this seed."""
    return self._augmented(x, condition, seed, estimator)[0]

  def transform(self, x: Any, condition: Any = None, *, seed: SeedLike = None,
                estimator: EstimatorLike = None,
                solver: SolverLike = None) -> layers.PassResult:
    """Maps data to latents `[B, D]`, and reports convergence."""
    (y, _), settings = self._augmented(x, condition, seed, estimator, solver)
    return self.bijection.forward_pass(y, settings)

  def encode(self, x: Any, condition: Any = None, *,
             seed: SeedLike = None) -> tf.Tensor:
    """Returns latents `[B, D]`; the seed is for a random augmentation."""
    if parts := parts_lib.split(self, x, condition, seed):
      return tf.concat([self.encode(
          *inputs, seed=seed) for *inputs, seed in parts], axis=0)
    (y, _), settings = self._augmented(x, condition, seed)
    # Keras would cast `y` to the dtype of the layer.
    return self.bijection.call(y, settings.condition)

  def call(self, inputs: tf.Tensor, condition: Any = None) -> tf.Tensor:
    return self.encode(inputs, condition)

  def solve_inverse(self, z: Any, condition: Any = None, *,
                    solver: SolverLike = None) -> layers.PassResult:
    """Maps latents `[B, D]` to data, and reports convergence."""
    condition = rows_lib.condition_array(self.schema, condition)
    result = self.bijection.solve_inverse(
        self._checked('z', z, (self.latent_size,), condition), condition,
        solver=solver)
    return result._replace(value=self.augmentation.project(result.value))

  def inverse(self, z: Any, condition: Any = None, *,
              solver: SolverLike = None) -> tf.Tensor:
    """Returns the `x` that `encode` maps to latents `z`, `[B, D]`."""
    if parts := parts_lib.split(self, z, condition):
      return tf.concat([self.inverse(
          *inputs, solver=solver) for *inputs, _ in parts], axis=0)
    return self.solve_inverse(z, condition, solver=solver).checked().value

  def _density(self, result, log_weight, log_det_weight=None, dtype=None):
    """Returns the density by a pass; `log_det_weight` scales gradients."""
    z, log_det, solves, features = result.checked()
    weighted = log_det
    if log_det_weight is not None:
      value = tf.stop_gradient(log_det)
      weighted = value + tf.cast(log_det_weight, value.dtype) * (
          log_det - value)
    of_z, weighted, log_weight = (
        tf.cast(t, dtype or z.dtype) for t in (z, weighted, log_weight))
    return Density(
        self.base.log_prob(of_z) + weighted + log_weight, z, log_det, features,
        solves)

  def density(
      self, x: Any, condition: Any = None, *,
      seed: SeedLike = None, estimator: EstimatorLike = None,
      log_det_weight: tf.Tensor | None = None, dtype: Any = None) -> Density:
    """Returns `log_prob` with the latents and features of the same pass.

    The log-density is a sum of numbers of type `dtype`, by default that of the
    flow. With an augmentation that has `points`, latents and log-determinants
    are those of one draw of its noise.
    """
    (y, log_weight), settings = self._augmented(x, condition, seed, estimator)
    density = self._density(
        self.bijection.forward_pass(y, settings), log_weight, log_det_weight,
        dtype)
    if not self._averages_points(settings.estimator):
      return density
    return density._replace(log_prob=tf.cast(self.log_prob(
        x, condition, seed=seed, estimator=estimator), density.log_prob.dtype))

  def joint_log_prob(self, y: Any, condition: Any = None, *,
                     seed: SeedLike = None,
                     estimator: EstimatorLike = None) -> tf.Tensor:
    """Returns an estimate of the log-density of events `y`; see `log_prob`."""
    settings = self._settings(
        rows_lib.condition_array(self.schema, condition), seed, estimator)
    return self._density(self.bijection.forward_pass(y, settings), 0.0).log_prob

  def log_prob(self, x: Any, condition: Any = None, *, seed: SeedLike = None,
               estimator: EstimatorLike = None,
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
    if parts := parts_lib.split(self, x, condition, seed):
      return tf.concat([self.log_prob(
          *inputs, seed=seed, estimator=estimator,
          log_det_weight=log_det_weight) for *inputs, seed in parts], axis=0)
    used = self._settings(condition, seed, estimator).estimator
    if not self._averages_points(used):
      return self.density(
          x, condition, seed=seed, estimator=estimator,
          log_det_weight=log_det_weight).log_prob
    x, condition = rows_lib.arrays(self.schema, x, condition)
    spec = self.condition_spec
    return self.augmentation.averaged(
        self._checked('x', x, self.event_shape, condition),
        spec and spec.convert(condition, self.compute_dtype),
        log_prob_fn=lambda y, condition: self.joint_log_prob(
            y, condition, seed=seed, estimator=used),
        is_random=self.is_random_with(used))

  def score_samples(self, x: Any, condition: Any = None, **options: Any
                    ) -> np.ndarray:
    """Returns `log_prob`, with its options, as a NumPy array `[N]`.

    The name is that of scikit-learn's densities; `tf_resflow.score` says more
    of rows.
    """
    return self.log_prob(x, condition, **options).numpy()

  def classify(self, x: Any, condition: Any = None, *,
               seed: SeedLike = None) -> tf.Tensor:
    """Returns class logits `[B, num_classes]`, without log-determinants."""
    return self.logits(self.transform(
        x, condition, seed=seed, estimator=numerics.NoLogDet()
    ).checked().features)

  def bits_per_dim(self, x: Any, condition: Any = None, *,
                   seed: SeedLike = None,
                   estimator: EstimatorLike = None) -> tf.Tensor:
    """Returns `-(log p(x) - D log n) / (D log 2)` for images, `[B]`.

    For `x = (X + U) / n` with integers `X` in {0, ..., n - 1} and uniform `U`,
    the mean over `U`, and over the noise of an augmentation, is an upper bound
    of the bits/dim of `X` (Theis et al., 2015).
    """
    return self.bits_per_dim_of(self.log_prob(
        x, condition, seed=seed, estimator=estimator))

  def initialize(self, x: Any, condition: Any = None, *,
                 seed: SeedLike = None) -> None:
    """Initialises layers such as `ActNorm` from a batch of data."""
    if self.bijection.has_moving_statistics:
      self.update_statistics(x, condition, seed=seed)
    (self.classify if self.has_classifier else self.encode)(
        x, condition, seed=seed)

  def fit_base(self, x: Any, condition: Any = None, *, seed: int = 0) -> None:
    """Fits the base distribution to training data, if it is one of these.

    They are those of the initialised flow, before training. Of more than 10,000
    some are drawn.
    """
    if self.base.is_data_dependent:
      chosen = np.random.default_rng(seed).permutation(len(x))[:_MAX_ROWS]
      x, condition = (part if part is None else tf.gather(part, chosen)
                      for part in rows_lib.arrays(self.schema, x, condition))
      self._fit_base(x, condition, seed)

  def _fit_base(self, x, condition, seed):
    self.base.fit(self.encode(x, condition, seed=seed).numpy(), seed)

  def update_statistics(self, x: Any, condition: Any = None, *,
                        seed: SeedLike = None) -> None:
    """Updates moving statistics by a batch; see `layers.MovingMean`."""
    (y, _), settings = self._augmented(x, condition, seed)
    self.bijection.update_statistics(y, settings.condition)

  def sample(self, num_samples: int | tf.Tensor, condition: Any = None, *,
             seed: SeedLike = None, temperature: float | tf.Tensor = 1.0,
             solver: SolverLike = None) -> tf.Tensor:
    """Draws samples `[num_samples, ...]` of the data; see `draw_latents`.

    At temperatures below 1 they have reduced entropy as in the paper's Figure
    7.
    """
    numbers, seed = self._numbers(num_samples), random.as_seed(seed)
    return tf.concat([
        self.inverse(self.base.draw(numbers, seed.values, temperature),
                     condition, solver=solver)
        for numbers, condition, _ in parts_lib.split(self, numbers, condition)
        or [(numbers, condition, None)]], axis=0)

  def sample_frame(
      self, num_samples: int, condition: Any = None, **options: Any) -> Any:
    """Draws samples as a `pandas.DataFrame` with the columns of a table.

    Columns of the condition, one for all samples or one for each, are among
    them, in the order of the table. The options are those of `sample`.
    """
    x = self.sample(num_samples, condition, **options)
    spec = self.condition_spec
    if condition is not None and spec is not None:
      condition = np.array(spec.convert(
          rows_lib.condition_array(self.schema, condition), 'float64'))
      condition = np.broadcast_to(
          condition, [num_samples, *condition.shape[1:]])
    return rows_lib.to_frame(self.schema, x.numpy(), condition)

  def bijector(self, name: str = 'flow') -> 'bijectors.LayerBijector':
    """Returns the flow as a `tfb.Bijector` from events to latents `[D]`."""
    errors.check(
        self.input_dtype == self.compute_dtype, 'dtype', self.compute_dtype,
        f'{self.input_dtype}, which the columns need',
        'Load the flow with it, tf_resflow.load(workdir, dtype=...).')
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
    return bijectors.distribution(self.bijector(), self.base.distribution())

  def frozen(self) -> 'Flow':
    """Returns a copy with fixed weights; see `layers.Bijection.frozen`."""
    flow = Flow(
        self.bijection.frozen(), self.event_shape, self.num_levels,
        self.classifier and base_layer.frozen_copy(self.classifier),
        self._augmentation and self._augmentation.frozen(), self.estimator,
        self._base and base_layer.frozen_copy(self._base), name=self.name,
        dtype=self.dtype_policy)
    flow.schema = self.schema
    return flow

  def get_config(self) -> dict:
    serialize = keras.saving.serialize_keras_object
    parts = {
        'bijection': serialize(self.bijection), 'event_shape': self.event_shape,
        'num_levels': self.num_levels, 'classifier': serialize(self.classifier),
        'augmentation': serialize(self._augmentation),
        'base': serialize(self._base),
    } if not self._takes_config else {'config': self.config.to_json_object()}
    return parts | {
        'estimator': self.estimator and self.estimator.spec(),
        'name': self.name, 'dtype': self.compute_dtype}

  @classmethod
  def from_config(cls, config: dict) -> 'Flow':
    config = renamed.present_arguments('Flow', config)
    return cls(**config | {
        name: keras.saving.deserialize_keras_object(config[name])
        for name in ('bijection', 'classifier', 'augmentation', 'base')
        if name in config})
