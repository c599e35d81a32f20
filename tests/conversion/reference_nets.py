"""The networks of the authors' blocks: names, sizes, and bounds of norms.

`--vnorms` and `--learn_p` say from which norm to which one. Where it is known,
rows or columns are divided each by its own; else the kernel is, by what the
vectors of the state climb to.
"""

import itertools
from typing import NamedTuple

import numpy as np

from tests.numerics.norms import induced_oracle


class Operator(NamedTuple):
  """A convolution of stride 1 that keeps the size, or a dense matrix.

  Attributes:
    name: of the module in the authors' state.
    outputs, inputs: channels or, of a matrix, rows and columns.
    kernel: odd width of the square kernel; `None` for a matrix.
    height, width: of the image; 1 for a matrix.
    constrained: whether its norm is limited to `coeff`.
    orders: of the norms of inputs and outputs: numbers, or, where they are
      learned, names in the state.
  """

  name: str
  outputs: int
  inputs: int
  kernel: int | None = None
  height: int = 1
  width: int = 1
  constrained: bool = True
  orders: tuple = (2.0, 2.0)


class Activation(NamedTuple):
  """A nonlinearity inside a residual block, by the name of its module."""

  name: str


def orders(arguments):
  """Pairs of orders, layer by layer; none where they are learned."""
  if arguments['learn_p']:
    return []
  return list(itertools.pairwise(
      np.inf if norm == 'f' else float(norm) for norm in arguments['vnorms']))


def conv_net(name, shape, ends, width, kernels, leading, constrained, pairs):
  """The convolutions of a block, with activations between them."""
  channels, rows, columns = shape
  # The first and the last are always there, and the same for one entry.
  kernels = [kernels[0], *kernels[1:-1], kernels[-1]]
  if pairs:
    pairs = [pairs[0], *pairs[1:-1], pairs[-1]]
  return _alternate(name, leading, pairs, [
      Operator('', outputs, inputs, kernel, rows, columns, constrained)
      for (inputs, outputs), kernel in zip(
          _widths(channels, ends, width, len(kernels)), kernels, strict=True)])


def dense_net(name, shape, ends, width, kernels, leading, constrained, pairs):
  """The matrices of a block, with activations between them."""
  return _alternate(f'{name}.nnet', leading, pairs, [
      Operator('', outputs, inputs, constrained=constrained)
      for inputs, outputs in _widths(
          np.prod(shape), ends, width, len(kernels))])


def _widths(size, ends, width, num_operators):
  first, last = (int(end * size) for end in ends)
  return itertools.pairwise([first, *[width] * (num_operators - 1), last])


def _alternate(prefix, leading, pairs, operators):
  first = int(leading)
  names = [f'{prefix}.{2 * i + first}' for i in range(len(operators))]
  if operators[0].constrained and not pairs:
    # The codomain of a layer is the domain of the next; one has two names.
    learned = [f'{names[0]}.domain', *(f'{n}.codomain' for n in names[:-1])]
    pairs = list(zip(learned, learned[1:] + learned[:1], strict=True))
  net = [Activation(f'{prefix}.0')] if leading else []
  for i, operator in enumerate(operators):
    if i:
      net.append(Activation(f'{prefix}.{len(net)}'))
    net.append(operator._replace(
        name=names[i], **({'orders': pairs[i]} if pairs else {})))
  return tuple(net)


# By rows or columns; the order of their norms.
_CLOSED = {
    (1.0, 1.0): ('columns', 1.0), (1.0, 2.0): ('columns', 2.0),
    (1.0, np.inf): ('columns', np.inf), (2.0, np.inf): ('rows', 2.0),
    (np.inf, np.inf): ('rows', 1.0)}


def has_vectors(orders):
  """Whether the state of a layer has u and v."""
  return orders not in _CLOSED


def squash(raw):
  """The order that a trained number stands for."""
  a = np.arctanh(0.5) - raw
  leaky = 0.3 * a + 0.7 * np.where(a > 0.0, a, np.expm1(np.minimum(a, 0.0)))
  return 3.0 + 2.0 * np.tanh(-leaky)


def normalize(kernel, matrix, v, orders, coeff):
  """Returns a kernel as its layer computes with it.

  The norm is that of `matrix`; `v` is None where `has_vectors` is False.
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
  for _ in range(2000):
    u = induced_oracle.dual_vectors(matrix @ v, codomain)
    v = induced_oracle.dual_vectors(matrix.T @ u, induced_oracle.dual(domain))
  return kernel / max(1.0, u @ matrix @ v / coeff)
