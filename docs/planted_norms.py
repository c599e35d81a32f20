"""Bounds of kernels after any change, of pairs with a planted direction.

  python -m docs.planted_norms

The second dense kernel of a pair lengthens a direction that is outside of the
vectors which the layer keeps of the first; the second convolution is the first
with others added. Printed are the pairs whose normalised kernel exceeds its
bound by more than a relative 1e-3, by singular values, then the numbers of
pairs and the largest excess.
"""

import itertools

import numpy as np

from tests.numerics.norms import kernels
from tf_resflow import layers

COEFF = 0.9
SIZES = ((80, 80), (128, 128), (192, 256), (200, 200), (256, 256), (512, 400),
         (1024, 1024), (2048, 2048))
IMAGES = ((9, 1, 16), (8, 4, 8), (14, 1, 32), (14, 4, 8), (28, 1, 16))
# n singular values, below a largest one of 1.
SPECTRA = {
    'uniform': lambda n, rng: rng.uniform(0.0, 0.998, n),
    'flat': lambda n, rng: rng.uniform(0.9, 0.9999, n),
    'decay': lambda n, rng: np.arange(2.0, n + 2.0)**-0.5,
    'normal': lambda n, rng: np.linalg.svd(
        rng.normal(size=[n, n]), compute_uv=False) / (2.2 * n**0.5)}


def _dense(size, spectrum, ratio, rng):
  """Returns a layer, two kernels, and the norm of the second one."""
  rank = min(size)
  left, right = (
      np.linalg.qr(rng.normal(size=[n, rank]))[0] for n in size)
  values = np.sort(np.append(SPECTRA[spectrum](rank - 1, rng), 1.0))
  first = left * values @ right.T
  values[0] = ratio
  layer = layers.SpectralDense(size[1], coeff=COEFF, use_bias=False, seed=0)
  layer.build((None, size[0]))
  return layer, first, left * values @ right.T, ratio


def _conv(image, change, rng):
  size, inputs, outputs = image
  layer = layers.SpectralConv2D(outputs, 3, coeff=COEFF, use_bias=False, seed=0)
  layer.build((None, size, size, inputs))
  first, other = rng.normal(size=[2, *layer.kernel.shape])
  return layer, first, first + change * other, None


def _excess(layer, first, second, norm):
  """Returns by how much the norm of the second kernel exceeds the bound."""
  layer.kernel.assign(first)
  for _ in range(3):
    layer.save_norms()
  layer.kernel.assign(second)
  if norm is None:
    return np.linalg.norm(kernels.matrix(layer.normalized_map()), 2) / COEFF - 1
  factor = np.vdot(layer.normalized_kernel(), second) / np.vdot(second, second)
  return norm * factor / COEFF - 1


def main() -> None:
  """Prints the pairs above, and the largest excess."""
  for make, cases in (
      (_dense, [*itertools.product(SIZES, SPECTRA, (1.0015, 1.02, 1.2))]),
      (_conv, [*itertools.product(IMAGES, (0.1, 0.3, 1.0))])):
    found = []
    for seed in range(3):
      rng = np.random.default_rng(seed)
      for case in cases:
        found.append(_excess(*make(*case, rng)))
        if found[-1] > 1e-3:
          print(seed, case, found[-1], flush=True)
    print(f'{len(found)} pairs, the largest excess is {max(found):.1e}.',
          flush=True)


if __name__ == '__main__':
  main()
