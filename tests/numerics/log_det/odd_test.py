"""The odd series; tests/conformance/estimators_test has it by estimators."""

import numpy as np
import pytest
import tensorflow as tf

from tf_resflow import numerics


def test_slopes_of_one_number():
  """`(1 - a) / (1 + a)`, in closed form."""
  slopes = np.array([-0.9, -0.3, 0.0, 0.5, 0.98])
  log_det = numerics.Odd().exact(tf.constant(slopes[:, None, None]))
  np.testing.assert_allclose(log_det, -2.0 * np.arctanh(slopes), rtol=1e-12)


def test_terms_fall_as_fast_as_it_says():
  """So `safe` draws fewer terms than of the series of residual blocks."""
  assert numerics.Odd().rate(0.9) == pytest.approx(0.81)
  safe = numerics.Estimator.get('roulette:safe')
  tails = [safe.for_bound(series.rate(0.9)).law.tail(np.array([5]))
           for series in (numerics.Odd(), numerics.RESIDUAL)]
  assert tails[0] < tails[1]
