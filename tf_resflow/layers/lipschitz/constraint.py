"""Which linear layers a network is made of."""

from collections.abc import Callable
from typing import NamedTuple

from tf_resflow.layers.lipschitz import spectral_conv2d
from tf_resflow.layers.lipschitz import spectral_dense


class Constraint(NamedTuple):
  """The layers by which networks keep their bound, as registered by name.

  Attributes:
    dense: `dense(units, coeff=, seed=, name=, dtype=)` returns a
      `LipschitzLayer` on vectors.
    conv2d: `conv2d(filters, kernel_size, coeff=, seed=, name=, dtype=)` returns
      one on images.
  """

  dense: Callable
  conv2d: Callable


SPECTRAL = Constraint(
    spectral_dense.SpectralDense, spectral_conv2d.SpectralConv2D)
