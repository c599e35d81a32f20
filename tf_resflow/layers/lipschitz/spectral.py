"""The spectrally normalised layers: dense, and convolutions."""

from collections.abc import Sequence
import math
from typing import Any

import keras
import tensorflow as tf

from tf_resflow import numerics
from tf_resflow.layers import base_layer
from tf_resflow.layers.lipschitz import linear
from tf_resflow.layers.lipschitz import lipschitz_layer
from tf_resflow.numerics.norms import certificates
from tf_resflow.numerics.norms import power_iteration

# After a change of the kernel the block takes at least this many steps with a
# random row in it, or directions that it does not contain could overtake it
# unnoticed.
_MIN_STEPS = 3


def _make_operator(kernel, spatial_shape):
  """Returns the linear map of a kernel tensor; 1x1 kernels act on channels."""
  if math.prod(kernel.shape[:-2]) == 1:
    return numerics.LayerOperator(tf.reshape(kernel, kernel.shape[-2:]))
  return numerics.LayerOperator(kernel, spatial_shape)


def _unit_kernel(kernel):
  """Divides a kernel by its largest entry.

  Squares of very small or very large kernels would leave the range of the
  dtype, and with them the bound would be lost.

  Returns:
    The quotient, and the largest entry: a constant for differentiation.
  """
  scale = tf.reduce_max(tf.abs(tf.stop_gradient(kernel)))
  scale = tf.where(scale > 0.0, scale, tf.ones_like(scale))
  return kernel / scale, scale


@numerics.noinline_function
def _power_iteration(
    kernel, v, fingerprint, spatial_shape, tolerance, max_steps):
  """Follows the singular vectors of a kernel from those of an earlier one.

  Returns:
    A `PowerIterationResult`, and the fingerprint of the kernel: two numbers
    that change with it.
  """
  kernel, scale = _unit_kernel(kernel)
  new_fingerprint = tf.stack(
      [tf.reduce_sum(kernel), tf.reduce_sum(kernel * kernel)])
  is_same = tf.reduce_all(new_fingerprint == fingerprint)
  # The same rows every time: replicas and XLA, whose kernels agree up to
  # rounding, then follow the same path. Drawn when traced, because XLA draws
  # other normals.
  with tf.init_scope():
    random_rows = tf.random.stateless_normal(
        v.shape, [0, 0], dtype=v.dtype).numpy()
  norms = tf.norm(v, axis=1, keepdims=True)
  is_usable = tf.math.is_finite(norms) & (norms > 0.0)
  if v.shape[0] > 1:
    is_last = tf.range(v.shape[0])[:, tf.newaxis] == v.shape[0] - 1
    is_usable &= is_same | ~is_last
  v = tf.where(is_usable, v, random_rows)
  v /= tf.norm(v, axis=1, keepdims=True)
  result = power_iteration.power_iteration(
      _make_operator(kernel, spatial_shape), v, tolerance, max_steps,
      min_steps=tf.where(is_same, 0, _MIN_STEPS))
  return result._replace(sigma=scale * result.sigma), new_fingerprint


def _normalize(kernel, scale, sigma, coeff):
  """Returns `scale W / max(1, sigma / coeff)`."""
  # Exactly W for a kernel that is small enough. The kernel is multiplied once:
  # every further product would be kept for the backward pass.
  return kernel * (scale * coeff / tf.maximum(sigma, coeff))


@numerics.noinline_function
def _normalize_gradient(dnormalized, kernel, scale, v, spatial_shape, coeff):
  """Pulls a cotangent of `_normalize` back to `W` and `scale`.

  `sigma = |W v_0|`.
  """
  with tf.GradientTape() as tape:
    tape.watch([kernel, scale])
    unit_kernel, largest = _unit_kernel(kernel)
    sigma = power_iteration.spectral_norm(
        _make_operator(unit_kernel, spatial_shape), v)
    normalized = _normalize(kernel, scale, largest * sigma, coeff)
  return tape.gradient(normalized, [kernel, scale], dnormalized)


