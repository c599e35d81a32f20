"""Kernels of all shapes: dense, wide, narrow, larger than the image, 1 x 1.

And their maps.
"""

import numpy as np
import tensorflow as tf

from tests import loops
from tests import testing
from tf_resflow.numerics.norms import operators

SHAPES = [
    ((3, 5), None),
    ((20, 12), None),
    ((2, 16), None),
    ((3, 3, 2, 6), (4, 5)),
    ((3, 3, 3, 2), (4, 5)),
    ((3, 3, 2, 2), (3, 3)),
    ((5, 3, 1, 2), (4, 3)),
    ((5, 5, 3, 3), (4, 4)),
    ((3, 3, 1, 8), (6, 4)),
    ((3, 3, 1, 2), (2, 1)),
    ((1, 1, 2, 3), (2, 3)),
    ((1, 1, 7, 5), (3, 3)),
]
EACH_SHAPE = loops.each(SHAPES)


def random(shape, seed=0):
  """Returns normal numbers."""
  return np.random.default_rng(seed).normal(size=shape)


def operator(shape, spatial_shape=None, *orders, dtype=tf.float64):
  """Returns the map of a kernel of normal numbers."""
  return operators.LayerOperator(
      tf.constant(random(shape), dtype), spatial_shape, *orders)


def matrix(operator):
  """Returns a map in float64 as a matrix, `[m, n]`."""
  return testing.materialize(operator.apply, operator.num_inputs).T
