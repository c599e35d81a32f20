"""What a flow with a classifier does beside a density."""

import numpy as np
import pytest

from tests import cases
from tf_resflow import errors


def test_one_pass_gives_what_two_do():
  case = cases.MODELS['flow_hybrid']
  model, x = case.make(), case.inputs()
  model.classify(x)
  log_prob, logits = model.log_prob_and_logits(x, seed=1)
  np.testing.assert_allclose(log_prob, model.log_prob(x, seed=1), rtol=1e-5)
  np.testing.assert_allclose(logits, model.classify(x), atol=1e-5)
  assert model.has_classifier and logits.shape == [4, 3]


def test_a_flow_without_one_says_so():
  case = cases.MODELS['flow_elu']
  model = case.make()
  assert not model.has_classifier
  for method in (model.classify, model.log_prob_and_logits):
    with pytest.raises(errors.InvalidValueError, match='has no classifier'):
      method(case.inputs())
