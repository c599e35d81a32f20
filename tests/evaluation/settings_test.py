"""Settings of evaluations."""

import numpy as np
import pytest

from tests import flows
from tests import splits
from tf_resflow import evaluation
from tf_resflow import models
from tf_resflow import numerics


@pytest.fixture(scope='module')
def flow():
  return flows.make_image_flow(16, num_dense_blocks=0)


def test_size_of_batches(flow):
  assert evaluation.default_batch_size(
      flow, 'adaptive:0.02', largest=100) == 100
  largest = int(1e9 // (16 * 16 * 4))
  for limit, expected in ((100, 100), (10**9, largest)):
    assert evaluation.default_batch_size(flow, 'exact', limit) == expected
  for size, expected in ((1, 10_000), (65, 1230), (1000, 128)):
    vectors = models.VectorFlow(models.VectorFlowConfig(
        event_size=size, num_blocks=1, hidden_units=(2,)))
    assert evaluation.default_batch_size(vectors) == expected

  class Large:
    is_random, compute_dtype = True, 'float32'
    event_shape, latent_size = (256, 256, 3), 3 * 256 * 256

  with pytest.raises(ValueError, match='196608 dimensions. The Jacobian take'):
    evaluation.default_batch_size(Large(), numerics.Exact())


def test_single_settings_replace_others_and_a_model_has_defaults(flow):
  settings = evaluation.EvaluationSettings(seed=3, num_probes=2)
  estimator = flow.evaluation_estimator()
  assert evaluation.EvaluationSettings.of(flow, settings, seed=4) == (
      evaluation.EvaluationSettings(
          seed=4, num_probes=2, estimator=estimator,
          batch_size=evaluation.default_batch_size(flow, estimator)))
  given = evaluation.EvaluationSettings.of(
      flow, settings, batch_size=3, estimator='exact')
  assert (given.batch_size, given.estimator) == (3, numerics.Exact())
  with pytest.raises(TypeError, match='num_probe'):
    evaluation.EvaluationSettings.of(flow, num_probe=1)


def test_functions_take_both():
  flow, split = flows.make_flow_without_blocks(), splits.random_split(5, 16)
  settings = evaluation.EvaluationSettings(batch_size=2, seed=3)
  found = evaluation.nll(flow, split, settings=settings)
  np.testing.assert_array_equal(
      found, evaluation.nll(flow, split, batch_size=2, seed=3))
  other = evaluation.nll(flow, split, settings=settings, seed=4)
  assert np.all(other != found)
