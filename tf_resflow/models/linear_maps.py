"""Invertible linear maps before the blocks of a flow."""

from collections.abc import Callable

from tf_resflow import layers
from tf_resflow.models import blocks

# Behind the seeds of the networks of a block.
_SEED_OFFSET = blocks.SEEDS_PER_BLOCK - 1


def _maker(parameterization: str) -> Callable:
  """Returns a function that makes what comes before a block.

  Convolutions for images, matrices where everything is dense. The blocks on
  flattened images at the end of a flow have none, as in the authors' code.
  """

  def make(request: blocks.BlockRequest) -> list[layers.Bijection]:
    if request.flattened_from is not None:
      return []
    kind = (layers.InvertibleLinear if request.kernel_sizes is None
            else layers.InvertibleConv1x1)
    return [kind(
        parameterization, seed=request.seed + _SEED_OFFSET,
        name=f'{request.name}_linear', dtype=request.dtype)]

  return make


def make_none(unused_request: blocks.BlockRequest) -> list[layers.Bijection]:
  """Returns no map."""
  return []


make_free = _maker('free')
make_lu = _maker('lu')
