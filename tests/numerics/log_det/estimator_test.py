"""Tests of estimators: names, defaults, a pass with one.

Memory modes and the single estimators have tests of their own.
"""

import numpy as np
import pytest
import tensorflow as tf

from tests import loops
from tf_resflow import numerics


@loops.each([
    ('roulette', numerics.RussianRoulette()),
    ('roulette:geometric', numerics.RussianRoulette(numerics.Geometric(0.5))),
    ('roulette:geometric:0.25,exact=3,probe=gaussian',
     numerics.RussianRoulette(
         numerics.Geometric(0.25), num_exact_terms=3, probe='gaussian')),
    ('roulette:poisson:2,exact=2,samples=4', numerics.RussianRoulette(
        numerics.Poisson(2.0), num_exact_terms=2, num_samples=4)),
    ('adaptive:0.02,batch_dependent=false,exact=4',
     numerics.AdaptiveRoulette(
         0.02, num_exact_terms=4, batch_dependent=False)),
    ('fixed:10', numerics.FixedTruncation(10)),
    ('exact', numerics.Exact()),
])
def test_specs(text, expected):
  estimator = numerics.Estimator.get(text)
  assert estimator == expected
  assert estimator.is_biased == text.startswith('fixed')


@loops.each(['rademacher', 'gaussian'])
def test_draws(probe):
  estimator = numerics.FixedTruncation(4, probe=probe)
  x = tf.zeros([5, 2, 3], tf.float64)
  draw = estimator.draw(x, 1)
  assert draw.probe.shape == x.shape and draw.probe.dtype == x.dtype
  assert draw.stop.dtype == tf.int32 and draw.stop == 4
  is_sign = np.all(np.abs(draw.probe) == 1.0)
  assert is_sign == (probe == 'rademacher')


@loops.each([
    numerics.RussianRoulette, numerics.AdaptiveRoulette,
    numerics.FixedTruncation])
def test_unknown_probes_are_refused(kind):
  with pytest.raises(
      ValueError, match='probe=normal: expected one of rademacher, gaussian'):
    kind(probe='normal')
