"""Guaranteed upper bounds of l2 operator norms, in float64.

Power iteration approaches an operator norm from below, so it cannot prove that
a residual branch is a contraction. The bounds here can: each includes a margin
for its own rounding errors. They take longer than a training step and are meant
for offline checks.

Notation: u = 2^-53 is the unit roundoff and gamma(n) = n u / (1 - n u). A
product of matrices with inner dimension n, in any order of summation, obeys
|fl(A B) - A B| <= gamma(n) |A| |B| elementwise (Higham, 2002, Section 3.5).
"""

import math
from typing import NamedTuple

import numpy as np

from tf_resflow import errors

_UNIT = 2.0**-53
# Largest side of a materialised Gram matrix: 4096^2 float64 are 128 MiB.
_MAX_GRAM_SIDE = 4096
# Largest number of squarings, which stop when another one lowers the bound by
# less than the next number.
_NUM_SQUARINGS = 30
_MIN_DECREASE = 1e-7
# Complex numbers in one chunk of symbols (64 MiB).
_CHUNK_SIZE = 2**22


class Certificate(NamedTuple):
  """A guaranteed upper bound of a Lipschitz constant, for given weights.

  Attributes:
    bound: the Lipschitz constant is at most this; None if nothing is proven.
    methods: how every constrained layer was bounded: 'dense' (Gram matrix of a
      matrix), 'dft' (symbols of a circular convolution), 'gram' (Gram matrix of
      the materialised convolution), 'closed' (a closed form), `'interpolated_'`
      and one of these (Riesz-Thorin), or 'asserted' (by the user).
    order: for a residual block, the `p` of the l_p in which its `g` is bounded;
      None for layers, which have a domain and a codomain.
  """

  bound: float | None
  methods: tuple[str, ...] = ()
  order: float | None = None


def certified_norm_bound(
    kernel: np.ndarray, spatial_shape: tuple[int, int] | None = None,
    target: float | None = None) -> Certificate:
  """Bounds the l2 norm of a dense layer or of a stride-1 SAME convolution.

  A convolution gets the cheap `conv_dft_bound` first. If that is above
  `target` and the smaller of the two sides c * H * W is at most 4096, the bound
  of the materialised Gram matrix is computed, and the smaller one returned.

  Args:
    kernel: `[in, out]` or `[kh, kw, in, out]`; any float type.
    spatial_shape: `(H, W)`, needed for a convolution.
    target: stop at the first bound that is at most this; None computes the
      tightest bound, about 15 s on two cores for a side of 3072.

  Returns:
    A `Certificate`; its bound may exceed `target`.

  Raises:
    InvalidValueError: if the kernel is not finite, or shapes do not fit.

  Example:
    >>> kernel = np.ones([3, 3, 1, 1]) / 9.0
    >>> certified_norm_bound(kernel, (8, 8), target=0.98).methods
    ('gram',)
  """
  kernel = np.asarray(kernel).astype(np.float64)
  num_bad = np.count_nonzero(~np.isfinite(kernel))
  errors.check(
      kernel.size > 0 and num_bad == 0, 'kernel',
      f'an array of shape {kernel.shape} with {num_bad} numbers that are not '
      'finite', 'finite numbers, at least one')
  target = -math.inf if target is None else target
  if kernel.ndim == 2 and spatial_shape is None:
    return Certificate(dense_bound(kernel, target), ('dense',))
  if kernel.ndim != 4 or not spatial_shape:
    raise errors.InvalidValueError(
        'kernel', f'an array of shape {kernel.shape}', 'the kernel [kh, kw, '
        'in, out] of a convolution with spatial_shape, or a matrix [in, out] '
        'without')
  if kernel.shape[:2] == (1, 1):
    return Certificate(dense_bound(kernel[0, 0], target), ('dense',))
  dft = conv_dft_bound(kernel, spatial_shape)
  side = min(kernel.shape[2:]) * math.prod(spatial_shape)
  if dft <= target or side > _MAX_GRAM_SIDE:
    return Certificate(dft, ('dft',))
  kernel, exponent = _normalise(kernel)
  gram, gram_error = conv_gram(kernel, spatial_shape)
  bound = math.ldexp(gram_trace_bound(
      gram, target=math.ldexp(target, -exponent), gram_error=gram_error),
                     exponent)
  return Certificate(bound, ('gram',)) if bound < dft else Certificate(
      dft, ('dft',))


