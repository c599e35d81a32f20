"""Linear layers with bounded operator norms: dense and convolutional."""

from collections.abc import Sequence
import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_resflow import errors
from tf_resflow import numerics
from tf_resflow.layers import base_layer
from tf_resflow.layers.base_layer import Tensors
from tf_resflow.layers.lipschitz import lipschitz_layer
from tf_resflow.numerics import convolution
from tf_resflow.numerics import tracing
from tf_resflow.numerics.norms import operator_norms
from tf_resflow.numerics.norms import operators
from tf_resflow.numerics.norms import orders as orders_lib

# After a change of the kernel, at least this number of steps is taken, and the
# last vector is disturbed by a random one of this length. Otherwise directions
# that they do not contain could become the leading ones unnoticed; carried
# along, that vector turns to them in some updates.
_MIN_STEPS = 3
_DISTURBANCE = 0.3
# Number of random rows from which larger norms are searched.
_NUM_SEARCHED = 2


def _unit_kernel(kernel):
  """Returns a kernel divided by its largest entry, and that, a constant."""
  # Squares of very small or large kernels would leave the range of the dtype.
  scale = tf.reduce_max(tf.abs(tf.stop_gradient(kernel)))
  scale = tf.where(scale > 0.0, scale, tf.ones_like(scale))
  return kernel / scale, scale


def _fingerprint(kernel):
  """Returns two numbers `a^T K b`, with fixed random vectors `a` and `b`."""
  rows = tf.reshape(kernel, [-1, kernel.shape[-1]])
  rng = np.random.default_rng(0)
  numbers = []
  for _ in range(2):
    a, b = (tf.constant(rng.normal(size=size), kernel.dtype)
            for size in ([rows.shape[0], 1], rows.shape[1]))
    numbers.append(tf.reduce_sum(tf.reduce_sum(rows * a, axis=0) * b))
  return tf.stack(numbers)


@tracing.noinline_function
def _converge_norm(mapping, rows, fingerprint, operator_norm, tolerance,
                   max_steps, searches, takes_unsearched):
  """Returns a `ConvergedNorm`, begun with earlier rows, and the fingerprint.

  That of a norm which was not searched is negated; `takes_unsearched` says
  whether such a norm of the present kernel will do.
  """
  kernel, scale = _unit_kernel(mapping.kernel)
  new_fingerprint = _fingerprint(kernel)
  is_searched = tf.reduce_all(new_fingerprint == fingerprint)
  is_same = is_searched | takes_unsearched & tf.reduce_all(
      new_fingerprint == -fingerprint)
  num_vectors, size = rows.shape
  # The same rows every time: replicas and XLA, whose kernels agree up to
  # rounding, then follow the same path. Drawn when traced, because XLA draws
  # other normals.
  with tf.init_scope():
    random_rows, searched = (
        tf.random.stateless_normal(shape, [0, i], dtype=rows.dtype).numpy()
        for i, shape in enumerate([
            rows.shape, [min(_NUM_SEARCHED, size - num_vectors), size]]))
  random_rows /= np.linalg.norm(random_rows, axis=1, keepdims=True)
  norms = tf.norm(rows, axis=1, keepdims=True)
  rows = tf.where(tf.math.is_finite(norms) & (norms > 0.0), rows / norms,
                  random_rows)
  if num_vectors > 1:
    disturbance = np.zeros_like(random_rows)
    disturbance[-1] = _DISTURBANCE * random_rows[-1]
    rows = tf.where(is_same, rows, rows + disturbance)
    rows /= tf.norm(rows, axis=1, keepdims=True)
  result = operator_norm.converge(
      mapping._replace(kernel=kernel), rows, tolerance, max_steps,
      tf.where(is_same, 0, _MIN_STEPS), is_same,
      random_rows=searched if searched.size else None, searches=searches)
  is_searched |= ~is_same & searches
  return result._replace(norm=scale * result.norm), tf.where(
      is_searched, new_fingerprint, -new_fingerprint)


