"""Noise distributions: against SciPy, quadrature, and their own draws."""

import numpy as np
import pytest
from scipy import stats
import tensorflow as tf

from tests import loops
from tf_resflow import errors
from tf_resflow import numerics

_REFERENCES = {
    'uniform': stats.uniform(),
    **{f'gaussian:{s}': stats.truncnorm(-0.5 / s, 0.5 / s, 0.5, s)
       for s in (0.125, 0.6)}}
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(200)
_NODES, _WEIGHTS = (_NODES + 1.0) / 2.0, _WEIGHTS / 2.0
_DISTRIBUTIONS = [numerics.NoiseDistribution.get(spec) for spec in _REFERENCES]


@loops.each(_DISTRIBUTIONS)
def test_density(distribution):
  log_q = distribution.log_prob(tf.constant(_NODES)).numpy()
  reference = _REFERENCES[distribution.spec()]
  np.testing.assert_allclose(log_q, reference.logpdf(_NODES), rtol=1e-12)
  q = np.exp(log_q)
  assert _WEIGHTS @ q == pytest.approx(1.0, abs=1e-12)
  mean = _WEIGHTS @ (q * _NODES)
  assert distribution.mean == pytest.approx(mean, rel=1e-12)
  assert distribution.stddev == pytest.approx(
      np.sqrt(_WEIGHTS @ (q * (_NODES - mean)**2)), rel=1e-12)


@loops.each(_DISTRIBUTIONS, [tf.float32, tf.float64])
def test_draws_follow_the_density(distribution, dtype):
  u = distribution.draw([400, 5, 10], 1, dtype)
  assert u.dtype == dtype and u.shape == [400, 5, 10]
  assert np.min(u) >= 0.0 and np.max(u) <= 1.0
  assert stats.kstest(
      np.ravel(u), _REFERENCES[distribution.spec()].cdf).pvalue > 1e-6
  assert np.abs(np.corrcoef(u[:, 0, 0], u[:, 0, 1])[0, 1]) < 0.28


@loops.each(['gaussian:0', 'gaussian:-1', 'gaussian:inf'])
def test_refuses_scales(spec):
  with pytest.raises(errors.InvalidValueError, match=(
      f'^noise_distribution={spec}: .*scale=.*: expected a finite number '
      '> 0')):
    numerics.NoiseDistribution.get(spec)