def dense_bound(matrix: np.ndarray, target: float = -math.inf) -> float:
  """Returns an upper bound of the spectral norm of a matrix, tight to 1e-7.

  Applies `gram_trace_bound` to the Gram matrix of the smaller side, whose
  rounding error is at most gamma(m) || |A| |A|^T || <= gamma(m) |A|_F^2 for
  inner dimension m.

  Args:
    matrix: `[in, out]`, float64.
    target: stop as soon as the bound is at most this.
  """
  matrix, exponent = _normalise(matrix)
  matrix = min(matrix, matrix.T, key=len)
  return math.ldexp(gram_trace_bound(
      matrix @ matrix.T, target=math.ldexp(target, -exponent),
      gram_error=_gamma(matrix.shape[1]) * (
          np.sum(matrix**2) * (1.0 + _gamma(matrix.size + 1)))), exponent)


def gram_trace_bound(
    gram: np.ndarray, target: float = -math.inf,
    gram_error: float = 0.0) -> float:
  """Returns an upper bound of the norm of an operator with Gram matrix A.

    |A|^(1/2) <= trace(A^(2^k))^(1/2^(k+1))   for every k,

  with equality in the limit; the excess is a factor of at most
  n^(1/2^(k+1)). The trace of A^(2^k) is the squared Frobenius norm of
  A^(2^(k-1)), so k - 1 squarings give the bound for k.

  Rounding. With M_0 = A and M_(k+1) = fl(M_k M_k^T), the computed matrices
  satisfy, whatever the rounding errors before step k,

    |M_k|_2^2 = |M_k M_k^T|_2 <= |M_(k+1)|_2 + gamma(n) |M_k|_F^2,

  because || |M| |M|^T ||_2 <= |M|_F^2. Starting from |M_K|_2 <= |M_K|_F and
  going back through these square roots bounds |A|_2 itself. The matrices are
  scaled by powers of two, which is exact, against overflow.

  Args:
    gram: `[n, n]`, symmetric positive semidefinite, float64.
    target: stop as soon as the bound is at most this.
    gram_error: bound of |gram - A|_2, added to |gram|_2.
  """
  power, size = gram, len(gram)
  best, error, steps = math.inf, gram_error, []
  for k in range(_NUM_SQUARINGS + 1):
    power, exponent = _normalise(power)
    frobenius = float(np.linalg.norm(power)) * (1.0 + _gamma(size**2 + 2))
    steps.append((exponent, error))
    bound = frobenius
    for exponent, error in reversed(steps):
      bound = _up(math.sqrt(math.ldexp(bound, exponent) + error))
    decrease = 1.0 - bound / best if best > 0.0 else 0.0
    best = min(best, bound)
    if best <= target or decrease < _MIN_DECREASE or k == _NUM_SQUARINGS:
      break
    # The last term covers entries that underflow.
    error = _gamma(size + 4) * frobenius**2 + 1e-300
    power = power @ power.T
  return best


