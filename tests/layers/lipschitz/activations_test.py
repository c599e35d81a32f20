"""Activations of slope at most one: values and slopes."""

import numpy as np
import pytest
import tensorflow as tf

from tf_resflow import errors
from tf_resflow import layers
from tf_resflow.configuration import registries


@pytest.mark.parametrize('name, expected', [
    ('elu', lambda x: np.where(x > 0, x, np.expm1(x))),
    ('softplus', lambda x: np.logaddexp(0.0, x)),
    ('relu', lambda x: np.maximum(x, 0.0)),
    ('identity', lambda x: x),
    ('lipschitz_cube', lambda x: np.where(
        np.abs(x) < 1, x**3 / 3, x - 2 / 3 * np.sign(x))),
])
def test_companions(name, expected):
  layer = registries.ACTIVATIONS.get(name)(dtype='float64')
  x = np.linspace(-20.0, 20.0, 4001)
  y = np.asarray(layer(tf.constant(x)))
  np.testing.assert_allclose(y, expected(x), atol=1e-12)
  slopes = np.abs(np.diff(y) / np.diff(x))
  assert slopes.max() <= layer.lipschitz_bound + 1e-9
  assert slopes.max() >= layer.lipschitz_bound - 1e-3


def test_names():
  for name in registries.ACTIVATIONS.names():
    assert isinstance(
        registries.ACTIVATIONS.get(name)(), layers.LipschitzLayer)
  with pytest.raises(errors.InvalidValueError, match=(
      'activation=tanh: expected one of lipswish, elu')):
    registries.ACTIVATIONS.get('tanh')
