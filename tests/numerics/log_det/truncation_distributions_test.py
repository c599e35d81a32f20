"""Tests of the distributions of the random truncation.

Oracles: scipy.stats for the tails, the terms of the second-moment series for
the variance.
"""

import math
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

from tests import loops
from tests import testing
from tests.numerics import cases
from tf_resflow import numerics
from tf_resflow.numerics import random

_EACH_LAW = loops.each(
    [(case.distribution, case.oracle)
     for case in cases.TRUNCATION_DISTRIBUTIONS.values()])


@_EACH_LAW
def test_tail_is_that_of_scipy(distribution, oracle):
  """The table ends just below what a uniform can reach."""
  k = np.arange(40)
  np.testing.assert_allclose(distribution.tail(k), oracle.sf(k - 1), rtol=1e-10)
  table = distribution.tail_table()
  np.testing.assert_allclose(
      table, oracle.sf(np.arange(table.size)), rtol=1e-10)
  assert table[-1] < 2.0**-53 <= table[-2]


def _sample_with_uniform(distribution, uniform):
  with mock.patch.object(
      random, 'uniform_scalar', lambda seed: tf.constant(uniform, tf.float64)):
    return int(distribution.sample(tf.constant([0, 0])))


@_EACH_LAW
def test_sample_inverts_the_tail(distribution, oracle):
  for uniform in (1e-12, 0.3, 0.77, 1.0 - 2.0**-52):
    expected = np.count_nonzero(oracle.sf(np.arange(200)) > uniform)
    assert _sample_with_uniform(distribution, uniform) == expected, uniform
  # Never beyond the table.
  assert _sample_with_uniform(
      distribution, 0.0) == distribution.tail_table().size


def _second_moment_converges(log_tail, rho, k):
  """Whether the terms rho^(2k) / P(N >= k) fall geometrically far out."""
  first, second = 2.0 * k * np.log(rho) - log_tail(k)
  return second < first


@loops.each([0.05, 0.1, 0.3, 0.5, 0.9], [0.3, 0.7, 0.83, 0.84, 0.94, 0.99])
def test_geometric_variance_follows_the_series(p, rho):
  converges = _second_moment_converges(
      lambda k: np.log(numerics.Geometric(p).tail(k)), rho, np.array([50, 100]))
  assert converges == (rho**2 < 1.0 - p)


@loops.each([
    (numerics.Geometric, [0.0, 1.0, math.nan], 'probability=...strictly betwe'),
    (numerics.Poisson, [0.0, math.inf, math.nan], 'rate=...a positive, '),
    (numerics.SafeGeometric, [0.0, 1.0], 'share=...: expected')])
def test_impossible_parameters_are_refused(make, values, message):
  testing.check_refusals(make, [(value, message) for value in values])


@loops.each([0.05, 0.5, 0.94, 0.999])
def test_safe_distribution_has_a_variance_at_its_bound(bound):
  distribution = numerics.SafeGeometric(0.99).for_bound(bound)
  assert bound**2 < 1.0 - distribution.probability
  assert distribution.probability == pytest.approx(0.99 * (1.0 - bound**2))


def test_safe_distribution_of_no_bound_is_refused():
  distribution = numerics.SafeGeometric()
  message = 'distribution=safe:0.9: expected a distribution with a known tail'
  for use in (lambda: distribution.tail([1]), lambda: distribution.sample(0)):
    with pytest.raises(ValueError, match=message):
      use()
  for bound in (1.0, 1.5, float('nan')):
    with pytest.raises(ValueError, match=f'lipschitz_bound={bound}: expected'):
      numerics.SafeGeometric().for_bound(bound)


@loops.each(['geometric:1e-09', 'poisson:1e+300'])
def test_tables_without_end_are_refused(spec):
  with pytest.raises(ValueError, match='expected a tail that falls below'):
    numerics.TruncationDistribution.get(spec).sample(0)
