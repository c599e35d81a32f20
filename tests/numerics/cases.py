"""Small cases of all estimators, solvers etc. for the conformance tests.

To add an estimator, a distribution, a memory mode or a solver, add a line to
its table: the tests of `tests/conformance` and `tests/numerics` then run it
through every property that applies to it.
"""

from collections.abc import Callable, Iterator
import dataclasses
import itertools
from typing import Any

import numpy as np
from scipy import stats
import tensorflow as tf

from tests import testing
from tf_resflow import numerics
from tf_resflow.numerics.log_det import series as series_lib

# Of the `g` of `testing.make_block`, whose two weights have this norm.
LIPSCHITZ_BOUND = 0.6**2


@dataclasses.dataclass(frozen=True)
class EstimatorCase:
  """A spec, and what its estimator can draw.

  Attributes:
    spec: as `numerics.Estimator.get` takes it.
    outcomes_fn: maps the estimator, probes `[B, ...]` and the vectors `u_k`,
      `[K, B, D]`, of their series to pairs of a draw with these probes and
      its probability given them. What is left of the probability must not
      count.
    num_terms: of a biased estimator: how many terms of the series it takes.
  """

  spec: str
  outcomes_fn: Callable[[Any, tf.Tensor, np.ndarray], Iterator[tuple]]
  num_terms: int | None = None

  @property
  def estimator(self) -> numerics.Estimator:
    """Returns the estimator, for the bound of the blocks in `testing`."""
    return numerics.Estimator.get(self.spec).for_bound(LIPSCHITZ_BOUND)


def every_number(distribution: Any) -> Callable:
  """All numbers of terms, by a SciPy distribution of the random ones."""

  def outcomes(estimator, probes, u):
    del u
    n = np.arange(46)
    assert distribution.sf(n[-1]) < 1e-14
    for number, probability in zip(n, distribution.pmf(n), strict=True):
      if probability > 0.0:
        stop = tf.constant(estimator.num_exact_terms + number, tf.int32)
        yield numerics.Draw(stop, probes), probability

  return outcomes


def every_pair(distribution: Any) -> Callable:
  """All pairs of such numbers, in any order."""

  def outcomes(estimator, probes, u):
    del u
    n = np.arange(46)
    p = distribution.pmf(n)
    for pair in itertools.combinations_with_replacement(n, 2):
      # Its largest weight belongs to the last term of the larger number.
      if p[pair[0]] * LIPSCHITZ_BOUND**pair[1] > 1e-12:
        stop = tuple(
            tf.constant(estimator.num_exact_terms + number, tf.int32)
            for number in pair)
        num_orders = len(set(pair))
        yield numerics.Draw(stop, probes), num_orders * p[[*pair]].prod()

  return outcomes


def survival(estimator: numerics.AdaptiveRoulette, u: np.ndarray) -> np.ndarray:
  """Returns `P_1, ..., P_K` by their definition, `[K, 1]` or `[K, B]`."""
  axes = (1, 2) if estimator.batch_dependent else 2
  sizes = np.sqrt(np.mean(u**2, axes)).reshape([len(u), -1])
  survival = [np.ones_like(sizes[0])]
  for k in range(2, len(u) + 1):
    p = survival[-1]
    if k > estimator.num_exact_terms:
      p = np.minimum(p, sizes[k - 2] / k / (estimator.tail * sizes[0]))
    survival.append(p)
  return np.array(survival)


def every_threshold(estimator, probes, u):
  """One threshold between any two neighbours among the `P_k` of examples."""
  probabilities = survival(estimator, u)
  assert probabilities[-1].max() < 1e-13
  ends = np.unique(probabilities)[::-1]
  for upper, lower in zip(ends[:-1], ends[1:], strict=True):
    # What is below counts for nothing; it would double the work.
    if upper > 1e-13:
      yield numerics.Draw(tf.constant((upper + lower) / 2), probes), (
          upper - lower)


def _all_terms(estimator, probes, u):
  del u
  yield numerics.Draw(tf.constant(estimator.num_terms), probes), 1.0


def _nothing(estimator, probes, u):
  del estimator, probes, u
  yield None, 1.0


_SAFE = stats.geom(0.9 * (1.0 - LIPSCHITZ_BOUND**2))