def conv_gram(kernel: np.ndarray,
              spatial_shape: tuple[int, int]) -> tuple[np.ndarray, float]:
  """Returns the Gram matrix of a stride-1 SAME convolution's smaller side.

  With the operator A as a matrix from H W in to H W out numbers, A^T A if
  in <= out, else A A^T. Assembled from the products of pairs of taps, so the
  larger side is never stored.

  Its arguments are those of `certified_norm_bound`, the kernel in float64.

  Returns:
    The matrix `[H W c, H W c]` with `c = min(in, out)`, positions first, and a
    bound of the l2 norm of its rounding error.
  """
  num_rows, num_columns, num_in, num_out = kernel.shape
  # Input positions of taps, relative to the output (TF's SAME padding).
  offsets = np.argwhere(np.ones([num_rows, num_columns])) - [
      (num_rows - 1) // 2, (num_columns - 1) // 2]
  taps = kernel.reshape([-1, num_in, num_out])
  if num_in > num_out:
    # A^T is the convolution with mirrored offsets and swapped channels.
    taps, offsets = taps.transpose([0, 2, 1]), -offsets
  num_taps, side, inner = taps.shape
  flat = taps.reshape([num_taps * side, inner])
  products = (flat @ flat.T).reshape([num_taps, side, num_taps, side])

  height, width = spatial_shape
  size = height * width
  gram = np.zeros([size, side, size, side])
  moved = offsets[:, np.newaxis] + np.stack(
      np.divmod(np.arange(size), width), axis=-1)
  inside = np.all((moved >= 0) & (moved < [height, width]), axis=-1)
  index = moved[..., 0] * width + moved[..., 1]
  for s, t in np.ndindex(num_taps, num_taps):
    both = inside[s] & inside[t]
    gram[index[s][both], :, index[t][both], :] += products[s, :, t, :]

  # |error| <= gamma |taps| |taps|^T summed over pairs of taps, and the norm of
  # a symmetric nonnegative matrix is at most its largest row sum.
  row_sums = np.abs(flat) @ np.abs(flat).sum(axis=0)
  largest = float(row_sums.reshape([num_taps, side]).sum(axis=0).max())
  return (gram.reshape([size * side, size * side]),
          1.01 * _gamma(inner + num_taps + 2) * largest)


def conv_dft_bound(kernel: np.ndarray, spatial_shape: tuple[int, int]) -> float:
  """Bounds the norm of a stride-1 SAME convolution by a Fourier transform.

  The zero-padded convolution on H x W is a compression of the circular one on
  (H + kh - 1) x (W + kw - 1): pad the input with zeros, convolve circularly,
  crop. Padding and cropping have norm 1, and the circular operator is block
  diagonal over the DFT frequencies w, so

    |A| <= max_w sigma_max(S(w)),   S(w) = sum_t kernel[t] exp(-i <w, t>).

  A real kernel has S(-w) = conj(S(w)), so half of the frequencies suffice.
  For random 3 x 3 kernels 2 to 10 % above the norm at 7 x 7 to 10 x 10 with
  2 -> 4 channels, and 0.1 % (32 x 32, 3 -> 512) to 2 % (8 x 8, 48 -> 512) in
  wide layers; the gap shrinks as 1 / H^2.

  Rounding. Phases are accurate to 64 u; the Gram matrices of the symbols have
  errors below 4 gamma(m + 4) |S|_F^2, their eigenvalues below 10 n u |S|_F^2
  (LAPACK's backward error, with a generous constant).

  Its arguments are those of `certified_norm_bound`, the kernel in float64.

  References:
    Sedghi, Gupta and Long, 2019 (singular values of circular convolutions).
  """
  kernel, exponent = _normalise(kernel)
  num_rows, num_columns, num_in, num_out = kernel.shape
  num_taps = num_rows * num_columns
  height, width = spatial_shape
  period = (height + num_rows - 1, width + num_columns - 1)
  phases = np.einsum(
      'fs,gt->fgst', _phases(period[0], period[0], num_rows),
      _phases(period[1], period[1] // 2 + 1, num_columns),
  ).reshape([-1, num_taps])
  taps = kernel.reshape([num_taps, num_in * num_out]).astype(np.complex128)

  largest, frobenius2 = 0.0, 0.0
  chunk = max(1, _CHUNK_SIZE // (num_in * num_out))
  for start in range(0, len(phases), chunk):
    symbols = (phases[start:start + chunk] @ taps).reshape(
        [-1, num_in, num_out])
    if num_in > num_out:
      symbols = symbols.transpose([0, 2, 1])
    grams = symbols @ symbols.conj().transpose([0, 2, 1])
    frobenius2 = max(
        frobenius2, float(np.trace(grams, axis1=1, axis2=2).real.max()))
    largest = max(largest, float(np.linalg.eigvalsh(grams).max()))

  small, inner = sorted([num_in, num_out])
  relative = 4.0 * _gamma(inner + 4) + 10.0 * _gamma(small)
  symbol_error = 1.01 * _gamma(2 * num_taps + 64) * np.linalg.norm(
      np.abs(kernel).sum(axis=(0, 1)))
  return math.ldexp(_up(float(
      math.sqrt(largest + 1.01 * relative * frobenius2) + symbol_error)),
                    exponent)


def _phases(period, num_frequencies, num_taps):
  """Returns `exp(-2 pi i f t / period)`, `[num_frequencies, num_taps]`."""
  turns = np.outer(np.arange(num_frequencies), np.arange(num_taps)) % period
  return np.exp(-2j * np.pi * (turns / period))


def _gamma(n):
  return n * _UNIT / (1.0 - n * _UNIT)


def _up(x):
  # Covers the few operations that led to x, each accurate to u.
  return x * (1.0 + 8.0 * _UNIT)


def _normalise(array):
  """Returns `(array / 2^e, e)`, exact, with the largest magnitude below 1."""
  _, exponent = math.frexp(np.max(np.abs(array), initial=0.0))
  exponent = max(exponent, -1000)  # 2^1000 is still finite.
  return np.ldexp(array, -exponent), exponent
