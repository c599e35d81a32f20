"""What the spectrally normalised layers share."""

import contextlib
import math
import threading

import keras
import tensorflow as tf

from tf_resflow import numerics
from tf_resflow.numerics import certificates
from tf_resflow.numerics import operators
from tf_resflow.numerics import power_iteration

_scope = threading.local()


@contextlib.contextmanager
def kernels_are_normalized():
  """Inside, layers take the value of `kernel` as normalised already.

  Used together with a `keras.StatelessScope` that puts normalised kernels in
  place of the variables, see `pure.py`.
  """
  previous = getattr(_scope, 'active', False)
  _scope.active = True
  try:
    yield
  finally:
    _scope.active = previous


# After a change of the kernel the block takes at least this many steps with a
# random row in it, or directions that it does not contain could overtake it
# unnoticed.
_MIN_STEPS = 3


def _fingerprint(kernel):
  """Two numbers that change with the kernel: `[sum W, sum W^2]`."""
  return tf.stack([tf.reduce_sum(kernel), tf.reduce_sum(kernel * kernel)])


def _make_operator(kernel, spatial_shape):
  """Returns the linear map of a kernel tensor; 1x1 kernels act on channels."""
  if math.prod(kernel.shape[:-2]) == 1:
    return operators.LayerOperator(tf.reshape(kernel, kernel.shape[-2:]))
  return operators.LayerOperator(kernel, spatial_shape)


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


@numerics.shared_function
def _power_iteration(
    kernel, v, fingerprint, spatial_shape, tolerance, max_steps):
  """Follows the singular vectors of a kernel from those of an earlier one.

  Returns:
    A `PowerIteration`, and the fingerprint of the kernel.
  """
  kernel, scale = _unit_kernel(kernel)
  new_fingerprint = _fingerprint(kernel)
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


@numerics.shared_function
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


