"""Defects of traced functions and seeds that the checks find."""

import pytest
import tensorflow as tf

from tests.checks import planted
from tf_resflow.checks import execution


@pytest.mark.parametrize('make, check, problem', [
    (planted.ForgetsTheSeed, execution.seeds_decide_what_is_drawn,
     'log_det does not depend on the seed'),
    (planted.OneSize, execution.traced_equals_eager_for_an_unknown_batch_size,
     'has the shape'),
    (planted.OneSizeInverse,
     execution.traced_inverse_equals_eager_for_an_unknown_batch_size, 'shape'),
    (planted.LeavesTheGraph,
     execution.compiles_with_xla_for_an_unknown_batch_size, 'XLA'),
    (planted.OfOnePrecision, execution.outputs_and_variables_have_the_dtype,
     'asked for float64'),
    (planted.Disconnected, execution.gradients_reach_every_trainable_variable,
     'is None, not finite or 0')])
def test_defects(make, check, problem):
  planted.finds(make, check, problem)


def test_counts_every_graph():
  function = tf.function(lambda x: x + 1.0)
  assert execution.new_graphs(
      lambda size: function(tf.ones([size])), (1, 2, 3)) == 3
