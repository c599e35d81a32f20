"""Rows of eager calls of a flow, in parts, so that any number of them fits."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from tf_resflow.columns import rows as rows_lib
from tf_resflow.layers import base_layer
from tf_resflow.numerics import random

# Numbers in the rows of a part, or in the points of their cells; least rows.
_NUM_NUMBERS, _MIN_ROWS = 80_000, 128


def split(flow: Any, x: Any, condition: Any = None,
          seed: random.SeedLike = None) -> Iterator[tuple] | None:
  """Splits the rows of a call, or returns None where they are one part.

  So they are in graphs, and where a flow is to be initialised by them. A part
  has a seed of its own, unless seeds are `numbered`: these go by the places of
  rows.

  Args:
    flow: a `models.Flow`.
    x: `[N, ...]`, or a data frame.
    condition: one for all rows, or one for each; see `models.Flow`.
    seed: of all draws.

  Returns:
    An iterator of `x`, `condition` and `seed` of parts.
  """
  size = max(_MIN_ROWS, _NUM_NUMBERS // flow.latent_size // max(
      1, flow.augmentation.num_points))
  num_rows = (*np.shape(x), 0)[0] if tf.executing_eagerly() else 0
  if num_rows <= size or not flow.is_initialized:
    return None
  x, condition = rows_lib.arrays(flow.schema, x, condition)
  if flow.condition_spec is not None:
    condition = flow.condition_spec.convert(condition, flow.compute_dtype)
    base_layer.check_batch(condition, x)  # Of all, not of a part.
  is_of_all = np.shape(condition)[:1] in ((), (1,))
  seed = random.as_seed(seed)
  return ((
      x[part], condition if is_of_all else condition[part],
      random.fold_in(seed, part.start) if seed.numbers is None else
      seed._replace(numbers=seed.numbers[part])) for part in (
          slice(start, start + size) for start in range(0, num_rows, size)))
