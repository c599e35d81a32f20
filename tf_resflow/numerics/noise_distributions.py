"""Distributions on [0, 1] of the noise in augmented channels of images."""

import dataclasses
import math
from typing import ClassVar

import tensorflow as tf

from tf_resflow import errors
from tf_resflow.numerics import random
from tf_resflow.specs import registries
from tf_resflow.specs import spec


@dataclasses.dataclass(frozen=True)
class NoiseDistribution(spec.Specified):
  """A distribution with density `q` on [0, 1], the range of pixels.

  Subclasses are frozen dataclasses.

  Attributes:
    mean: its mean.
  """

  registry: ClassVar = registries.NOISE_DISTRIBUTIONS
  mean: ClassVar[float] = 0.5

  @property
  def stddev(self) -> float:
    """The standard deviation of the distribution."""
    raise NotImplementedError

  def draw(self, shape: tf.Tensor, seed: random.SeedLike,
           dtype: tf.DType = tf.float32) -> tf.Tensor:
    """Draws independent samples, `shape = [B, ...]`.

    The draws of an example depend only on the seed, see
    `numerics.random.as_seed`, and on its index in the global batch.
    """
    raise NotImplementedError

  def log_prob(self, u: tf.Tensor) -> tf.Tensor:
    """Returns `log q(u)` elementwise, in nats, for `u` in [0, 1]."""
    raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class UniformNoise(NoiseDistribution):
  """The uniform distribution, `q(u) = 1`.

  The authors' code divides its uniform noise by the number of levels of a
  pixel; here it covers the interval that pixels cover.

  Example:
    >>> u = numerics.UniformNoise().draw([100], seed=0)
    >>> bool(tf.reduce_all((u >= 0.0) & (u < 1.0)))
    True
  """

  @property
  def stddev(self) -> float:
    return 12.0**-0.5

  def draw(self, shape: tf.Tensor, seed: random.SeedLike,
           dtype: tf.DType = tf.float32) -> tf.Tensor:
    return random.uniform(shape, seed, dtype)

  def log_prob(self, u: tf.Tensor) -> tf.Tensor:
    return tf.zeros_like(u)


@dataclasses.dataclass(frozen=True)
class GaussianNoise(NoiseDistribution):
  """A normal distribution of mean 1/2, truncated to [0, 1].

    log q(u) = -(u - 1/2)^2 / (2 s^2) - log(s sqrt(2 pi))
               - log erf(1 / (2 sqrt(2) s))

  The authors' code has `s = 1/8` (`N(n/2, n/8) / n` for `n` levels) and does
  not truncate: 6.3e-5 of its samples lie outside of [0, 1], where the logit
  transform of pixels becomes NaN (from 1 + 1e-6 on for MNIST).

  Args:
    scale: `s`, above 0.

  Example:
    >>> u = numerics.GaussianNoise().draw([1000], seed=0)
    >>> np.allclose(np.std(u), 0.125, atol=0.01)
    True
  """

  scale: float = 0.125

  def __post_init__(self):
    errors.check(0.0 < self.scale < math.inf, 'scale', self.scale,
                 'a finite number > 0')

  @property
  def _probability(self):
    """The probability of [0, 1] under the normal distribution."""
    return math.erf(0.5**1.5 / self.scale)

  @property
  def stddev(self) -> float:
    edge = 0.5 / self.scale
    density = math.exp(-0.5 * edge**2) / math.sqrt(2.0 * math.pi)
    return self.scale * math.sqrt(
        1.0 - 2.0 * edge * density / self._probability)

  def draw(self, shape: tf.Tensor, seed: random.SeedLike,
           dtype: tf.DType = tf.float32) -> tf.Tensor:
    # Inverted about the middle and in float64, where no tail is rounded away.
    v = 2.0 * random.uniform(shape, seed, tf.float64) - 1.0
    normal = math.sqrt(2.0) * tf.math.erfinv(self._probability * v)
    return tf.cast(tf.clip_by_value(0.5 + self.scale * normal, 0.0, 1.0), dtype)

  def log_prob(self, u: tf.Tensor) -> tf.Tensor:
    return -0.5 * ((u - 0.5) / self.scale)**2 - math.log(
        self.scale * math.sqrt(2.0 * math.pi) * self._probability)
