"""Augmentations, which add random dimensions to data before a flow."""

from collections.abc import Callable, Sequence
import math
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tf_resflow import errors
from tf_resflow import numerics
from tf_resflow.columns import column_types
from tf_resflow.columns import mapping
from tf_resflow.layers import base_layer
from tf_resflow.layers.bijections import bijection
from tf_resflow.numerics import differentiation

# Keeps the seed of the log-determinant apart from that of the noise.
_OF_LOG_DET = 1


class Augmented(NamedTuple):
  """Augmented data, and the log-weights of the random draws.

  Attributes:
    y: `[B, ...]`, the augmented data, events of a bijection.
    log_weight: `[B]`, `-log q(u|x)` of the draws `u`, nats.
  """

  y: tf.Tensor
  log_weight: tf.Tensor


class Augmentation(base_layer.BaseLayer):
  """A layer that augments data `x` by random draws `u` to `y = (x, u)`.

  For a density `p` of events and any distribution `q` of the draws, Jensen's
  inequality gives

    log p(x) = log int p(x, u) du = log E_q[p(x, u) / q(u|x)]
            >= E_q[log p(x, u) + log_weight],    log_weight = -log q(u|x),

  where the two sides differ by `KL(q(u|x) | p(u|x))`. One draw is thus an
  unbiased estimate of a lower bound, not of `log p(x)`, and is reported as
  such. Images are dequantised before, by `datasets.dequantize`: an augmentation
  receives numbers in [0, 1). One that dequantises them anew, from their levels
  `floor(n x)`, replaces that noise.

  Subclasses define `augment`, `project` and, where the shape changes,
  `compute_output_shape`. They may own variables, in which both results are
  differentiable if `u` is a function of them.

  For images (`--augmentation=NAME`), `registries.AUGMENTATIONS` has functions
  or classes that map (config, dtype) to an augmentation, or to None for none.
  Their attribute `unused_fields`, if any, names fields of the configuration
  that have no effect on it: to set one is an error.

  Attributes:
    is_random: whether it draws `u`, so that it takes a seed and flows return a
      lower bound of the log-density.
    parts: the bijections by which it draws, if any, such as those of a flow
      `q(u|x)`: a property, of layers in attributes of their own. Flows certify
      them and save their norms like those of their blocks. Their moving
      statistics are not updated.
    num_points: number of fixed points per example that `points` returns, over
      which evaluation averages densities instead of drawing `u`; 0 for none.
    is_initialized: see `Bijection`.

  Example:
    >>> y, log_weight = layers.NoiseChannels(2).augment(tf.zeros([5, 4, 4, 1]))
    >>> y.shape, log_weight.shape
    (TensorShape([5, 4, 4, 3]), TensorShape([5]))

  References:
    Huang, Dinh and Courville, 2020, Augmented Normalizing Flows, Section 3.
  """

  is_random = True
  num_points = 0
  parts: Sequence[bijection.Bijection] = ()

  @property
  def is_initialized(self) -> bool:
    """Whether a first batch has set all data-dependent weights."""
    return all(part.is_initialized for part in self.parts)

  def augment(self, x: tf.Tensor, condition: Any = None, *,
              seed: numerics.random.SeedLike = None) -> Augmented:
    """Returns the augmented data, and the log-weights of the draws.

    The draws of an example depend only on the seed and on its index in the
    global batch.

    Args:
      x: `[B, ...]`.
      condition: `[B, ...]`, a further input of `q`.
      seed: see `numerics.random.as_seed`.

    Of an augmentation with `parts` also `estimator=`, the `numerics.Estimator`
    of their log-determinants, or None for their own.
    """
    raise NotImplementedError

  def points(self, x: tf.Tensor) -> tf.Tensor:
    """Returns augmented data at fixed `u`, `[num_points, B, ...]`."""
    raise NotImplementedError

  def averaged(
      self, x: tf.Tensor, condition: Any = None, *, log_prob_fn: Callable,
      is_random: bool) -> tf.Tensor:
    """Returns the log of the mean density over `points`, `[B]`.

    Args:
      x: `[B, ...]`.
      condition: `[B, ...]` or `[1, ...]`, or None.
      log_prob_fn: maps events and conditions to log-densities.
      is_random: whether the log-densities are estimates; their mean is returned
        then, a lower bound, since the log of a mean would be biased.
    """
    y = self.points(x)
    events = tf.reshape(y, [-1, *y.shape[2:]])
    if condition is not None:
      base_layer.check_batch(condition, x)
      shape = tf.concat([tf.shape(y)[:2], tf.shape(condition)[1:]], axis=0)
      condition = tf.ensure_shape(
          tf.reshape(tf.broadcast_to(condition, shape), tf.concat(
              [[-1], shape[2:]], axis=0)), [None, *condition.shape[1:]])
    log_prob = tf.reshape(log_prob_fn(events, condition), tf.shape(y)[:2])
    if is_random:
      return tf.reduce_mean(log_prob, axis=0)
    # Where all densities are 0, the gradient of their sum's logarithm is NaN.
    has_density = tf.reduce_any(log_prob > -np.inf, axis=0)
    return tf.where(
        has_density, tf.reduce_logsumexp(
            tf.where(has_density, log_prob, tf.zeros_like(log_prob)), axis=0) -
        math.log(self.num_points), tf.reduce_max(log_prob, axis=0))

  def project(self, y: tf.Tensor) -> tf.Tensor:
    """Returns the data of augmented data: `project(augment(x).y)` is `x`.

    Of images that `augment` dequantises anew it is the centre of the bin,
    `(floor(n x) + 1/2) / n`; evaluation compares reconstructions with it.
    """
    raise NotImplementedError

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    return self.augment(inputs).y

  def frozen(self) -> keras.layers.Layer:
    """Returns an equal augmentation with fixed weights; see `Bijection`.

    By default a copy, in which `parts` still compute their norms; one of frozen
    parts is faster.
    """
    return base_layer.frozen_copy(self)


