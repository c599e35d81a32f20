"""What keeps the linear layers of networks to their bound, by name."""

from typing import Any

from tf_resflow.layers.lipschitz import induced
from tf_resflow.layers.lipschitz import lipschitz_layer
from tf_resflow.layers.lipschitz import spectral


def _of_orders(spectral_kind, induced_kind):
  """Returns a maker of layers whose kernels are divided by their norms."""
  def make(*sizes, domain: float | str = 2.0, codomain: float | str = 2.0,
           bound: str = 'upper', **settings: Any):
    if domain == codomain == 2.0:
      return spectral_kind(*sizes, **settings)
    return induced_kind(
        *sizes, domain=domain, codomain=codomain, bound=bound, **settings)

  return make


SPECTRAL = lipschitz_layer.Constraint(
    dense=_of_orders(spectral.SpectralDense, induced.InducedNormDense),
    conv2d=_of_orders(spectral.SpectralConv2D, induced.InducedNormConv2D),
    takes_orders=True)
