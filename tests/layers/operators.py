"""Materialised operators of constrained layers."""

import numpy as np
import tensorflow as tf


def materialize(layer, event_shape):
  """Returns the matrix `[outputs, inputs]` of an affine layer, in float64.

  Columns are the images of basis vectors, minus the image of zero.
  """
  size = int(np.prod(event_shape))
  basis = np.eye(size).reshape([size, *event_shape])
  inputs = np.concatenate([np.zeros([1, *event_shape]), basis])
  outputs = layer(tf.constant(inputs, layer.compute_dtype))
  outputs = np.asarray(outputs, np.float64).reshape([size + 1, -1])
  return (outputs[1:] - outputs[:1]).T


def true_norm(layer, event_shape):
  """Returns the largest singular value of what the layer computes."""
  return np.linalg.norm(materialize(layer, event_shape), 2)
