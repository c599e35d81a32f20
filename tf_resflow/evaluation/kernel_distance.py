"""Kernel distance of two sets of feature vectors (KID)."""

import numpy as np
from numpy import typing as npt

from tf_resflow import errors
from tf_resflow.evaluation import statistics

NUM_SUBSETS = 10


def squared_mmd(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
  """Unbiased estimate of the squared maximum mean discrepancy.

    MMD^2 = E k(x, x') + E k(y, y') - 2 E k(x, y),
    k(x, y) = (<x, y> / F + 1)^3.

  Pairs of an example with itself are left out, so the estimate is unbiased for
  any number of examples, and below zero about as often as above it where the
  distributions are equal.

  Args:
    x: `[M, F]`, features of one set, `M >= 2`.
    y: `[N, F]`, features of the other, `N >= 2`.

  Raises:
    InvalidValueError: if the shapes do not fit.

  References:
    Gretton et al., 2012, A Kernel Two-Sample Test, Lemma 6; Binkowski et al.,
    2018, Demystifying MMD GANs (the cubic kernel).
  """
  x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
  errors.check(
      x.ndim == y.ndim == 2 and x.shape[1] == y.shape[1] and (
          min(len(x), len(y)) > 1), 'features',
      f'arrays {x.shape} and {y.shape}',
      '[M, F] and [N, F] with 2 or more examples each')

  def kernel(a, b):
    return (a @ b.T / x.shape[1] + 1.0)**3

  def mean_over_pairs(a):
    values = kernel(a, a)
    return (values.sum() - np.trace(values)) / (len(a) * (len(a) - 1))

  return float(mean_over_pairs(x) + mean_over_pairs(y) - 2.0 * kernel(
      x, y).mean())


def squared_mmd_of_subsets(
    x: np.ndarray, y: np.ndarray, num_subsets: int = NUM_SUBSETS,
    seed: int = 0) -> statistics.MeanAndStderr:
  """Squared MMD with its standard error, over disjoint random subsets.

  Subsets that share no example are independent, so the spread of their
  estimates gives the error of the mean; and they keep the kernel matrices
  small.

  Args:
    x: `[M, F]`, features of one set.
    y: `[N, F]`, features of the other.
    num_subsets: number of parts into which either set is cut.
    seed: of the random order; the order in which sets come often means
      something.

  Raises:
    InvalidValueError: if a subset would have fewer than 2 examples.
  """
  smallest = min(len(x), len(y))
  errors.check(
      2 <= num_subsets <= smallest // 2, 'num_subsets', num_subsets,
      f'a number from 2 to half of the {smallest} examples',
      'A standard error needs 2 subsets, of 2 examples each.')
  rng = np.random.default_rng(seed)
  parts = [np.array_split(rng.permutation(len(a)), num_subsets)
           for a in (x, y)]
  return statistics.mean_and_stderr([
      squared_mmd(x[i], y[j]) for i, j in zip(*parts, strict=True)])
