"""Lipschitz constants of the blocks of a flow."""

from collections.abc import Iterable
from typing import NamedTuple

from tf_resflow import layers
from tf_resflow.layers.lipschitz import lipschitz_layer


class BlockBound(NamedTuple):
  """Lipschitz constants of the `g` of one block.

  Attributes:
    name: of the block.
    lipschitz_bound: what the block keeps to at every call.
    power_iteration: product of the layers' norms as power iteration sees them
      (from below, to a relative 1e-3) and of the activations' constants.
    certificate: product of guaranteed upper bounds of the present weights;
      None if uncertified.
    methods: how every layer was certified, or ('asserted',).
    order: the `p` of the l_p in which the bounds hold.
    known_by: how `lipschitz_bound` is known, one of `lipschitz_layer.KNOWN_BY`.
  """

  name: str
  lipschitz_bound: float
  power_iteration: float | None
  certificate: float | None
  methods: tuple[str, ...]
  order: float | None = 2.0
  known_by: str = 'construction'

  @property
  def is_estimated(self) -> bool:
    """Whether `lipschitz_bound` comes from norms that may be too low."""
    return self.known_by == lipschitz_layer.ESTIMATED

  @property
  def excess(self) -> float:
    """By which share of the bound a search found more, at least 0."""
    return max(0.0, self.power_iteration / self.lipschitz_bound - 1.0)


def bounds_of(
    blocks: Iterable[layers.Bijection], certify: bool) -> list[BlockBound]:
  """Returns those of blocks that have some, see `Flow.lipschitz_bounds`."""
  bounds = []
  for block in blocks:
    slopes = block.slope_bounds()
    certificate = (
        block.certificate() if certify else layers.Certificate(None))
    bounds.append(BlockBound(
        block.name, block.lipschitz_bound, block.norm_estimate(),
        certificate.bound, certificate.methods, slopes.order, slopes.known_by))
  return bounds
