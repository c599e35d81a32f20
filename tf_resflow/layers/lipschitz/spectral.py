"""Spectrally normalised layers, and the constraint `spectral`."""

from typing import Any

from tf_resflow.layers import base_layer
from tf_resflow.layers.lipschitz import induced
from tf_resflow.layers.lipschitz import linear
from tf_resflow.layers.lipschitz import lipschitz_layer


@base_layer.configured
class SpectralLayer(linear.LinearLayer):
  """A linear layer whose l_2 operator norm is at most `coeff`, at every call.

  Power iteration bounds the norm from below, to a relative 1e-3;
  `certificate` gives a guaranteed upper bound.

  Args:
    coeff: bound of the operator norm, in (0, 1).
    use_bias: whether to add a bias, one number per output channel.
    kernel_initializer: Keras initializer; None is U(+-1/sqrt(fan_in)).
    bias_initializer: the same for the bias.
    num_vectors: block size of the power iteration.
    tolerance: its relative residual, or gap.
    max_power_iterations: its largest number of steps per call.
    seed: Python int that makes the default initializers deterministic.
    **kwargs: of `keras.layers.Layer`.

  References:
    Miyato et al., 2018, Spectral Normalization; Gouk et al., 2018 (the norm of
    the convolution instead of that of the flattened kernel); Chen et al.,
    2019, Residual Flows, Section 5.1 (coeff = 0.98).
  """


@base_layer.configured
class SpectralDense(linear.Dense, SpectralLayer):
  """Spectrally normalised dense layer, `y = x W / max(1, |W|_2 / coeff) + b`.

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
