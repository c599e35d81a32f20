"""The contract of Lipschitz layers; see also tests/conformance."""

import pytest
import tensorflow as tf

from tf_resflow import layers


class Unknown(layers.LipschitzLayer):
  """States no bound."""


def test_an_unknown_bound_is_no_certificate():
  layer = Unknown()
  assert layer.lipschitz_bound is None
  assert layer.certificate() == (None, (), None)
  assert layers.LipschitzSequential(
      [Unknown(), layers.ELU()]).lipschitz_bound is None
  with pytest.raises(NotImplementedError):
    layer.evaluate([], None)


def test_what_a_layer_computes_for_is_no_other_function():
  """A narrow convolution is one by taps on a CPU, and the same numbers."""
  layer = layers.SpectralConv2D(2, 3, coeff=0.9)
  x = tf.random.stateless_normal([2, 4, 4, 32], [0, 1])
  outputs, structures = [], []
  for kind, is_on_cpu in (('CPU', True), ('GPU', False)):
    layer.target_device = kind
    assert layer.is_on_cpu is is_on_cpu
    outputs.append(layer(x))
    structures.append(str(layer.structure()))
  tf.debugging.assert_near(*outputs, atol=1e-5)
  assert structures[0] != structures[1]


def test_without_a_configuration_a_layer_shares_no_function():
  class Shifted(layers.LipschitzLayer):
    def __init__(self, shift, **kwargs):
      super().__init__(**kwargs)
      self.shift = shift

    def evaluate(self, weights, x):
      return x + self.shift

  first, second = (Shifted(tf.constant(shift)) for shift in (1.0, 2.0))
  assert first.structure() == first.structure() != second.structure()
