"""Lipschitz constants of the blocks of a flow."""

from collections.abc import Iterable
from typing import NamedTuple

from tf_resflow import layers


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
  """

  name: str
  lipschitz_bound: float
  power_iteration: float | None
  certificate: float | None
  methods: tuple[str, ...]


def bounds_of(
    blocks: Iterable[layers.Bijection], certify: bool) -> list[BlockBound]:
  """Returns those of blocks that have some, see `Flow.lipschitz_bounds`."""
  return [
      BlockBound(
          block.name, block.lipschitz_bound, block.norm_estimate(),
          *(block.certificate() if certify else layers.Certificate(None)))
      for block in blocks]