@base_layer.configured
class IdentityAugmentation(Augmentation):
  """No augmentation: nothing is drawn, and log-densities are not bounds.
  """

  is_random = False

  def augment(self, x: tf.Tensor, condition: Any = None, *,
              seed: numerics.random.SeedLike = None) -> Augmented:
    return Augmented(x, bijection.zero_log_det(x))

  def project(self, y: tf.Tensor) -> tf.Tensor:
    return y


@base_layer.configured
class NoiseChannels(Augmentation):
  """`y = [x, u]`: appends channels of independent noise to the data.

  With more dimensions than the data have, simpler bijections suffice. The
  `log_prob` of a flow is the bound of `Augmentation`, with equality if the flow
  learns that the noise is independent of the data with distribution `q`.
  Samples omit the noise.

  Args:
    num_channels: number of noise channels, at least 1.
    distribution: spec of the `numerics.NoiseDistribution` `q` of every entry,
      on [0, 1] like pixels: 'uniform', 'gaussian' or 'gaussian:SCALE'.

  Raises:
    InvalidValueError: if `num_channels` or `distribution` is not one of these.

  Example:
    >>> noise = layers.NoiseChannels(1, 'gaussian')
    >>> y, _ = noise.augment(tf.zeros([5, 2, 2, 3]), seed=0)
    >>> y.shape, noise.project(y).shape
    (TensorShape([5, 2, 2, 4]), TensorShape([5, 2, 2, 3]))

  References:
    Chen et al., 2019, the released code of Residual Flows (`--padding`).
  """

  def __init__(
      self, num_channels: int, distribution: str = 'uniform', **kwargs):
    super().__init__(**kwargs)
    errors.check(isinstance(num_channels, int) and num_channels >= 1,
                 'num_channels', num_channels, 'an integer >= 1')
    self.num_channels = num_channels
    self.distribution = distribution
    self.noise_distribution = numerics.NoiseDistribution.get(distribution)

  def augment(self, x: tf.Tensor, condition: Any = None, *,
              seed: numerics.random.SeedLike = None) -> Augmented:
    del condition  # The noise is independent of it.
    u = tf.ensure_shape(
        self.noise_distribution.draw(
            tf.concat([tf.shape(x)[:-1], [self.num_channels]], 0), seed,
            x.dtype),
        [*x.shape[:-1], self.num_channels])
    return Augmented(
        tf.concat([x, u], axis=-1),
        -differentiation.sum_per_example(self.noise_distribution.log_prob(u)))

  def project(self, y: tf.Tensor) -> tf.Tensor:
    return y[..., :-self.num_channels]

  def compute_output_shape(self, input_shape: tuple) -> tuple:
    return (*input_shape[:-1], input_shape[-1] + self.num_channels)


