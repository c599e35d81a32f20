"""Base distributions of flows: those of their latents."""

import functools
import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import special
import tensorflow as tf

from tf_resflow import errors
from tf_resflow.columns import mixtures
from tf_resflow.layers import base_layer
from tf_resflow.numerics import random

if TYPE_CHECKING:  # The import takes a second.
  from tensorflow_probability import distributions as tfd

_LOG_2_PI = math.log(2.0 * math.pi)


class BaseDistribution(base_layer.BaseLayer):
  """The distribution of latents `z`, `[D]`; `call` is its log-density.

  Subclasses define `distribution`; they may define `log_prob` and `draw`, which
  by default are those of TFP, and `fit`. `registries.BASES` has the classes
  that `--base=NAME` chooses.

  Attributes:
    is_data_dependent: whether latents of training rows set weights, see `fit`.
      Blocks then begin as the identity, so that the flow begins as this
      distribution of linearly mapped data.
    size: `D`, once it is built.

  Example:
    >>> class Laplace(layers.BaseDistribution):
    ...   def distribution(self):
    ...     zeros = tf.zeros(self.size, self.compute_dtype)
    ...     return tfd.Independent(tfd.Laplace(zeros, 1.0), 1)
    >>> flow = models.Flow(layers.ActNorm(), (3,), base=Laplace())
    >>> flow.sample(5).shape
    TensorShape([5, 3])
  """

  is_data_dependent = False
  size: int

  def build(self, input_shape: tuple) -> None:
    (self.size,) = input_shape[1:]

  def distribution(self) -> 'tfd.Distribution':
    """Returns the distribution of `z`, of event shape `[D]`."""
    raise NotImplementedError

  def log_prob(self, z: tf.Tensor) -> tf.Tensor:
    """Returns the log-density of latents `[B, D]` of any dtype, `[B]`, nats."""
    return self.distribution().log_prob(z)

  def cdf(self, z: np.ndarray) -> np.ndarray:
    """Returns `P(Z <= z)` of latents of one dimension, float64, `[N]`."""
    raise NotImplementedError

  def draw(self, numbers: tf.Tensor, seed: tf.Tensor,
           temperature: float | tf.Tensor = 1.0) -> tf.Tensor:
    """Draws latents `[N, D]`.

    Args:
      numbers: integers `[N]`; a draw depends on its number and the seed alone.
      seed: int32 `[2]`.
      temperature: factor of deviations from the mean of the distribution.
    """
    draws, mean = self._drawn(numbers, seed)
    return mean + tf.cast(temperature, mean.dtype) * (draws - mean)

  @functools.cached_property
  def _drawn(self):
    """A graph: eagerly, a loop over rows would be slow."""
    def draw(numbers, seed):
      base = self.distribution()
      return tf.map_fn(
          lambda i: base.sample(seed=random.fold_in(seed, i).values), numbers,
          fn_output_signature=base.dtype), base.mean()

    return tf.function(draw, autograph=False, reduce_retracing=True)

  def fit(self, z: np.ndarray, seed: int = 0) -> None:
    """Sets the weights by latents of training rows, `[N, D]`."""

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    return self.log_prob(inputs)

  def compute_output_shape(self, input_shape: tuple) -> tuple:
    return tuple(input_shape[:1])


@base_layer.configured
class StandardNormal(BaseDistribution):
  """`N(0, I)`; at temperature T the standard deviation of draws is T.

  Example:
    >>> base = layers.StandardNormal()
    >>> print(f'{base(tf.zeros([1, 2]))[0]:.4f}')
    -1.8379
  """

  def distribution(self) -> 'tfd.Distribution':
    from tensorflow_probability import distributions as tfd
    return tfd.MultivariateNormalDiag(tf.zeros([self.size], self.compute_dtype))

  def log_prob(self, z: tf.Tensor) -> tf.Tensor:
    return -0.5 * tf.reduce_sum(z * z + _LOG_2_PI, axis=1)

  def cdf(self, z: np.ndarray) -> np.ndarray:
    return special.ndtr(z)

  def draw(self, numbers: tf.Tensor, seed: tf.Tensor,
           temperature: float | tf.Tensor = 1.0) -> tf.Tensor:
    return temperature * random.normal_rows(
        numbers, seed, self.size, tf.as_dtype(self.compute_dtype))


