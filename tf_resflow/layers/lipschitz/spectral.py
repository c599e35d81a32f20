"""Spectrally normalised layers, and the constraint `spectral`."""

from typing import Any

from tf_resflow.layers import base_layer
from tf_resflow.layers.lipschitz import induced
from tf_resflow.layers.lipschitz import linear
from tf_resflow.layers.lipschitz import lipschitz_layer


@base_layer.configured
class SpectralDense(linear.Dense, linear.LinearLayer):
  """Spectrally normalised dense layer, `y = x W / max(1, |W|_2 / coeff) + b`.

  Args:
    units: number of outputs.
    coeff: bound of the spectral norm, in (0, 1).
    **kwargs: of `LinearLayer`.

  Example:
    >>> layer = layers.SpectralDense(8, coeff=0.9)
    >>> layer(tf.ones([2, 3])).shape
    TensorShape([2, 8])

  References:
    Miyato et al., 2018, Spectral Normalization; Chen et al., 2019, Residual
    Flows, Section 5.1 (coeff = 0.98).
  """


@base_layer.configured
class SpectralConv2D(linear.Conv2D, linear.LinearLayer):
  """Convolution (stride 1, zero padding 'SAME') with norm at most `coeff`.

  The norm is that of the linear map from `[H, W, c_in]` to `[H, W, c_out]` at
  the layer's spatial size; the norm of the flattened kernel is not a bound of
  it. The layer therefore needs a static spatial size.

  Args:
    filters: number of output channels.
    kernel_size: odd integer or a pair of odd integers.
    coeff: see `SpectralDense`, as the others.

  Example:
    >>> layer = layers.SpectralConv2D(8, 3, coeff=0.9)
    >>> layer(tf.ones([2, 6, 6, 1])).shape
    TensorShape([2, 6, 6, 8])

  References:
    Gouk et al., 2018, Regularisation of Neural Networks by Enforcing Lipschitz
    Continuity; Chen et al., 2019, Appendix E.
  """


def _of_orders(spectral_class, induced_class):
  """Returns a function that makes a layer of the class that its orders need."""
  def make(*sizes, domain: float | str = 2.0, codomain: float | str = 2.0,
           bound: str = 'upper', **settings: Any):
    if domain == codomain == 2.0:
      return spectral_class(*sizes, **settings)
    return induced_class(
        *sizes, domain=domain, codomain=codomain, bound=bound, **settings)

  return make


SPECTRAL = lipschitz_layer.Constraint(
    dense=_of_orders(SpectralDense, induced.InducedNormDense),
    conv2d=_of_orders(SpectralConv2D, induced.InducedNormConv2D),
    takes_orders=True)
