"""Linear layers with bounded norms from one l_p to another."""

import tensorflow as tf

from tf_resflow import errors
from tf_resflow.layers import base_layer
from tf_resflow.layers.base_layer import Tensors
from tf_resflow.layers.lipschitz import learned_norms
from tf_resflow.layers.lipschitz import linear
from tf_resflow.numerics.norms import operator_norms
from tf_resflow.numerics.norms import orders
from tf_resflow.specs import registries

# Initial vectors of the search for how far an estimate is exceeded.
_NUM_STARTS = 64


@base_layer.configured
class InducedNormLayer(linear.LinearLayer):
  """A linear layer with `|W|_p->q <= coeff`.

  `|W|_p->q` is the largest `|W x|_q / |x|_p`. What the kernel is divided by
  follows from the orders:

  - p = 1 or q = inf: every column (p = 1) or row (q = inf) of the operator by
    its own norm, where that exceeds `coeff`. Exact.
  - p = q = 2: the spectral norm, as `SpectralDense`.
  - elsewhere the norm is NP-hard. `bound='upper'` divides by the smallest of
    proven upper bounds, from interpolation between rows, columns and the
    spectral norm: the bound holds at every call, to a relative 1e-3.
    `bound='estimate'` divides by the largest quotient that a nonlinear power
    method finds, as the authors do, which is below the norm: `lipschitz_bound`
    is an estimate then, `norm_estimate()` searches for how far it is exceeded,
    and `certificate()` returns a proven bound. `bound='released'` is for
    converted weights: the estimate of the released code, from one vector, and
    for 1 x 1 kernels regardless of the image size.

  Args:
    coeff: bound of the norm, in (0, 1).
    domain: `p`, in [1, inf]; 'learned' in a `LearnedNorms`, which then
      provides it.
    codomain: `q`, likewise.
    bound: 'upper', 'estimate' or 'released', see above.
    **kwargs: of `LinearLayer`.

  References:
    Chen et al., 2019, Residual Flows, Section 5.1 and Appendix D.
  """

  def __init__(self, coeff: float = 0.98, domain: float | str = 2.0,
               codomain: float | str = 2.0, bound: str = 'upper', **kwargs):
    super().__init__(coeff, **kwargs)
    self.learns_orders = domain == codomain == learned_norms.LEARNED
    if not self.learns_orders:
      for name, order in (('domain', domain), ('codomain', codomain)):
        errors.check(
            not isinstance(order, str) and order >= 1.0, name, order,
            f'an order in [1, inf], or {learned_norms.LEARNED} for both')
      domain, codomain = float(domain), float(codomain)
    self.domain, self.codomain = domain, codomain
    self.bound = registries.NORM_BOUNDS.check(bound, 'bound')
    self.operator_norm = registries.NORM_BOUNDS.get(bound).of_orders(
        domain, codomain)
    self.bound_source = (
        'construction' if self.operator_norm.is_proven else 'estimate')

  def get_build_config(self) -> dict | None:
    # Layers of a LearnedNorms are built by it, once they have orders.
    return None if self.learns_orders else super().get_build_config()

  def add_weights(self, kernel_shape: tuple) -> None:
    super().add_weights(kernel_shape)
    if self.learns_orders:
      for name, order in (('domain', self.domain), ('codomain', self.codomain)):
        errors.check(
            not isinstance(order, str), name, order,
            problem='requires layers.LearnedNorms',
            advice=f'Put {self.name} and its neighbours into one.')
        base_layer.build_once(order, ())

  def orders(self, variables: Tensors) -> tuple[orders.Order, orders.Order]:
    if not self.learns_orders:
      return super().orders(variables)
    # Behind kernel and bias; one, if no other layer is in its sequence.
    raw = variables[1 + self.use_bias:]
    return orders.squashed(raw[0]), orders.squashed(raw[-1])

  def norm_estimate(self) -> float:
    """Returns the norm of the present operator, or a bound of it.

    If the layer divides by an estimate: the largest quotient of a search from
    64 initial vectors, which may exceed `coeff`.
    """
    if self.operator_norm.is_proven:
      return super().norm_estimate()
    mapping = self.normalized_map()
    starts = tf.random.stateless_normal(
        [_NUM_STARTS, self.operator_norm.row_size(mapping)], [0, 1],
        dtype=tf.float64)
    # The norm over the image, whatever the kernel was divided by.
    return float(operator_norms.ESTIMATE.converge(
        mapping, starts, 1e-4, self.max_power_iterations, tf.constant(20)).norm)

  def get_config(self) -> dict:
    domain, codomain = (
        (learned_norms.LEARNED, learned_norms.LEARNED) if self.learns_orders
        else (self.domain, self.codomain))
    return super().get_config() | {
        'domain': domain, 'codomain': codomain, 'bound': self.bound}


@base_layer.configured
class InducedNormDense(linear.Dense, InducedNormLayer):
  """Dense layer `y = x W / max(1, |W|_p->q / coeff) + b` of bounded norm.

  The arguments are those of `SpectralDense` and `InducedNormLayer`.

  Example:
    >>> layer = layers.InducedNormDense(
    ...     8, coeff=0.9, domain=np.inf, codomain=np.inf)
    >>> y = layer(tf.ones([2, 3]))
    >>> rows = np.abs(layer.normalized_kernel()).sum(axis=0)
    >>> bool(np.all(rows < 0.9001))
    True
  """


@base_layer.configured
class InducedNormConv2D(linear.Conv2D, InducedNormLayer):
  """Convolution (stride 1, zero padding 'SAME') with `|W|_p->q <= coeff`.

  The norm is that of the linear map from `[H, W, c_in]` to `[H, W, c_out]` at
  the layer's spatial size, without the taps that fall outside of the image.

  The arguments are those of `SpectralConv2D` and `InducedNormLayer`.

  Example:
    >>> layer = layers.InducedNormConv2D(8, 3, domain=1.5, codomain=3)
    >>> layer(tf.ones([2, 6, 6, 1])).shape
    TensorShape([2, 6, 6, 8])
  """