@base_layer.configured
class GaussianMixture(BaseDistribution):
  """A mixture of Gaussians, `p(z) = sum_k w_k N(z; m_k, (P_k P_k^T)^-1)`.

  `fit` chooses the number of components, at most `num_components`, and their
  parameters by EM, see `mixtures.search`, for about a minute at most; before,
  it is a standard normal. They are no subject of training. Components that are
  not used have weight 0.

  At temperature T draws are `m_k + T P_k^-T e`, `e ~ N(0, I)`: the components
  keep their weights and centres, and T times their standard deviations.

  Args:
    num_components: largest number of components.

  Example:
    >>> rng = np.random.default_rng(0)
    >>> z = rng.normal(size=[500, 1]) + 9.0 * rng.integers(2, size=[500, 1])
    >>> base = layers.GaussianMixture(2)
    >>> base.build((None, 1))
    >>> base.fit(z)
    >>> sorted(np.round(base.means.numpy()[:, 0]).astype(int).tolist())
    [0, 9]

  References:
    Izmailov et al., 2020, Semi-Supervised Learning with Normalizing Flows
    (a mixture of Gaussians as base distribution).
  """

  is_data_dependent = True

  def __init__(self, num_components: int = 10, **kwargs):
    super().__init__(**kwargs)
    errors.check(
        num_components >= 1, 'num_components', num_components, 'a number >= 1')
    self.num_components = num_components

  def build(self, input_shape: tuple) -> None:
    super().build(input_shape)
    count, size = self.num_components, self.size
    add = functools.partial(self.add_weight, trainable=False)
    self.component_weights = add(
        name='component_weights', shape=(count,), initializer=lambda *_, **__: (
            tf.one_hot(0, count, dtype=self.compute_dtype)))
    self.means = add(name='means', shape=(count, size), initializer='zeros')
    self.precision_factors = add(  # P_k, upper triangular.
        name='precision_factors', shape=(count, size, size),
        initializer=lambda *_, **__: tf.eye(
            size, batch_shape=[count], dtype=self.compute_dtype))

  def fit(self, z: np.ndarray, seed: int = 0) -> None:
    counts = [n for n in mixtures.NUM_COMPONENTS if n < self.num_components]
    _, found, _ = mixtures.search(
        {'latents': (np.float64(z), np.zeros(len(z)))},
        [*counts, self.num_components], ['full'], max_seconds=60.0,
        seed=seed).mixture
    count = found.n_components
    values = [v.numpy() for v in self.variables]
    for value, fitted in zip(values, (
        found.weights_, found.means_, found.precisions_cholesky_), strict=True):
      value[:count] = fitted
    values[0][count:] = 0.0
    self.set_weights(values)

  def _parameters(self, dtype):
    return [tf.cast(tf.convert_to_tensor(v.value), dtype)
            for v in (
                self.component_weights, self.means, self.precision_factors)]

  def log_prob(self, z: tf.Tensor) -> tf.Tensor:
    weights, means, factors = self._parameters(z.dtype)
    # [K, B, D].
    scaled = tf.matmul(z - means[:, tf.newaxis], factors)
    log_det = tf.reduce_sum(tf.math.log(tf.linalg.diag_part(factors)), axis=1)
    return tf.reduce_logsumexp(
        (tf.math.log(weights) + log_det)[:, tf.newaxis] - 0.5 * tf.reduce_sum(
            scaled * scaled + _LOG_2_PI, axis=2), axis=0)

  def cdf(self, z: np.ndarray) -> np.ndarray:
    weights, means, factors = (
        np.array(p) for p in self._parameters('float64'))
    return special.ndtr(
        (z[:, np.newaxis] - means[:, 0]) * factors[:, 0, 0]
    ) @ weights / weights.sum()

  def distribution(self) -> 'tfd.Distribution':
    from tensorflow_probability import distributions as tfd
    weights, means, factors = self._parameters(self.compute_dtype)
    return tfd.MixtureSameFamily(
        tfd.Categorical(probs=weights), tfd.MultivariateNormalTriL(
            means, tf.linalg.matrix_transpose(tf.linalg.inv(factors))))

  def draw(self, numbers: tf.Tensor, seed: tf.Tensor,
           temperature: float | tf.Tensor = 1.0) -> tf.Tensor:
    weights, means, factors = self._parameters(self.compute_dtype)
    normals = random.normal_rows(
        numbers, seed, self.size + 1, tf.as_dtype(self.compute_dtype))
    # The last one chooses the component. The sum of all weights is exactly 1,
    # so that none of weight 0 is.
    shares = tf.cumsum(weights)
    chosen = tf.searchsorted(
        shares / shares[-1], 0.5 * tf.math.erfc(-normals[:, -1] / 2.0**0.5))
    # e^T P^-1, from P^T d = e.
    deviations = tf.linalg.triangular_solve(
        tf.gather(factors, chosen), normals[:, :-1, tf.newaxis], lower=False,
        adjoint=True)[..., 0]
    return tf.gather(means, chosen) + temperature * deviations
