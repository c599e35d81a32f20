"""What SLL and CPL layers have in common: channels that are appended."""

import numpy as np

from tests import loops
from tests import testing
from tf_resflow import layers


def make(layer_class, event_shape, num_channels=None):
  """Returns a layer of width 4 in float64, built."""
  settings = {'seed': 1, 'dtype': 'float64'}
  if layer_class is layers.SLL:
    layer = layers.SLL(4, num_channels=num_channels, **settings)
  else:
    layer = layers.CPL(
        layers.SpectralDense(4, **settings) if len(event_shape) == 1 else
        layers.SpectralConv2D(4, 3, **settings), num_channels)
  layers.build_once(layer, (None, *event_shape))
  return layer


@loops.each([layers.SLL, layers.CPL], [(), (4, 4)])
def test_appended_channels_are_zeros(layer_class, *sizes):
  channels = 3
  event_shape = (*sizes, channels)
  layer = make(layer_class, event_shape, channels + 2)
  whole = make(layer_class, (*sizes, channels + 2))
  whole.set_weights(layer.get_weights())
  x = np.random.default_rng(1).normal(size=[3, *event_shape])
  padded = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, 2)])
  np.testing.assert_allclose(layer(x), whole(padded), rtol=1e-12, atol=1e-14)


def test_refusals():
  testing.check_refusals(lambda arguments: make(*arguments), [
      ((layers.CPL, (3,), 2),
       'num_channels=2: expected at least 3, as many as the input has'),
      ((layers.SLL, (3, 4)), 'input_shape=(None, 3, 4): expected (B, C)')])
