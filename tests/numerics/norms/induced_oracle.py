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


def brute_force(
    matrix, domain, codomain, num_starts=1000, seed=0, further_starts=None):
  """The largest `|A x|_q / |x|_p` to which random starts climb.

  All of them take 100 steps, and the best 20 another 1,000, or as many as they
  need to stand still.

  Args:
    matrix: `[m, n]`.
    domain: `p`.
    codomain: `q`.
    num_starts: how many.
    seed: of the starts.
    further_starts: `[k, n]`, more of them.
  """
  def quotients(x):
    norms = vector_norms(x, domain)
    return vector_norms(x @ matrix.T, codomain) / np.where(norms, norms, 1.0)

  def climb(x, num_steps):
    before = quotients(x)
    for step in range(1, num_steps + 1):
      x = _direction(_direction(x @ matrix.T, codomain) @ matrix, dual(domain))
      largest = np.max(np.abs(x), axis=-1, keepdims=True)
      x = x / np.where(largest, largest, 1.0)
      if step % 10 == 0:
        after = quotients(x)
        if np.all(after <= before * (1.0 + 1e-14)):
          break
        before = after
    return x

  x = np.random.default_rng(seed).normal(size=[num_starts, matrix.shape[1]])
  if further_starts is not None:
    x = np.concatenate([x, further_starts])
  x = climb(x, 100)
  best = climb(x[np.argsort(quotients(x))[-20:]], 1000)
  return max(quotients(x).max(), quotients(best).max())


def telling_starts(matrix, domain, seed=0):
  """Starts from which no random one need be near.

  Unit vectors, which are corners of the ball for p = 1; for every row a vector
  that it is largest at; and 100 without negative entries.

  Args:
    matrix: `[m, n]`.
    domain: `p`.
    seed: of the last.
  """
  size = matrix.shape[1]
  return np.concatenate([
      np.eye(size), dual_vectors(matrix, dual(domain)),
      np.abs(np.random.default_rng(seed).normal(size=[100, size]))])


def _direction(x, order):
  """The dual vectors, but for their lengths."""
  if order == np.inf:
    return dual_vectors(x, order)
  # Powers are slow.
  special = {1.0: np.sign, 2.0: lambda x: x, 3.0: lambda x: x * np.abs(x),
             1.5: lambda x: np.copysign(np.sqrt(np.abs(x)), x)}
  return special.get(order, lambda x: np.sign(x) * np.abs(x)**(order - 1.0))(x)


def on_a_circle(matrix, domain, codomain, num_angles=20_000):
  """The norm of a matrix `[m, 2]` from a grid of directions: no ascent."""
  turns = np.linspace(0.0, np.pi, num_angles, endpoint=False)
  x = np.stack([np.cos(turns), np.sin(turns)], axis=-1)
  return np.max(vector_norms(x @ matrix.T, codomain) / vector_norms(x, domain))