ESTIMATORS = {
    'roulette': EstimatorCase(
        'roulette:poisson:2,exact=2', every_number(stats.poisson(2))),
    'roulette_geometric': EstimatorCase(
        'roulette:geometric:0.6,exact=0,probe=gaussian',
        every_number(stats.geom(0.6))),
    'roulette_safe': EstimatorCase(
        'roulette:safe,exact=1', every_number(_SAFE)),
    'roulette_of_two': EstimatorCase(
        'roulette:poisson:0.5,exact=1,samples=2',
        every_pair(stats.poisson(0.5))),
    'adaptive': EstimatorCase('adaptive:0.02', every_threshold),
    'adaptive_per_example': EstimatorCase(
        'adaptive:0.5,exact=1,batch_dependent=false', every_threshold),
    'fixed': EstimatorCase('fixed:3', _all_terms, num_terms=3),
    'exact': EstimatorCase('exact', _nothing),
}


@dataclasses.dataclass(frozen=True)
class LawCase:
  """A spec, and the same distribution by SciPy.

  Attributes:
    spec: as `numerics.TruncationDistribution.get` takes it.
    oracle: a frozen distribution of `scipy.stats`.
    lipschitz_bound: of the `g` that the distribution is used for.
  """

  spec: str
  oracle: Any
  lipschitz_bound: float = 0.9

  @property
  def distribution(self) -> numerics.TruncationDistribution:
    """Returns the distribution for a `g` of the bound."""
    return numerics.TruncationDistribution.get(self.spec).for_bound(
        self.lipschitz_bound)


TRUNCATION_DISTRIBUTIONS = {
    'poisson': LawCase('poisson:2', stats.poisson(2.0)),
    'poisson_long': LawCase('poisson:7.5', stats.poisson(7.5)),
    'geometric': LawCase('geometric:0.3', stats.geom(0.3)),
    'geometric_half': LawCase('geometric', stats.geom(0.5)),
    'safe': LawCase('safe', stats.geom(0.9 * (1.0 - 0.9**2))),
    'safe_for_a_constant': LawCase('safe:0.8', stats.geom(0.8), 0.0),
}


@dataclasses.dataclass(frozen=True)
class MemoryCase:
  """Properties of a memory mode.

  Attributes:
    is_neumann: whether at every draw its gradient is `w^T dJ v`.
    per_example: whether examples may have cotangents of their own.
  """

  is_neumann: bool = True
  per_example: bool = True


MEMORY_MODES = {
    'recompute': MemoryCase(),
    'neumann': MemoryCase(),
    'backward_in_forward': MemoryCase(per_example=False),
    'naive': MemoryCase(is_neumann=False),
}


@dataclasses.dataclass(frozen=True)
class SeriesCase:
  """A series, and what it sums.

  Attributes:
    series: the series.
    log_det_fn: the oracle, maps `g_fn, weights, x` to `[B]`.
    term_fn: maps `k` to the power of `J` and the coefficient of its trace.
    stride: `u_k = (J^T)^(stride * k) v`.
  """

  series: numerics.LogDetSeries
  log_det_fn: Callable
  term_fn: Callable[[int], tuple[int, float]]
  stride: int = 1

  def truncated(self, num_terms: int) -> Callable:
    """Returns a function like `log_det_fn`: the first terms only."""

    def log_det(g_fn, weights, x):
      jacobian = testing.full_jacobian(lambda x: g_fn(weights, x), x)
      total = 0.0
      for k in range(1, num_terms + 1):
        power, coefficient = self.term_fn(k)
        matrix = jacobian
        for _ in range(power - 1):
          matrix = matrix @ jacobian
        total += coefficient * tf.linalg.trace(matrix)
      return total

    return log_det


def _full_odd_log_det(g_fn, weights, x):
  """`log det(I - J) - log det(I + J)`, `[B]`, of the full Jacobian."""
  plus = testing.full_log_det(g_fn, weights, x)
  minus = testing.full_log_det(lambda w, x: -g_fn(w, x), weights, x)
  return minus - plus


SERIES = {
    'residual': SeriesCase(
        series_lib.RESIDUAL_SERIES, testing.full_log_det,
        lambda k: (k, (-1)**(k + 1) / k)),
    'odd': SeriesCase(
        numerics.OddSeries(), _full_odd_log_det,
        lambda k: (2 * k - 1, -2 / (2 * k - 1)), stride=2),
}

# As `numerics.Solver.get` takes them.
SOLVERS = {
    'banach': 'banach',
    'anderson': 'anderson',
    'anderson_short': 'anderson:1,max_steps=900',
}
