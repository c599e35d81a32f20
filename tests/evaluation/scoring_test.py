"""Which draws the scores of a flow are means of."""

import pytest

from tests import flows
from tf_resflow import models
from tf_resflow import numerics
from tf_resflow.evaluation import scoring


def _rule(spec, flow):
  return scoring.scoring_rule(flow, spec)


def test_exact_up_to_64_dimensions_and_16_draws_beyond():
  flow = flows.make_image_flow(16, num_dense_blocks=0)
  assert scoring.scoring_rule(flow) == (
      numerics.Exact(), 1, 'exact, as up to 64 dimensions')
  wide = models.ResidualFlowConfig(  # Of 72 dimensions.
      image_shape=(9, 8, 1), num_levels=16, num_blocks=(1,), hidden_channels=2,
      num_dense_blocks=0).build()
  rule = scoring.scoring_rule(wide)
  assert rule[1:] == (16, 'averaged draws, as beyond 64 dimensions')
  assert rule.estimator.is_random and not rule.estimator.batch_dependent
  assert scoring.scoring_rule(wide, num_repeats=40).num_repeats == 40
  assert _rule('exact', wide)[:2] == (numerics.Exact(), 1)
  assert _rule('roulette:poisson:2', flow)[1:] == (
      16, 'the estimator that was asked for')
  assert 'bias' in _rule('fixed:3', flow).reason
  with pytest.raises(ValueError, match='num_repeats=15: expected a number fr'):
    scoring.scoring_rule(wide, num_repeats=15)
  with pytest.raises(ValueError, match='num_repeats=16: expected no such numb'):
    scoring.scoring_rule(flow, num_repeats=16)