@tracing.noinline_function
def _normalize_gradient(
    dnormalized, mapping, scale, rows, operator_norm, coeff):
  """Returns gradients by `W`, `scale` and learned orders of `normalize`."""
  unit_kernel, largest = _unit_kernel(mapping.kernel)
  sources = [unit_kernel, *filter(
      tf.is_tensor, (mapping.domain, mapping.codomain))]
  with tf.GradientTape() as tape:
    tape.watch(sources)
    unit_norm = operator_norm.norm(mapping._replace(kernel=unit_kernel), rows)
  norm = largest * unit_norm
  divisor = tf.maximum(norm, coeff)
  factor = scale * coeff / divisor
  # One number, or one per row or column.
  dfactor = _sum_like(dnormalized * mapping.kernel, factor)
  dnorm = tf.where(
      norm >= coeff, -dfactor * factor / divisor, tf.zeros_like(norm))
  dunit_kernel, *dorders = tape.gradient(
      unit_norm, sources, largest * dnorm,
      unconnected_gradients=tf.UnconnectedGradients.ZERO)
  return [dnormalized * factor + dunit_kernel / largest,
          _sum_like(dfactor * (coeff / divisor), scale), *dorders]


def _sum_like(x, like):
  """Returns the sum over the axes along which `like` is broadcast to `x`."""
  if not like.shape.rank:
    return tf.reduce_sum(x) if x.shape.rank else x
  shape = [1] * (x.shape.rank - like.shape.rank) + like.shape.as_list()
  axes = [axis for axis, size in enumerate(shape) if size == 1]
  return tf.reshape(tf.reduce_sum(x, axis=axes), like.shape)


