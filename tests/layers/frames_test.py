"""Data frames as arguments of flows."""

import numpy as np
import pandas as pd
import pytest

from tf_resflow import models


def test_columns_go_by_name():
  flow = models.VectorFlowConfig(
      event_size=2, num_blocks=1, hidden_units=(4,), column_names=('a', 'b'),
      condition_size=2, condition_names=('c', 'd'), condition_mean=(0.0, 0.0),
      condition_std=(1.0, 1.0)).build()
  rng = np.random.default_rng(0)
  frame = pd.DataFrame(rng.normal(size=[5, 4]), columns=list('abcd'))
  x, condition = frame[['a', 'b']].to_numpy(), frame[['c', 'd']].to_numpy()
  flow.initialize(x, condition, seed=0)
  expected = flow.log_prob(x, condition, estimator='exact')
  for other in (frame, frame[['d', 'b', 'c', 'a']].assign(more='text')):
    np.testing.assert_array_equal(
        flow.log_prob(other, other, estimator='exact'), expected)
  with pytest.raises(ValueError, match='x=a data frame: expected one with a, '
                     'b. It has no a.'):
    flow.log_prob(frame.drop(columns='a'), condition)
