"""Tests of the names of estimators, and of what they do by default."""

import numpy as np
import pytest
import tensorflow as tf

from tf_resflow import numerics


@pytest.mark.parametrize('text, expected', [
    ('roulette', numerics.RussianRoulette()),
    ('roulette:poisson:2,exact=2', numerics.RussianRoulette(
        numerics.Poisson(2.0), num_exact_terms=2)),
    ('roulette:geometric', numerics.RussianRoulette(numerics.Geometric(0.5))),
    ('roulette:safe,exact=20', numerics.RussianRoulette(
        numerics.SafeGeometric(), num_exact_terms=20)),
    ('roulette:geometric:0.25,exact=3,probe=gaussian',
     numerics.RussianRoulette(
         numerics.Geometric(0.25), num_exact_terms=3, probe='gaussian')),
    ('adaptive:0.02', numerics.AdaptiveRoulette(0.02)),
    ('adaptive:0.02,batch_dependent=false,exact=4',
     numerics.AdaptiveRoulette(
         0.02, num_exact_terms=4, batch_dependent=False)),
    ('fixed:10', numerics.FixedTruncation(10)),
    ('exact', numerics.Exact()),
])
def test_specs(text, expected):
  assert numerics.Estimator.get(text) == expected


@pytest.mark.parametrize('text, message', [
    ('unbiased', 'estimator=unbiased: expected one of roulette, adaptive, '),
    ('roulette:uniform', 'law=uniform: expected one of poisson, geometric, '),
    ('roulette:poisson:two', 'law=poisson:two: expected a value of rate'),
    ('roulette:poisson:-2', 'rate=-2.0: expected a positive'),
    ('roulette,terms=2', 'expected roulette with the options probe, exact'),
    ('adaptive:0.1:0.2', 'expected at most 1 arguments of adaptive'),
    ('adaptive,batch_dependent=maybe',
     'expected a value of batch_dependent of adaptive like true'),
    ('fixed:2.5', 'expected a value of num_terms of fixed like 10'),
    ('exact,probe=gaussian', 'expected exact, which has no options'),
])
def test_wrong_specs_are_refused(text, message):
  with pytest.raises(ValueError) as info:
    numerics.Estimator.get(text)
  assert message in str(info.value)


def test_an_estimator_of_ones_own_needs_draw_and_evaluate_only():
  """As docs/extending.md shows it at length."""

  class Zero(numerics.Estimator):
    is_random = False

    def draw(self, x, seed):
      return ()

    def evaluate(self, g, variables, state, x, draw, **kwargs):
      return g.evaluate(variables, x), tf.zeros([tf.shape(x)[0]])

  estimator = Zero()
  assert estimator.per_example() is estimator
  assert estimator.for_bound(0.5) is estimator
  assert estimator.max_batch_size(10**6, tf.float32) is None
  g = numerics.ResidualFunction(lambda weights, x: 0.5 * x)
  y, log_det = numerics.forward_and_log_det(g, [], tf.ones([3, 2]), estimator)
  np.testing.assert_array_equal(y, np.full([3, 2], 1.5))
  np.testing.assert_array_equal(log_det, [0.0] * 3)