@base_layer.configured
class LinearLayer(lipschitz_layer.LipschitzLayer):
  """A linear layer whose operator norm is at most `coeff`, at every call.

  The layer computes with `W / max(1, norm / coeff)`, `norm` being that of the
  real operator (a convolution at its real padding and spatial size), or a bound
  of it, see `operator_norm`. Every call converges it for the present kernel, so
  the bound holds in any training loop. The stored vectors `v` only save time:
  the iteration starts from them, and takes no step if the kernel is the same as
  in `save_norms`, which stored them with a fingerprint of the kernel.

  Power iteration bounds the l_2 norm from below, to a relative 1e-3 up to
  probability: from random vectors larger norms are searched. `certificate`
  gives a guaranteed upper bound. The mixins `Dense` and `Conv2D` define how a
  kernel is applied to inputs.

  Args:
    coeff: bound of the operator norm, in (0, 1).
    use_bias: whether to add a bias, one number per output channel.
    kernel_initializer: Keras initializer; None is U(+-1/sqrt(fan_in)).
    bias_initializer: the same for the bias.
    num_vectors: block size of the power iteration.
    tolerance: its relative residual, or gap.
    max_power_iterations: its largest number of steps per call.
    seed: Python int that makes the default initializers deterministic.

  Attributes:
    operator_norm: the `OperatorNorm` that kernels are divided by.
  """

  num_constrained = 1
  absorbs_scales = True
  # `(H, W)` of a convolution, None for a dense layer.
  spatial_shape: tuple[int, int] | None = None
  operator_norm = operator_norms.SPECTRAL

  def __init__(
      self, coeff: float = 0.98, use_bias: bool = True,
      kernel_initializer: str | keras.Initializer | None = None,
      bias_initializer: str | keras.Initializer | None = None,
      num_vectors: int = 3, tolerance: float = 1e-3,
      max_power_iterations: int = 200, seed: int | None = None, **kwargs):
    super().__init__(**kwargs)
    errors.check(0.0 < coeff < 1.0, 'coeff', coeff,
                 'a number strictly between 0 and 1')
    self._coeff = coeff
    self.use_bias = use_bias
    self.kernel_initializer = keras.initializers.get(kernel_initializer)
    self.bias_initializer = keras.initializers.get(bias_initializer)
    self.num_vectors = num_vectors
    self.tolerance = tolerance
    self.max_power_iterations = max_power_iterations
    self.seed = seed

  @property
  def coeff(self) -> float:
    """The bound of the operator norm; read-only, since graphs contain it."""
    return self._coeff

  @property
  def lipschitz_bound(self) -> float:
    """`coeff`, to a relative 1e-3."""
    return self.coeff

  @property
  def num_outputs(self) -> int:
    return math.prod(self.spatial_shape or ()) * self.kernel.shape[-1]

  @property
  def num_multiply_adds(self) -> int:
    return self.num_outputs * math.prod(self.kernel.shape[:-1])

  def add_weights(self, kernel_shape: tuple) -> None:
    """Adds kernel and bias; by default initially U(+-1/sqrt(fan_in))."""
    kernel_initializer, bias_initializer = base_layer.uniform_initializers(
        math.prod(kernel_shape[:-1]), self.seed).values()
    self.kernel = self.add_weight(
        name='kernel', shape=kernel_shape,
        initializer=self.kernel_initializer or kernel_initializer)
    self.bias = self.add_weight(
        name='bias', shape=kernel_shape[-1:],
        initializer=self.bias_initializer or bias_initializer
    ) if self.use_bias else None
    if self.operator_norm.has_rows:
      # Replicas hold equal kernels, hence equal vectors; naming the aggregation
      # keeps them equal to the last bit.
      size = self.operator_norm.row_size(operators.LayerOperator(
          tf.zeros(kernel_shape), self.spatial_shape))
      num_vectors = self.operator_norm.max_rows or self.num_vectors
      self.v = self.add_weight(
          name='v', shape=(min(num_vectors, size), size),
          initializer=keras.initializers.Orthogonal(
              seed=base_layer.shifted_seed(self.seed, 2)),
          trainable=False, aggregation='only_first_replica')
      self.fingerprint = self.add_weight(
          name='fingerprint', shape=(2,), initializer='zeros', trainable=False,
          aggregation='only_first_replica')

  @property
  def norm_state(self) -> Sequence[keras.Variable]:
    return (self.v, self.fingerprint) if self.operator_norm.has_rows else ()

  def orders(self, variables: Tensors,
             ) -> tuple[orders_lib.Order, orders_lib.Order]:
    """Returns domain and codomain: numbers, or tensors if they are learned."""
    return self.domain, self.codomain

  def _mapping(self, variables):
    """Returns the map of the kernel before it is normalised."""
    return operators.LayerOperator(variables[0], self.spatial_shape,
                                    *self.orders(variables), self.is_on_cpu)

  def _converge(self, variables, state, searches=True, takes_unsearched=True):
    mapping = tf.nest.map_structure(
        lambda part: tf.stop_gradient(part) if tf.is_tensor(part) else part,
        self._mapping(variables))
    return _converge_norm(
        mapping, *state, self.operator_norm, self.tolerance,
        self.max_power_iterations,
        # Tensors: each combination of two Python values would be traced.
        *map(tf.convert_to_tensor, (searches, takes_unsearched)))

  def converge_norms(self, variables: Tensors, state: Tensors) -> Tensors:
    """Returns the converged vectors and the norm of the kernel."""
    if not self.operator_norm.has_rows:
      return []
    result, _ = self._converge(variables, state)
    return [result.rows, result.norm]

  def effective_weights(
      self, variables: Tensors, norms: Tensors,
      input_scale: float | tf.Tensor = 1.0,
      output_scale: float | tf.Tensor = 1.0) -> Tensors:
    """Returns the normalised kernel and, if there is one, the bias."""
    rows, norm = norms or (None, None)
    divisor = tf.stop_gradient(
        self._norm(variables, rows) if norm is None else norm)
    mapping, biases = self._mapping(variables), variables[1:1 + self.use_bias]

    @tf.custom_gradient
    def normalize(kernel, scale, *unused_learned_orders):
      # Exactly W for a kernel that is small enough. The kernel is multiplied
      # once: every further product would be kept for the backward pass.
      factor = scale * self.coeff / tf.maximum(divisor, self.coeff)
      return kernel * factor, lambda dy: _normalize_gradient(
          dy, mapping._replace(kernel=kernel), scale, rows, self.operator_norm,
          self.coeff)

    scale = tf.convert_to_tensor(input_scale * output_scale, variables[0].dtype)
    orders = filter(tf.is_tensor, (mapping.domain, mapping.codomain))
    return [normalize(variables[0], scale, *orders),
            *(output_scale * b for b in biases)]

  def norm(self) -> tf.Tensor:
    """Returns the norm that the kernel is divided by if it exceeds `coeff`.

    One number, or one per column or row; differentiable in the kernel and in
    learned orders.
    """
    variables, state = self.tensors()
    return self._norm(variables, *self.converge_norms(variables, state)[:1])

  def _norm(self, variables, rows=None):
    unit_kernel, largest = _unit_kernel(variables[0])
    return largest * self.operator_norm.norm(
        self._mapping(variables)._replace(kernel=unit_kernel), rows)

  def save_norms(self, searches: bool | tf.Tensor = True) -> tf.Tensor:
    if not self.operator_norm.has_rows:
      return tf.constant(0)
    result, fingerprint = self._converge(
        *self.tensors(), searches, tf.logical_not(searches))
    self.v.assign(result.rows)
    self.fingerprint.assign(fingerprint)
    return result.num_steps

  def normalized_kernel(self) -> tf.Tensor:
    """Returns the kernel that the layer computes with."""
    return self.present_weights()[0]

  def normalized_map(self) -> operators.LayerOperator:
    """Returns the map that the layer computes with, in float64."""
    domain, codomain = map(float, self.orders(self.tensors()[0]))
    return operators.LayerOperator(
        tf.cast(self.normalized_kernel(), tf.float64), self.spatial_shape,
        domain, codomain)

  def norm_estimate(self) -> float:
    return min(float(tf.reduce_max(self.norm())), self.coeff)

  def certificate(self, target: float = 1.0) -> numerics.Certificate:
    return self.operator_norm.certify(self.normalized_map(), target)


