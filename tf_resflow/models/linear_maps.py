"""Invertible linear maps before the blocks of a flow."""

import functools

from tf_resflow import layers
from tf_resflow.models import blocks

# Behind the seeds of the networks of a block.
_SEED_OFFSET = blocks.SEEDS_PER_BLOCK - 1


def _make(parameterization: str | None,
          request: blocks.BlockRequest) -> list[layers.Bijection]:
  """Returns what comes before a block: one map, or none.

  Convolutions for images, matrices where everything is dense. The blocks on
  flattened images at the end of a flow have none, as in the authors' code.
  """
  if parameterization is None or request.flattened_from is not None:
    return []
  kind = (layers.InvertibleLinear if request.kernel_sizes is None
          else layers.InvertibleConv1x1)
  return [kind(
      parameterization, seed=request.seed + _SEED_OFFSET,
      name=f'{request.name}_linear', dtype=request.dtype)]


make_none, make_free, make_lu = (
    functools.partial(_make, name) for name in (None, 'free', 'lu'))