@base_layer.configured
class SpectralLayer(linear.LinearLayer):
  """A linear layer whose operator norm is at most `coeff`, at every call.

  The layer computes with `W / max(1, sigma / coeff)`, where `sigma` is the
  norm of the real operator (a convolution at its real padding and spatial
  size). Every call converges `sigma` for the kernel as it is then, so the
  bound holds in any training loop. The singular vectors `v` only save time:
  the iteration starts from them, and needs no step when the kernel is the one
  that they were saved for (`save_norms`, known by a fingerprint of the kernel).

  Power iteration bounds the norm from below, to a relative 1e-3;
  `certificate` gives a guaranteed upper bound.

  Args:
    coeff: bound of the operator norm, in (0, 1).
    use_bias: whether to add a bias, one number per output channel.
    kernel_initializer: Keras initializer; None is U(+-1/sqrt(fan_in)).
    bias_initializer: the same for the bias.
    num_vectors: block size of the power iteration.
    tolerance: its relative residual.
    max_power_iterations: its largest number of steps per call.
    seed: Python int that makes the default initializers deterministic.
    **kwargs: of `keras.layers.Layer`.

  References:
    Miyato et al., 2018, Spectral Normalization; Gouk et al., 2018 (the norm of
    the convolution instead of that of the flattened kernel); Chen et al.,
    2019, Residual Flows, Section 5.1 (coeff = 0.98).
  """

  def __init__(
      self, coeff: float = 0.98, use_bias: bool = True,
      kernel_initializer: Any = None, bias_initializer: Any = None,
      num_vectors: int = 3, tolerance: float = 1e-3,
      max_power_iterations: int = 200, seed: int | None = None, **kwargs):
    super().__init__(
        coeff, use_bias, kernel_initializer, bias_initializer, seed, **kwargs)
    self.num_vectors = num_vectors
    self.tolerance = tolerance
    self.max_power_iterations = max_power_iterations

  def add_weights(self, kernel_shape: tuple) -> None:
    super().add_weights(kernel_shape)
    # Replicas hold equal kernels, hence equal vectors; naming the aggregation
    # keeps them equal to the last bit.
    size = _make_operator(tf.zeros(kernel_shape), self.spatial_shape).size
    self.v = self.add_weight(
        name='v', shape=(min(self.num_vectors, size), size),
        initializer=keras.initializers.Orthogonal(seed=self.seeded(2)),
        trainable=False, aggregation='only_first_replica')
    self.fingerprint = self.add_weight(
        name='fingerprint', shape=(2,), initializer='zeros', trainable=False,
        aggregation='only_first_replica')

  @property
  def norm_state(self) -> Sequence[keras.Variable]:
    return self.v, self.fingerprint

  def _follow(self, variables, state):
    return _power_iteration(
        tf.stop_gradient(variables[0]), *state, self.spatial_shape,
        self.tolerance, self.max_power_iterations)

  def converge_norms(self, variables: Any, state: Any) -> Any:
    """Returns the singular vectors of the kernel, and its norm."""
    result, _ = self._follow(variables, state)
    return [result.v, result.sigma]

  def effective_weights(
      self, variables: Any, norms: Any, input_scale: Any = 1.0,
      output_scale: Any = 1.0) -> Any:
    """Returns the normalised kernel and, if there is one, the bias."""
    v, sigma = norms

    @tf.custom_gradient
    def normalize(kernel, scale):
      return _normalize(kernel, scale, sigma, self.coeff), (
          lambda dy: _normalize_gradient(
              dy, kernel, scale, v, self.spatial_shape, self.coeff))

    kernel, *biases = variables
    scale = tf.convert_to_tensor(input_scale * output_scale, kernel.dtype)
    return [normalize(kernel, scale), *(output_scale * b for b in biases)]

  def power_iteration(self) -> power_iteration.PowerIterationResult:
    """Follows the singular vectors of the present kernel; stores nothing."""
    return self._follow(*self.tensors())[0]

  def save_norms(self) -> tf.Tensor:
    result, fingerprint = self._follow(*self.tensors())
    self.v.assign(result.v)
    self.fingerprint.assign(fingerprint)
    return result.num_steps

  def norm_estimate(self) -> float:
    return min(float(self.power_iteration().sigma), self.coeff)

  def certificate(self, target: float = 1.0) -> lipschitz_layer.Certificate:
    result = certificates.certified_norm_bound(
        self.normalized_kernel().numpy(), self.spatial_shape, target=target)
    return lipschitz_layer.Certificate(result.bound, (result.method,))


@base_layer.configured
class SpectralDense(linear.Dense, SpectralLayer):
  """`y = x W / max(1, |W|_2 / coeff) + b`.

  Args:
    units: number of outputs.
    coeff: bound of the spectral norm, in (0, 1).
    **kwargs: of `SpectralLayer`.

  Example:
    >>> layer = layers.SpectralDense(8, coeff=0.9)
    >>> layer(tf.ones([2, 3])).shape
    TensorShape([2, 8])

  References:
    Miyato et al., 2018; Gouk et al., 2018.
  """


@base_layer.configured
class SpectralConv2D(linear.Conv2D, SpectralLayer):
  """Convolution (stride 1, zero padding 'SAME') with norm at most `coeff`.

  The norm is that of the linear map from `[H, W, c_in]` to `[H, W, c_out]` at
  the layer's spatial size; the norm of the flattened kernel is not a bound of
  it. The layer therefore needs a static spatial size.

  Args:
    filters: number of output channels.
    kernel_size: odd integer or a pair of odd integers.
    coeff: bound of the operator norm, in (0, 1).
    **kwargs: of `SpectralLayer`.

  Example:
    >>> layer = layers.SpectralConv2D(8, 3, coeff=0.9)
    >>> layer(tf.ones([2, 6, 6, 1])).shape
    TensorShape([2, 6, 6, 8])

  References:
    Gouk et al., 2018, Regularisation of Neural Networks by Enforcing Lipschitz
    Continuity; Chen et al., 2019, Appendix E.
  """


SPECTRAL = lipschitz_layer.Constraint(
    dense=SpectralDense, conv2d=SpectralConv2D)
