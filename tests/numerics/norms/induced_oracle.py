"""Induced norms by brute force, in NumPy and float64."""

import itertools

import numpy as np

ORDERS = (1.0, 1.5, 2.0, 3.0, np.inf)
PAIRS = tuple(itertools.product(ORDERS, ORDERS))


def vector_norms(x, order):
  """The norms of the last axis."""
  return np.linalg.norm(x, order, axis=-1)


def dual(order):
  """`p* = p / (p - 1)`."""
  return {1.0: np.inf, np.inf: 1.0}.get(order) or order / (order - 1.0)


def dual_vectors(x, order):
  """`u` with `<u, x> = |x|_p` and the dual norm 1, of `[..., n]`."""
  if order == np.inf:
    return np.sign(x) * (
        np.argmax(np.abs(x), axis=-1)[..., np.newaxis] == np.arange(
            x.shape[-1]))
  scale = np.maximum(vector_norms(x, order), 1e-300)[..., np.newaxis]
  return np.sign(x) * (np.abs(x) / scale)**(order - 1.0)


def brute_force(matrix, domain, codomain, num_starts=1000, seed=0):
  """The largest `|A x|_q / |x|_p` to which random starts climb.

  All of them take 100 steps, and the best 20 another 1,000.

  Args:
    matrix: `[m, n]`.
    domain: `p`.
    codomain: `q`.
    num_starts: how many.
    seed: of the starts.
  """
  def climb(x, num_steps):
    for _ in range(num_steps):
      x = dual_vectors(
          dual_vectors(x @ matrix.T, codomain) @ matrix, dual(domain))
    return x

  def quotients(x):
    return vector_norms(x @ matrix.T, codomain) / vector_norms(x, domain)

  x = climb(np.random.default_rng(seed).normal(
      size=[num_starts, matrix.shape[1]]), 100)
  best = climb(x[np.argsort(quotients(x))[-20:]], 1000)
  return max(quotients(x).max(), quotients(best).max())


def on_a_circle(matrix, domain, codomain, num_angles=200_000):
  """The norm of a matrix `[m, 2]` from a grid of directions: no ascent."""
  turns = np.linspace(0.0, np.pi, num_angles, endpoint=False)
  x = np.stack([np.cos(turns), np.sin(turns)], axis=-1)
  return np.max(
      vector_norms(x @ matrix.T, codomain) / vector_norms(x, domain))
