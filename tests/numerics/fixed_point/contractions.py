"""Contractive maps and right-hand sides for the fixed-point tests."""

import numpy as np
import tensorflow as tf

DIM = 60


def matrix(kind, bound, dim=DIM, seed=0):
  rng = np.random.default_rng(seed)
  basis, _ = np.linalg.qr(rng.normal(size=(dim, dim)))
  if kind == 'symmetric':
    return basis @ np.diag(np.linspace(-bound, bound, dim)) @ basis.T
  if kind == 'orthogonal':
    return bound * basis
  matrix = rng.normal(size=(dim, dim))
  if kind == 'skew':
    matrix = matrix - matrix.T
  return matrix * bound / np.linalg.norm(matrix, 2)


def linear(matrix):
  return lambda x: tf.linalg.matvec(tf.constant(matrix, x.dtype), x)


def rhs(batch=4, dim=DIM, seed=1, dtype=tf.float64):
  rng = np.random.default_rng(seed)
  return tf.constant(rng.normal(size=(batch, dim)), dtype)


def solve(solver, g_fn, y, **kwargs):
  """Solves in a tf.function whose batch size is unknown."""
  return traced(lambda y: solver.solve(g_fn, y, **kwargs), y)(y)


def traced(solve_fn, *inputs):
  """Returns a function as one graph for every size of the batch."""
  return tf.function(solve_fn, input_signature=[
      tf.TensorSpec([None, *t.shape[1:]], t.dtype) for t in inputs])
