"""Gaussians and mixtures of them on vectors: what a flow has to beat."""

from collections.abc import Mapping
import dataclasses
from typing import Any
import warnings

import numpy as np
from numpy import typing as npt
from sklearn import exceptions
from sklearn import mixture

from tf_resflow import errors
from tf_resflow.evaluation import statistics

# Added to the variances of standardised columns; the best on validation is
# taken.
_REG_COVARS = (1e-6, 1e-4, 1e-3, 1e-2, 1e-1)
_VALIDATION_SHARE = 0.2


@dataclasses.dataclass(frozen=True)
class VectorBaseline:
  """A fitted mixture on vectors, and what it costs on the test part.

  Attributes:
    mixture: over standardised columns.
    mean: of the columns of the training part.
    std: likewise.
    nats: `-log p(x)` of every test vector, `[N]`, in the units of the data.
  """

  mixture: mixture.GaussianMixture
  mean: np.ndarray
  std: np.ndarray
  nats: np.ndarray

  def report(self) -> dict[str, Any]:
    """Returns what a tool says of it, a dict for JSON."""
    cost = statistics.mean_and_stderr(self.nats)
    return {
        'nats': cost.mean, 'nats_stderr': cost.stderr,
        'num_examples': cost.num_examples,
        'num_components': self.mixture.n_components,
        'reg_covar': self.mixture.reg_covar,
        'converged': bool(self.mixture.converged_)}


def fit_vector_baseline(
    train: npt.ArrayLike, test: npt.ArrayLike, num_components: int,
    seed: int = 0) -> VectorBaseline:
  """Fits a full-covariance mixture of Gaussians by EM.

  The regularisation is chosen on a fifth of the training part, drawn by the
  seed; then the mixture is fitted to the whole. The test part is used once.

  Args:
    train: `[M, D]`.
    test: `[N, D]`, 2 or more.
    num_components: 1 is a Gaussian.
    seed: of the fifth and of the start of EM.

  Raises:
    InvalidValueError: if there are too few vectors for so many components.

  Example:
    >>> x = np.random.RandomState(0).normal(size=[300, 2])
    >>> fit_vector_baseline(x[:200], x[200:], 1).report()['num_examples']
    100
  """
  train, test = np.asarray(train, np.float64), np.asarray(test, np.float64)
  mean, std = train.mean(axis=0), train.std(axis=0)
  z = (train - mean) / std
  held_out, fitted = np.split(
      z[np.random.default_rng(seed).permutation(len(z))],
      [round(_VALIDATION_SHARE * len(z))])
  errors.check(
      len(fitted) > num_components and len(held_out) > 0, 'num_components',
      num_components, f'fewer than {len(fitted)}, the vectors that are fitted')

  def fit(rows, reg_covar):
    with warnings.catch_warnings():
      # EM that stops early is still a density; the report says that it did.
      warnings.simplefilter('ignore', exceptions.ConvergenceWarning)
      return mixture.GaussianMixture(
          num_components, reg_covar=reg_covar, max_iter=500, random_state=seed
      ).fit(rows)

  best = max(_REG_COVARS, key=lambda reg: fit(fitted, reg).score(held_out))
  chosen = fit(z, best)
  log_prob = chosen.score_samples((test - mean) / std) - np.log(std).sum()
  return VectorBaseline(chosen, mean, std, -log_prob)


def format_vector_baselines(entries: Mapping[str, Mapping[str, Any]]) -> str:
  """Returns baselines as text for people, one a line.

  Args:
    entries: from names to what `VectorBaseline.report` returns.
  """
  return '\n'.join([
      f'{"baseline":22}{"nats":>10}{"stderr":>9}{"reg_covar":>11}', *(
          f'{name:22}{entry["nats"]:10.4f}{entry["nats_stderr"]:9.4f}'
          f'{entry["reg_covar"]:11.0e}' for name, entry in entries.items())])
