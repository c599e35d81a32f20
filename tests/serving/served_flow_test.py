"""What served flows have in common."""

import numpy as np
import pytest
import tensorflow as tf

from tf_resflow import models
from tf_resflow import numerics
from tf_resflow.serving import served_flow


def test_the_base_names_no_data(make_small_model, estimator):
  with pytest.raises(NotImplementedError):
    served_flow.ServedFlow(make_small_model(), estimator)


@pytest.mark.parametrize('is_so', [True, False])
def test_require(is_so):
  function = tf.function(
      lambda x, condition: 2.0 * served_flow.require(
          condition, x, ['x is', x, '; expected another.']), autograph=False)
  if is_so:
    np.testing.assert_array_equal(function(tf.ones([2]), tf.constant(True)), 2)
  else:
    with pytest.raises(tf.errors.InvalidArgumentError, match='x is'):
      function(tf.ones([2]), tf.constant(False))


@pytest.mark.parametrize('kind', ['images', 'vectors'])
def test_what_no_flow_is_served_with(make_small_model, kind):
  from tf_resflow import serving

  if kind == 'images':
    model, make = make_small_model(), serving.IntegerFlow
  else:
    model = models.VectorFlowConfig(act_norm=False, num_blocks=1).build()
    make = serving.VectorSignatures
  with pytest.raises(ValueError, match='max_samples=0: expected a number from'):
    make(model, numerics.Exact(), max_samples=0)
  with pytest.raises(ValueError, match='one with batch_dependent=False'):
    make(model, numerics.AdaptiveRoulette())
