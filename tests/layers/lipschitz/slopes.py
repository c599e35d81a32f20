"""Norms of the derivative of an activation of single numbers, on a grid."""

import numpy as np
import tensorflow as tf


def norms(layer, grid, order=2):
  """Returns the norm of the derivative of every output of one number.

  Args:
    layer: float64, from single numbers to one or more channels.
    grid: numbers, `[N]`.
    order: of the norm.

  Returns:
    `[N]`.
  """
  x = tf.constant(np.asarray(grid)[:, np.newaxis])
  with tf.GradientTape(persistent=True) as tape:
    tape.watch(x)
    outputs = tf.unstack(layer(x), axis=1)
  derivatives = [tape.gradient(y, x)[:, 0] for y in outputs]
  return np.linalg.norm(derivatives, order, axis=0)


def check(layer, grid):
  """Checks that slopes stay below the stated bound, and reach 99 % of it."""
  slopes = norms(layer, grid)
  assert slopes.max() <= layer.lipschitz_bound
  assert slopes.max() >= 0.99 * layer.lipschitz_bound