@base_layer.configured
class UniformDequantization(Augmentation):
  """`y = k + u` for numbers `x = k step`, with `u` uniform on [0, 1).

  For a density `p` of `y`, the probability of `x` is the mean of `p` over the
  cell of `k`, `P(x) = int p(k + u) du`. Log-densities are `log P(x) - log step`
  summed over columns, per unit of `x`, so that they compare with those of
  models that know of no step. Training maximises the lower bound `E log p(k +
  u)`; evaluation approximates `log P(x)` by the log of the mean of `p` over
  `num_points` fixed points of the cell (`mapping.cell_points`). Values of
  other columns are densities. A value between two multiples of the step is that
  of the lower one, in whose cell it is.

  With a learned map `noise` of `u` to `v`, of the density `q(v|x)`, training
  maximises the tighter bound `E [log p(k + v) - log q(v|x)]`. Fixed points are
  those of uniform noise all the same: `log P(x)` does not depend on `q`.

  Args:
    columns: indices of the columns that are grids.
    num_points: number of fixed points in evaluation; 0 to draw there, too.
    steps: of these columns; by default 1, of whole numbers.
    noise: a `layers.VariationalDequantization` of `columns`, or None.

  Example:
    >>> cells = layers.UniformDequantization([1], steps=[25.0])
    >>> y, _ = cells.augment(tf.constant([[0.5, 75.0]]), seed=0)
    >>> bool(3.0 <= y[0, 1] < 4.0), cells.project(y).numpy().tolist()
    (True, [[0.5, 75.0]])

  References:
    Theis et al., 2016, A Note on the Evaluation of Generative Models, 3.1.
  """

  def __init__(self, columns: Sequence[int], num_points: int = 16,
               steps: Sequence[float] = (),
               noise: bijection.Bijection | None = None, **kwargs):
    super().__init__(**kwargs)
    errors.check(num_points >= 0, 'num_points', num_points, 'an integer >= 0')
    self.columns = tuple(columns)
    self.num_points = num_points
    self.steps = tuple(steps or [1.0] * len(columns))
    self.noise = noise

  @property
  def parts(self) -> Sequence[bijection.Bijection]:
    return () if self.noise is None else (self.noise,)

  def build(self, input_shape: tuple) -> None:
    for part in self.parts:
      base_layer.build_once(part, input_shape)

  def _is_integer(self, x):
    return tf.constant([i in self.columns for i in range(x.shape[-1])])

  def _grid(self, x):
    """Returns the types of all columns; those that are no grid count in ones.
    """
    steps = dict(zip(self.columns, self.steps, strict=True))
    return column_types.stacked(
        [column_types.SignedInteger(steps.get(i, 1.0))
         for i in range(x.shape[-1])], x.dtype.as_numpy_dtype)

  def cells(self, x: tf.Tensor) -> tf.Tensor:
    """Returns `k` in the columns that are grids, others as they are."""
    grid = self._grid(x)
    up, down = grid.ratio
    t = x * down / up
    # A gradient by `x` is that at a point of its cell. Infinity stays itself.
    k = t + tf.stop_gradient(tf.where(
        tf.math.is_finite(t), grid.units(x, tf.math) - t, tf.zeros_like(t)))
    return tf.where(self._is_integer(x), k, x)

  def _log_weight(self, x):
    """Returns minus the sum of the logarithms of steps, `[B]`."""
    return bijection.common_log_det(x, tf.constant(
        -np.sum(np.log(self.steps)), x.dtype))

  def augment(self, x: tf.Tensor, condition: Any = None, *,
              seed: numerics.random.SeedLike = None, estimator: Any = None
              ) -> Augmented:
    del condition
    seed = numerics.random.as_seed(seed)
    k = self.cells(x)
    # Not 0, which has no logarithm.
    y = k + tf.maximum(
        numerics.random.uniform(tf.shape(x), seed, x.dtype), 2.0**-24)
    # Rounding may reach the next cell.
    y = tf.minimum(y, tf.math.nextafter(k + 1.0, k))
    y = tf.where(self._is_integer(x), y, x)
    if self.noise is None:
      return Augmented(y, self._log_weight(x))
    result = self.noise.forward_pass(y, bijection.PassSettings(
        seed=numerics.random.fold_in(seed, _OF_LOG_DET), estimator=estimator))
    return Augmented(result.value, result.log_det + self._log_weight(
        result.log_det))

  def points(self, x: tf.Tensor) -> tf.Tensor:
    u = np.zeros([self.num_points, 1, x.shape[-1]])
    u[:, 0, list(self.columns)] = mapping.cell_points(
        len(self.columns), self.num_points)
    return self.cells(x) + tf.constant(u, x.dtype)

  def averaged(self, x: tf.Tensor, *arguments: Any, **settings: Any
               ) -> tf.Tensor:
    log_prob = super().averaged(x, *arguments, **settings)
    return self._log_weight(log_prob) + log_prob  # Rows may be float64.

  def project(self, y: tf.Tensor) -> tf.Tensor:
    return tf.where(
        self._is_integer(y), self._grid(y).values(tf.floor(y)), y)

