"""SLL layers have constant 1, whatever their kernels.

`W T^-1 W^T`, materialised, has its eigenvalues in [0, 1]: then `I - 2 W T^-1 D
W^T` has norm 1 at most for all slopes `D` in [0, 1] (see the class).
"""

import numpy as np
import tensorflow as tf

from tests import loops
from tests import splits
from tests import testing
from tf_resflow import layers
from tf_resflow.checks import subjects

# Kernel size (0 on vectors), size of an image, channels and width.
_SHAPES = [(0, 1, 3, 7), (0, 1, 7, 3), (3, 4, 2, 5), (3, 5, 4, 1), (5, 4, 1, 3),
           (1, 2, 3, 2), (5, 2, 1, 2)]


def event_shape(k, size, channels):
  return (size, size, channels) if k else (channels,)


def make(k, size, channels, width, dtype='float64', **settings):
  layer = layers.SLL(width, k or 3, seed=1, dtype=dtype, **settings)
  layer.build((None, *event_shape(k, size, channels)))
  layer.log_q.assign(np.linspace(-1.0, 1.0, width))
  return layer


def materialize(kernel, k, size):
  """Returns the matrix of `x -> W^T x`, `[outputs, inputs]`."""
  if not k:
    return np.transpose(kernel)
  channels = kernel.shape[-2]

  def convolve(x):
    return tf.reshape(tf.nn.conv2d(tf.reshape(
        x, [-1, size, size, channels]), kernel, 1, 'SAME'), [len(x), -1])

  return testing.materialize(convolve, size**2 * channels).T


def kernels(shape, scale):
  """Yields random kernels, and some whose taps add up or cancel."""
  rng = np.random.default_rng(0)
  yield scale * rng.normal(size=shape)
  yield scale * np.ones(shape)
  yield scale * (-1.0)**rng.integers(2, size=shape)


def largest(matrix, t):
  """Returns the largest eigenvalue of `W T^-1 W^T`."""
  return np.linalg.norm(matrix / np.sqrt(t)[:, np.newaxis], 2)**2


@loops.each(_SHAPES, [1e-4, 1.0, 3.0, 10.0])
def test_singular_values_are_at_most_1(k, size, channels, width, scale):
  layer = make(k, size, channels, width)
  for kernel in kernels(layer.kernel.shape, scale):
    layer.kernel.assign(kernel)
    weights, scaled, _ = layer.present_weights()
    t = np.max(2.0 * weights / scaled, axis=(*range(weights.shape.rank - 1),))
    assert largest(
        materialize(kernel, k, size), np.tile(t, size**2)) <= 1.0 + 1e-12


@loops.each([(0, 1, 7, 3), (3, 4, 5, 2)])
def test_layers_begin_with_all_slopes(k, size, channels, width):
  """Orthogonal rows: from 1 to -1, where no activation, or each, is on."""
  layer = make(k, size, channels, width)
  layer.log_q.assign(np.zeros(width))
  x = tf.zeros([1, *event_shape(k, size, channels)], tf.float64)
  for bias, expected in ((-40.0, 1.0), (40.0, -1.0)):
    layer.bias.assign(np.full(width, bias))
    slopes = np.linalg.eigvals(subjects.jacobians(layer, x)[0])
    np.testing.assert_allclose(min(slopes.real), expected, atol=1e-6)


def test_sums_without_shifts_would_not_do():
  kernel = np.ones([3, 3, 2, 5])
  flat = kernel.reshape([-1, 5])
  matrix = materialize(kernel, 3, 5)
  assert largest(matrix, np.tile(np.abs(flat.T @ flat).sum(1), 25)) > 2.0


@loops.each(_SHAPES)
def test_value_is_that_of_the_materialised_map(k, size, channels, width):
  layer = make(k, size, channels, width)
  kernel = layer.kernel.numpy()
  x = np.random.default_rng(1).normal(
      size=[3, *event_shape(k, size, channels)])
  matrix = materialize(kernel, k, size)
  q = np.exp(layer.log_q.numpy())
  # On an image so large that a row in the middle is complete.
  wide = materialize(kernel, k, 2 * k + 1) if k else matrix
  gram = np.abs(wide @ wide.T)
  middle = len(gram) // width // 2 * width
  t = (gram[middle:middle + width] @ np.tile(q, len(gram) // width)) / q
  hidden = np.logaddexp(0.0, x.reshape([3, -1]) @ matrix.T + np.tile(
      layer.bias.numpy(), size**2))
  change = (hidden / (np.tile(t, size**2) + 1e-6)) @ matrix
  np.testing.assert_allclose(
      layer(x), x - 2.0 * change.reshape(x.shape), rtol=1e-10, atol=1e-12)


@loops.each([0.0, 1e-30, 1e30])
def test_kernels_of_any_size(scale):
  """Those in float32 whose squares overflow or vanish, too."""
  x = np.random.default_rng(0).normal(size=[2, 4, 4, 2]).astype('float32')
  kernel = scale * np.random.default_rng(1).normal(size=[3, 3, 2, 3])
  results = []
  for dtype in ('float32', 'float64'):
    layer = make(3, 4, 2, 3, dtype=dtype)
    layer.kernel.assign(kernel)
    results.append(layer(x))
  np.testing.assert_allclose(*results, atol=1e-5)


def test_refusals():
  assert splits.refusal(layers.SLL, 3, kernel_size=2).startswith(
      'kernel_size=2: expected an odd')
