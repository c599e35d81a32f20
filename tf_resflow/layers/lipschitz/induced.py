"""Linear layers whose norms go from one l_p to another."""

from typing import Any

import tensorflow as tf

from tf_resflow import errors
from tf_resflow.configuration import registries
from tf_resflow.layers import base_layer
from tf_resflow.layers.lipschitz import linear
from tf_resflow.layers.lipschitz import operator_norms

# Starts of the search for how far an estimate is exceeded.
_NUM_STARTS = 64


@base_layer.configured
class InducedNormLayer(linear.LinearLayer):
  """A linear layer with `|W|_p->q <= coeff`.

  `|W|_p->q` is the largest `|W x|_q / |x|_p`. What the kernel is divided by
  follows from the orders:

  - p = 1 or q = inf: every column (p = 1) or row (q = inf) of the operator by
    its own norm, where that exceeds `coeff`. Exact.
  - p = q = 2: the spectral norm, as `SpectralLayer`.
  - elsewhere the norm is NP-hard. `bound='upper'` divides by the smallest of
    proven upper bounds, from interpolation between rows, columns and the
    spectral norm: the bound holds at every call, to a relative 1e-3.
    `bound='estimate'` divides by the largest quotient that a nonlinear power
    method finds, as the authors do, which is below the norm: `lipschitz_bound`
    is an estimate then, `norm_estimate()` searches for how far it is exceeded,
    and `certificate()` says what is proven.

  Args:
    coeff: bound of the norm, in (0, 1).
    domain: `p`, in [1, inf].
    codomain: `q`, in [1, inf].
    bound: 'upper' or 'estimate', see above.
    use_bias: whether to add a bias, one number per output channel.
    kernel_initializer: Keras initializer; None is U(+-1/sqrt(fan_in)).
    bias_initializer: the same for the bias.
    num_vectors: how many vectors the iteration follows.
    tolerance: of the iteration: its relative residual or gap.
    max_power_iterations: its largest number of steps per call.
    seed: Python int that makes the default initializers deterministic.
    **kwargs: of `keras.layers.Layer`.

  References:
    Chen et al., 2019, Residual Flows, Section 5.1 and Appendix D.
  """

  def __init__(
      self, coeff: float = 0.98, domain: float = 2.0, codomain: float = 2.0,
      bound: str = 'upper', use_bias: bool = True,
      kernel_initializer: Any = None, bias_initializer: Any = None,
      num_vectors: int = 3, tolerance: float = 1e-3,
      max_power_iterations: int = 200, seed: int | None = None, **kwargs):
    super().__init__(
        coeff, use_bias, kernel_initializer, bias_initializer, num_vectors,
        tolerance, max_power_iterations, seed, **kwargs)
    for name, order in (('domain', domain), ('codomain', codomain)):
      errors.check(order >= 1.0, name, order, 'an order in [1, inf]')
    self.domain, self.codomain = float(domain), float(codomain)
    self.bound = registries.NORM_BOUNDS.check(bound, 'bound')
    self.operator_norm = operator_norms.of_orders(
        self.domain, self.codomain, registries.NORM_BOUNDS.get(bound))
    self.known_by = (
        'construction' if self.operator_norm.is_proven else 'estimate')

  def norm_estimate(self) -> float:
    """Returns the norm of the present operator, or a bound of it.

    Where it is estimated: the largest quotient of a search from 64 starts,
    which may exceed `coeff`.
    """
    if self.operator_norm.is_proven:
      return super().norm_estimate()
    kernel = tf.cast(self.normalized_kernel(), tf.float64)
    size = self.operator_norm.row_size(kernel, self.spatial_shape)
    starts = tf.random.stateless_normal(
        [_NUM_STARTS, size], [0, 1], dtype=tf.float64)
    return float(self.operator_norm.follow(
        kernel, starts, self.spatial_shape, self.domain, self.codomain, 1e-6,
        self.max_power_iterations, tf.constant(20)).norm)


@base_layer.configured
class InducedNormDense(linear.Dense, InducedNormLayer):
  """`y = x W / max(1, |W|_p->q / coeff) + b`.

  Args:
    units: number of outputs.
    coeff: bound of the norm, in (0, 1).
    **kwargs: of `InducedNormLayer`.

  Example:
    >>> layer = layers.InducedNormDense(
    ...     8, coeff=0.9, domain=np.inf, codomain=np.inf)
    >>> y = layer(tf.ones([2, 3]))
    >>> rows = np.abs(layer.normalized_kernel()).sum(axis=0)
    >>> bool(np.all(rows < 0.9001))
    True

  References:
    Chen et al., 2019, Residual Flows, Appendix D.
  """


@base_layer.configured
class InducedNormConv2D(linear.Conv2D, InducedNormLayer):
  """Convolution (stride 1, zero padding 'SAME') with `|W|_p->q <= coeff`.

  The norm is that of the linear map from `[H, W, c_in]` to `[H, W, c_out]` at
  the layer's spatial size, taps that fall outside of the image left out.

  Args:
    filters: number of output channels.
    kernel_size: odd integer or a pair of odd integers.
    coeff: bound of the norm, in (0, 1).
    **kwargs: of `InducedNormLayer`.

  Example:
    >>> layer = layers.InducedNormConv2D(8, 3, domain=1.5, codomain=3)
    >>> layer(tf.ones([2, 6, 6, 1])).shape
    TensorShape([2, 6, 6, 8])

  References:
    Chen et al., 2019, Residual Flows, Appendix D.
  """