class SpectralLayer(keras.layers.Layer):
  """A linear layer whose operator norm is at most `coeff`, at every call.

  The layer computes with `W / max(1, sigma / coeff)`, where `sigma` is the
  norm of the real operator (a convolution at its real padding and spatial
  size). Every call converges `sigma` for the kernel as it is then, so the
  bound holds in any training loop. The singular vectors `v` only save time:
  the iteration starts from them, and needs no step when the kernel is the one
  that they were saved for (`save_singular_vectors`, known by a fingerprint of
  the kernel).

  Power iteration bounds the norm from below, to a relative 1e-3;
  `certificate` gives a guaranteed upper bound.

  References:
    Miyato et al., 2018, Spectral Normalization; Gouk et al., 2018 (the norm of
    the convolution instead of that of the flattened kernel); Chen et al.,
    2019, Residual Flows, Section 5.1 (coeff = 0.98).
  """

  def __init__(
      self, coeff=0.98, use_bias=True, kernel_initializer=None,
      bias_initializer=None, num_vectors=3, tolerance=1e-3,
      max_power_iterations=200, seed=None, **kwargs):
    super().__init__(**kwargs)
    if not 0.0 < coeff < 1.0:
      raise ValueError(
          f'coeff is {coeff}; the bound of the operator norm must lie strictly '
          'between 0 and 1.')
    self.coeff = coeff
    self.use_bias = use_bias
    self.kernel_initializer = keras.initializers.get(kernel_initializer)
    self.bias_initializer = keras.initializers.get(bias_initializer)
    self.num_vectors = num_vectors
    self.tolerance = tolerance
    self.max_power_iterations = max_power_iterations
    self.seed = seed

  @property
  def lipschitz_bound(self):
    """The bound that every call keeps, to a relative 1e-3: `coeff`."""
    return self.coeff

  @property
  def spatial_shape(self):
    """`(H, W)` of a convolution, None for a dense layer."""
    return None

  def _add_weights(self, kernel_shape):
    """Kernel and bias start U(+-1/sqrt(fan_in)) unless told otherwise."""
    limit = math.prod(kernel_shape[:-1])**-0.5

    def seeded(offset):
      return None if self.seed is None else self.seed + offset

    self.kernel = self.add_weight(
        name='kernel', shape=kernel_shape,
        initializer=self.kernel_initializer or
        keras.initializers.RandomUniform(-limit, limit, seed=seeded(0)))
    self.bias = None
    if self.use_bias:
      self.bias = self.add_weight(
          name='bias', shape=kernel_shape[-1:],
          initializer=self.bias_initializer or
          keras.initializers.RandomUniform(-limit, limit, seed=seeded(1)))
    # Replicas hold equal kernels, hence equal vectors; naming the aggregation
    # keeps them equal to the last bit.
    size = _make_operator(tf.zeros(kernel_shape), self.spatial_shape).size
    self.v = self.add_weight(
        name='v', shape=(min(self.num_vectors, size), size),
        initializer=keras.initializers.Orthogonal(seed=seeded(2)),
        trainable=False, aggregation='only_first_replica')
    self.fingerprint = self.add_weight(
        name='fingerprint', shape=(2,), initializer='zeros', trainable=False,
        aggregation='only_first_replica')

  def power_iteration(self):
    """Follows the singular vectors of the present kernel; stores nothing.

    Returns:
      The `PowerIteration`, and the fingerprint of the kernel.
    """
    kernel = tf.stop_gradient(tf.convert_to_tensor(self.kernel.value))
    return _power_iteration(
        kernel, tf.convert_to_tensor(self.v.value),
        tf.convert_to_tensor(self.fingerprint.value), self.spatial_shape,
        self.tolerance, self.max_power_iterations)

  def sigma(self):
    """Returns the converged norm of the raw kernel's operator, a scalar."""
    return self.power_iteration()[0].sigma

  def normalized_kernel(self, scale=1.0, v=None, sigma=None):
    """Returns `scale W / max(1, sigma / coeff)`.

    Differentiable in `W`, also through `sigma`, and in `scale`.

    Args:
      scale: a number or a scalar tensor.
      v: what `power_iteration` found for this kernel, if it ran already.
      sigma: likewise.
    """
    kernel = tf.convert_to_tensor(self.kernel.value)
    if getattr(_scope, 'active', False):
      return kernel
    if v is None:
      result, _ = self.power_iteration()
      v, sigma = result.v, result.sigma

    @tf.custom_gradient
    def normalize(kernel, scale):
      return _normalize(kernel, scale, sigma, self.coeff), (
          lambda dy: _normalize_gradient(
              dy, kernel, scale, v, self.spatial_shape, self.coeff))

    return normalize(kernel, tf.convert_to_tensor(scale, kernel.dtype))

  def save_singular_vectors(self):
    """Stores the vectors of the present kernel, which makes calls cheaper.

    Returns:
      The `PowerIteration` whose vectors were stored.
    """
    result, fingerprint = self.power_iteration()
    self.v.assign(result.v)
    self.fingerprint.assign(fingerprint)
    return result

  def certificate(self, target=1.0):
    """Returns a guaranteed upper bound of the norm of the normalised kernel.

    Args:
      target: a bound that is good enough; below it no dearer method is tried.

    Returns:
      A `numerics.certificates.Certificate`.
    """
    return certificates.certified_norm_bound(
        self.normalized_kernel().numpy(), self.spatial_shape,
        target=target)

  def get_config(self):
    return super().get_config() | {
        'coeff': self.coeff,
        'use_bias': self.use_bias,
        'kernel_initializer': keras.initializers.serialize(
            self.kernel_initializer) if self.kernel_initializer else None,
        'bias_initializer': keras.initializers.serialize(
            self.bias_initializer) if self.bias_initializer else None,
        'num_vectors': self.num_vectors,
        'tolerance': self.tolerance,
        'max_power_iterations': self.max_power_iterations,
        'seed': self.seed,
    }
