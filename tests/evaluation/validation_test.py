"""What a run logs of its validation part, and that it follows the weights."""

import numpy as np
import pytest

from tests import flows
from tests import splits
from tf_resflow import evaluation

_NUM_LEVELS = 16


@pytest.fixture(scope='module')
def split():
  return splits.random_split(9, _NUM_LEVELS)


def _make_flow(estimator):
  """A flow of one block; its weights depend on no estimator."""
  return flows.make_image_flow(
      _NUM_LEVELS, num_dense_blocks=0, is_steep=True, estimator=estimator)


def test_agrees_with_the_evaluations(split):
  unbiased = evaluation.Validation(_make_flow('roulette'))(split)
  flow = _make_flow('fixed:1')
  row = evaluation.Validation(flow)(split)
  # The weights are equal, and so is what is unbiased.
  assert unbiased.items() <= row.items()
  bits = evaluation.nll(flow, split)
  summary = evaluation.statistics.summarize_repeats(bits)
  assert unbiased == {
      'validation_bits_per_dim': bits.mean(),
      'validation_bits_per_dim_stderr': summary.stderr,
      'validation_estimator_stderr': summary.estimator_stderr}
  own = evaluation.nll(flow, split, own_estimator=True)
  difference = evaluation.statistics.summarize_repeats(own - bits)
  assert row['validation_biased_bits_per_dim'] == pytest.approx(own.mean())
  assert row['validation_bias'] == difference.mean
  assert row['validation_bias_stderr'] == difference.total_stderr
  assert len(row) == 6


def test_of_a_hybrid_model():
  labelled = splits.make_split(
      np.random.default_rng(0).integers(0, 16, [7, 4, 4, 1]).astype(np.uint8),
      _NUM_LEVELS, np.arange(7, dtype=np.int32) % 3)
  model = flows.make_hybrid_flow(_NUM_LEVELS)
  row = evaluation.Validation(model)(labelled)
  for name, value in evaluation.Classification(model)(labelled).items():
    assert row[f'validation_{name}'] == value.mean


def test_takes_the_weights_of_the_call(split):
  """Its graphs are those of the first call, its numbers are not."""
  flow = _make_flow('fixed:1')
  validation = evaluation.Validation(flow)
  first = validation(split)
  assert validation(split) == first
  for layer in flow.constrained_layers:
    layer.kernel.assign(0.3 * layer.kernel.value)
  flow.save_norms()
  second = validation(split)
  assert abs(second['validation_bits_per_dim'] - first[
      'validation_bits_per_dim']) > 1e-4
  assert second == evaluation.Validation(flow)(split)
