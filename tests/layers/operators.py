"""Materialised operators of constrained layers."""

import numpy as np
import tensorflow as tf

from tests.numerics.norms import induced_oracle
from tf_resflow.layers.lipschitz import learned_norms


def materialize(layer):
  """Returns the matrix `[outputs, inputs]` of a linear layer, in float64.

  Columns are the images of basis vectors, minus the image of zero.
  """
  event_shape = (*(layer.spatial_shape or ()), layer.kernel.shape[-2])
  size = int(np.prod(event_shape))
  basis = np.eye(size).reshape([size, *event_shape])
  inputs = np.concatenate([np.zeros([1, *event_shape]), basis])
  outputs = layer(tf.constant(inputs, layer.compute_dtype))
  outputs = np.asarray(outputs, np.float64).reshape([size + 1, -1])
  return (outputs[1:] - outputs[:1]).T


def true_norm(layer):
  """Returns the norm of what a layer computes, by SVD or by brute force."""
  orders = [learned_norms.present_order(order)
            for order in (layer.domain, layer.codomain)]
  matrix = materialize(layer)
  return np.linalg.norm(matrix, 2) if orders == [2.0, 2.0] else (
      induced_oracle.brute_force(matrix, *orders, num_starts=100))
