"""The norm bounds of the authors' layers, in NumPy and float64.

`--vnorms` and `--learn_p` say from which norm to which one. Where it is known,
rows or columns are divided each by its own; else the kernel is, by what the
vectors of the state climb to.
"""

import numpy as np

from tests.numerics.norms import induced_oracle

_INF = np.inf
# By rows or columns; the order of their norms.
_CLOSED = {
    (1.0, 1.0): ('columns', 1.0), (1.0, 2.0): ('columns', 2.0),
    (1.0, _INF): ('columns', _INF), (2.0, _INF): ('rows', 2.0),
    (_INF, _INF): ('rows', 1.0)}
_NUM_STEPS = 2000


def has_vectors(orders):
  """Whether the state of a layer has u and v.

  Args:
    orders: domain and codomain: numbers, or names where they are learned.
  """
  return orders not in _CLOSED


def squash(raw):
  """The order that a trained number stands for."""
  a = np.arctanh(0.5) - raw
  leaky = 0.3 * a + 0.7 * np.where(a > 0.0, a, np.expm1(np.minimum(a, 0.0)))
  return 3.0 + 2.0 * np.tanh(-leaky)


def normalize(kernel, matrix, v, orders, coeff):
  """Returns a kernel as its layer computes with it.

  Args:
    kernel: `[outputs, inputs, ...]`.
    matrix: of which the norm is taken.
    v: the vector of the state; None where `has_vectors` is False.
    orders: two numbers.
    coeff: the bound.
  """
  orders = tuple(map(float, orders))
  if v is None:
    side, order = _CLOSED[orders]
    axis = 0 if side == 'rows' else 1
    flat = np.moveaxis(kernel, axis, 0).reshape([kernel.shape[axis], -1])
    norms = np.linalg.norm(flat, order, axis=1)
    shape = np.ones(kernel.ndim, int)
    shape[axis] = -1
    return kernel / np.maximum(1.0, norms / coeff).reshape(shape)
  domain, codomain = orders
  for _ in range(_NUM_STEPS):
    u = induced_oracle.dual_vectors(matrix @ v, codomain)
    v = induced_oracle.dual_vectors(matrix.T @ u, induced_oracle.dual(domain))
  return kernel / max(1.0, u @ matrix @ v / coeff)
