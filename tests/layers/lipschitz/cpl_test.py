"""CPL layers have constant 1, whatever their kernels."""

import numpy as np
import tensorflow as tf

from tests import loops
from tests import networks
from tests import testing
from tf_resflow import layers
from tf_resflow.checks import subjects

# Shape of events, width, channels of outputs.
_SHAPES = [((3,), 7, None), ((5,), 2, 6), ((3, 4, 2), 5, None),
           ((4, 3, 1), 3, 4)]


def make(event_shape, width, num_channels=None, coeff=0.98):
  make_linear = layers.SpectralDense if len(event_shape) == 1 else (
      lambda width, **settings: layers.SpectralConv2D(width, 3, **settings))
  layer = layers.CPL(make_linear(width, seed=1, dtype='float64', coeff=coeff),
                     num_channels)
  layer.build((None, *event_shape))
  layer.log_k.assign(np.linspace(-1.0, 2.0, width))
  return layer


def inputs(event_shape):
  return tf.constant(np.random.default_rng(1).normal(size=[3, *event_shape]))


@loops.each(_SHAPES, [1.0, 10.0])
def test_slopes_certificate_and_bound(event_shape, width, channels, scale):
  layer = make(event_shape, width, channels)
  layer.linear.kernel.assign(scale * layer.linear.kernel)
  slope = subjects.induced_norm(
      subjects.jacobians(layer, 3.0 * inputs(event_shape)))
  assert 0.1 < slope <= 1.0 + 1e-12
  assert layer.certificate().bound == layer.norm_estimate() == 1.0
  assert layer.lipschitz_bound == 1.0 and layer.num_constrained == 1


@loops.each(_SHAPES)
def test_value_is_that_of_the_materialised_map(event_shape, width, channels):
  layer = make(event_shape, width, channels)
  x = inputs(event_shape)
  padded = np.pad(x, [(0, 0)] * (x.ndim - 1) + [
      (0, (channels or x.shape[-1]) - x.shape[-1])])
  kernel, bias = layer.linear.present_weights()
  apply = ((lambda t: t @ kernel) if len(event_shape) == 1 else
           (lambda t: tf.nn.conv2d(t, kernel, 1, 'SAME')))
  size = padded[0].size
  matrix = testing.materialize(
      lambda t: tf.reshape(apply(tf.reshape(t, [-1, *padded.shape[1:]])),
                           [len(t), -1]), size).T
  k, b = (np.tile(t, matrix.shape[0] // width)
          for t in (np.exp(layer.log_k), bias))
  flat = padded.reshape([3, -1])
  hidden = np.logaddexp(0.0, k * (flat @ matrix.T + b)) / k
  np.testing.assert_allclose(
      layer(x), (flat - 2.0 * hidden @ matrix).reshape(padded.shape),
      rtol=1e-10, atol=1e-12)


def test_the_constant_is_that_of_a_linear_layer_above_1():
  layer = make((3,), 3)
  layer.linear._coeff = 1.2
  layer.linear.kernel.assign(100.0 * np.eye(3))
  layer.linear.bias.assign(np.full(3, 100.0))
  slope = subjects.induced_norm(subjects.jacobians(layer, inputs((3,))))
  np.testing.assert_allclose(slope, 2.0 * 1.2**2 - 1.0, rtol=1e-3)
  assert slope <= layer.certificate().bound <= slope * 1.01


def test_refusals():
  testing.check_refusals(lambda call: call(), [
      (lambda: layers.CPL(layers.InducedNormDense(
          3, domain=np.inf, codomain=np.inf)), 'linear=InducedNormDense'),
      (lambda: layers.CPL(networks.Half(2.0, 2.0)), 'linear=Half(domain=2.0')])
