"""The bijectors of invertible linear maps compute what their layers do."""

import numpy as np
import pytest
import tensorflow as tf

from tf_resflow import bijectors
from tf_resflow import layers


@pytest.mark.parametrize('name, event_shape', [
    ('InvertibleLinear', [3]), ('InvertibleConv1x1', [2, 2, 3])])
@pytest.mark.parametrize('values', [
    dict(parameterization='lu', seed=1),
    dict(initial_matrix=np.diag([1.0, 2.0, 3.0]))])
def test_values_and_settings_are_those_of_the_layer(name, event_shape, values):
  bijector = getattr(bijectors, name)(event_shape, **values)
  layer = getattr(layers, name)(**values)
  x = tf.random.stateless_normal([5, *event_shape], [0, 1])
  y, log_det = layer.forward_and_log_det(x)
  np.testing.assert_array_equal(bijector.forward(x), y)
  np.testing.assert_array_equal(bijector.forward_log_det_jacobian(x), log_det)
  assert bijector.layer is bijector.copy(name='other').layer