class Dense(lipschitz_layer.LipschitzLayer):
  """Mixin of dense layers `x -> x W + b`, in front of a `LinearLayer`."""

  def __init__(self, units: int, coeff: float = 0.98, **kwargs):
    super().__init__(coeff=coeff, **kwargs)
    self.units = units

  def build(self, input_shape: tuple) -> None:
    self.add_weights((input_shape[-1], self.units))

  def evaluate(self, weights: Tensors, x: tf.Tensor) -> tf.Tensor:
    kernel, *biases = weights
    outputs = tf.linalg.matmul(x, kernel)
    return outputs + biases[0] if biases else outputs

  def compute_output_shape(self, input_shape: tuple) -> tuple:
    return (*input_shape[:-1], self.units)


class Conv2D(lipschitz_layer.LipschitzLayer):
  """Mixin of convolutions (stride 1, zero padding 'SAME'); see `Dense`."""

  spatial_shape: Any

  def __init__(self, filters: int, kernel_size: int | Sequence[int],
               coeff: float = 0.98, **kwargs):
    super().__init__(coeff=coeff, **kwargs)
    self.filters = filters
    self.kernel_size = (
        (kernel_size, kernel_size) if isinstance(kernel_size, int)
        else tuple(kernel_size))
    errors.check(
        len(self.kernel_size) == 2 and all(k % 2 for k in self.kernel_size),
        'kernel_size', self.kernel_size, 'one or two odd integers',
        'Zero padding is symmetric only then.')

  def build(self, input_shape: tuple) -> None:
    errors.check(
        len(input_shape) == 4 and None not in input_shape[1:], 'input_shape',
        tuple(input_shape), 'a static [B, H, W, C]',
        f'The norm of a {type(self).__name__} depends on the spatial size.')
    self.spatial_shape = tuple(input_shape[1:3])
    self.add_weights((*self.kernel_size, input_shape[-1], self.filters))

  def evaluate(self, weights: Tensors, x: tf.Tensor) -> tf.Tensor:
    errors.check(
        tuple(x.shape[1:3]) == self.spatial_shape, 'inputs', tuple(x.shape),
        f'images of {" x ".join(map(str, self.spatial_shape))} in {self.name}',
        'The norm depends on the size: use one layer per spatial size.')
    kernel, *biases = weights
    outputs = convolution.conv2d(x, kernel, for_cpu=self.is_on_cpu)
    # Unlike a sum, this is fused into the convolution.
    return tf.nn.bias_add(outputs, biases[0]) if biases else outputs

  def compute_output_shape(self, input_shape: tuple) -> tuple:
    return (*input_shape[:-1], self.filters)
