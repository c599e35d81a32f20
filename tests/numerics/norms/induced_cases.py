"""Random operators: dense, and zero-padded convolutions of small images."""

import dataclasses

import numpy as np
import tensorflow as tf

from tf_resflow import numerics

_DENSE_LAWS = ('gaussian', 'nonnegative', 'uniform', 'sparse', 'gaussian',
               'nonnegative', 'low_rank', 'nonnegative_sparse')
_FORMS = ('tall', 'wide', 'square')
_CONV_LAWS = ('gaussian', 'nonnegative', 'uniform', 'gaussian', 'nonnegative')
_KERNEL_SIZES = ((3, 3), (1, 3), (5, 5), (1, 1))
# Among them images smaller than the kernels.
_IMAGES = ((1, 1), (2, 1), (1, 3), (2, 2), (3, 2), (3, 3), (4, 3), (5, 4),
           (6, 5))


@dataclasses.dataclass(frozen=True)
class Case:
  """One operator.

  Attributes:
    name: its law and shape.
    kernel: `[in, out]` or `[kh, kw, in, out]`.
    spatial_shape: `(H, W)` of a convolution.
  """

  name: str
  kernel: np.ndarray
  spatial_shape: tuple[int, int] | None = None

  @property
  def is_nonnegative(self) -> bool:
    return bool(np.all(self.kernel >= 0.0))

  def matrix(self) -> np.ndarray:
    """Returns `A`, `[m, n]`, of the whole image."""
    operator = numerics.LayerOperator(
        tf.constant(self.kernel), self.spatial_shape)
    return operator.apply(
        tf.eye(operator.num_inputs, dtype=tf.float64)).numpy().T


def make_cases(num_cases: int, seed: int = 0) -> list[Case]:
  """Returns cases, dense and convolutional in turn; the same every time.

  Laws, forms, sizes of kernels and of images go through their lists, whose
  lengths have no common divisors, so that they meet in all combinations.

  Args:
    num_cases: how many.
    seed: of channels, sizes and kernels.
  """
  makers = (_dense, _convolution)
  return [makers[i % 2](i // 2, np.random.default_rng([seed, i]))
          for i in range(num_cases)]


def _dense(index, rng):
  law = _DENSE_LAWS[index % len(_DENSE_LAWS)]
  form = _FORMS[index % len(_FORMS)]
  small, large = sorted(rng.choice(np.arange(2, 25), 2, replace=False))
  # Of `A`, whose rows are outputs; a kernel is its transpose.
  shape = {'tall': (small, large), 'wide': (large, small),
           'square': (small, small)}[form]
  return Case(f'{law} {shape[0]} x {shape[1]}', _kernel(law, shape, rng))


def _convolution(index, rng):
  law = _CONV_LAWS[index % len(_CONV_LAWS)]
  size = _KERNEL_SIZES[index % len(_KERNEL_SIZES)]
  image = _IMAGES[index % len(_IMAGES)]
  channels = rng.integers(2, 5, 2) if size == (1, 1) else rng.integers(1, 4, 2)
  shape = (*size, *map(int, channels))
  name = (f'{law} {"x".join(map(str, size))}, {shape[2]} -> {shape[3]}, '
          f'{image[0]} x {image[1]}')
  return Case(name, _kernel(law, shape, rng), image)


def _kernel(law, shape, rng):
  kernel = rng.normal(size=shape)
  if law == 'uniform':
    kernel = rng.uniform(-1.0, 1.0, size=shape)
  if law == 'low_rank':
    rank = min(2, min(shape) - 1)
    kernel = rng.normal(size=[shape[0], rank]) @ rng.normal(
        size=[rank, shape[1]])
  if 'sparse' in law:
    # Three in ten, and one at least.
    is_kept = rng.random(shape) < 0.3
    is_kept.flat[rng.integers(is_kept.size)] = True
    kernel = np.where(is_kept, kernel, 0.0)
  return np.abs(kernel) if 'nonnegative' in law else kernel
