"""The bias of an estimator in closed form, and what reports say of it."""

import numpy as np
import pytest
from scipy import stats
import tensorflow as tf

from tests import flows
from tests import splits
from tf_resflow import evaluation
from tf_resflow import numerics
from tf_resflow.experiments import bias

_NUM_LEVELS = 16


@pytest.fixture(scope='module')
def split():
  return splits.random_split(9, _NUM_LEVELS)


def _make_flow(estimator, **fields):
  """A flow of one block."""
  return flows.make_image_flow(
      _NUM_LEVELS, num_dense_blocks=0, is_steep=True, estimator=estimator,
      **fields)


@pytest.mark.parametrize('num_terms', [1, 2, 3])
def test_bias_of_a_scaled_identity(split, num_terms):
  """`g(x) = a x`: too few bits for odd numbers of terms, else too many."""
  flow = _make_flow(f'fixed:{num_terms}', activation='identity')
  for layer in flow.constrained_layers:
    kernel = np.zeros(layer.kernel.shape)
    kernel[kernel.shape[0] // 2, kernel.shape[1] // 2, 0, 0] = 0.9
    layer.kernel.assign(kernel)
    layer.bias.assign(tf.zeros_like(layer.bias.value))
  found = bias.measure_bias(
      flow, split, estimator=numerics.Exact(), seed=2, batch_size=5)
  a = 0.9**len(flow.constrained_layers)
  k = np.arange(1, num_terms + 1)
  error = np.sum((-1.0)**(k + 1) * a**k / k) - np.log1p(a)
  # By probes of signs it is known without noise.
  assert found['bias'] == pytest.approx(-error / np.log(2), rel=1e-4)
  assert np.sign(found['bias_num_stderrs']) == (-1)**num_terms
  assert found['bias'] == pytest.approx(
      found['training_bits_per_dim'] - found['bits_per_dim'], rel=1e-6)
  assert (found['num_examples'], found['num_repeats']) == (9, 8)


def test_its_standard_error_is_of_examples_and_repeats(split):
  flow = _make_flow('fixed:1')
  found = bias.measure_bias(flow, split)
  own, unbiased = (evaluation.nll(flow, split, estimator=estimator)
                   for estimator in ('training', None))
  assert found['bias_stderr'] == pytest.approx(np.hypot(
      stats.sem((own - unbiased).mean(axis=0)),
      stats.sem((own - unbiased).mean(axis=1))))
  assert found['bits_per_dim_stderr'] == pytest.approx(
      stats.sem(unbiased.mean(axis=0)))
  assert found['bias_num_stderrs'] == pytest.approx(
      found['bias'] / found['bias_stderr'])
