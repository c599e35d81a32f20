"""The operator norm of constrained layers, against the SVD of the operator."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import cases
from tests import loops
from tests import testing
from tests.layers import operators
from tf_resflow import layers
from tf_resflow.specs import registries

_TOLERANCE = 1e-3
_NAMES = [name for name in cases.LIPSCHITZ if name.startswith('spectral')]


def sigma(layer):
  """Returns the norm of the raw kernel as power iteration sees it."""
  return float(layer.norm())


def scaled(name, factor, dtype='float64'):
  """A layer whose raw operator norm is `factor * coeff`."""
  layer = cases.LIPSCHITZ[name].make(dtype)
  layer.kernel.assign(
      layer.kernel.numpy() * factor * layer.coeff / sigma(layer))
  return layer


@loops.each(_NAMES, [0.7, 3.0])
def test_norms_and_certificates(name, factor):
  """The norm is `coeff` where the kernel is too large; others are left alone.

  The certificate is above it, power iteration below.
  """
  layer = scaled(name, factor)
  norm = operators.true_norm(layer)
  np.testing.assert_allclose(
      norm, min(factor, 1.0) * layer.coeff, rtol=_TOLERANCE)
  np.testing.assert_allclose(
      layer.normalized_kernel(), layer.kernel.value / max(factor, 1.0),
      rtol=_TOLERANCE)
  certificate = layer.certificate(target=0.0)
  assert norm <= certificate.bound <= norm * 1.001
  # A cheaper certificate is still a bound.
  cheap = layer.certificate(target=2.0)
  assert norm <= cheap.bound <= norm * 1.5
  raw = norm * max(1.0, sigma(layer) / layer.coeff)
  assert raw * (1.0 - _TOLERANCE) <= sigma(layer) <= raw * (1.0 + 1e-9)


@loops.each([
    (lambda: layers.SpectralDense(9, seed=0), (5,)),
    (lambda: layers.SpectralConv2D(9, 3, seed=0), (4, 4, 3))])
def test_initial_weights_are_those_of_fan_in(make_fn, event_shape):
  layer = make_fn()
  layer.build((None, *event_shape))
  limit = np.prod(layer.kernel.shape[:-1])**-0.5
  for variable in (layer.kernel, layer.bias):
    assert 0.5 * limit < np.abs(variable.numpy()).max() <= limit


def test_initializers_and_no_bias():
  layer = layers.SpectralDense(
      4, use_bias=False, kernel_initializer=keras.initializers.Identity())
  layer.build((None, 4))
  assert layer.bias is None and len(layer.trainable_variables) == 1
  np.testing.assert_allclose(
      layer.normalized_kernel(), 0.98 * np.eye(4), rtol=1e-6)
  copy = layers.SpectralDense.from_config(layer.get_config())
  assert copy.get_config() == layer.get_config()


@loops.each(['identity', 'orthogonal'])
def test_growth_out_of_equal_singular_values_is_seen(initializer):
  """No direction of the block shows it, and its residual is below 1e-3."""
  size, growth = 512, 0.02
  layer = layers.SpectralDense(size, kernel_initializer=initializer)
  layer.build((None, size))
  layer.save_norms()
  kernel = layer.kernel.value.numpy()
  direction = np.random.RandomState(0).randn(size)
  direction /= np.linalg.norm(direction)
  layer.kernel.assign(kernel + growth * np.outer(direction, direction @ kernel))
  np.testing.assert_allclose(sigma(layer), 1.0 + growth, rtol=1e-4)


@loops.each([
    ([1, .9, .8, .5, .4, .3], [1, .9, .8, .5, .4, 5]),
    ([8, 4, 2, 1, 1, 1], [4, 2, 1, 8, 1, 1])])
def test_jumps_outside_of_the_block_are_seen(before, after):
  layer = layers.SpectralDense(80)
  layer.build((None, 80))
  rest = [0.1] * 74
  layer.kernel.assign(np.diag(before + rest))
  layer.save_norms()
  layer.kernel.assign(np.diag(after + rest))
  np.testing.assert_allclose(sigma(layer), max(after), rtol=1e-3)


def _planted(size, spread, ratio):
  """Returns a layer that knows a kernel; one with another largest direction.

  It is the smallest of the close singular values of the first, orthogonal to
  the vectors that the layer keeps.
  """
  rng = np.random.default_rng(size)
  left, right = (
      np.linalg.qr(rng.normal(size=[size, size]))[0] for _ in range(2))
  values = np.sort(np.append(rng.uniform(spread, 0.9999, size - 1), 1.0))
  layer = layers.SpectralDense(size, use_bias=False, seed=0)
  layer.build((None, size))
  layer.kernel.assign(left * values @ right.T)
  for _ in range(2):
    layer.save_norms()
  values[0] = ratio
  return layer, left * values @ right.T


def _excess(layer):
  return np.linalg.norm(layer.normalized_kernel(), 2) / 0.98 - 1.0


@loops.each([(size, spread, ratio) for size in (100, 256)
             for spread in (0.0, 0.9) for ratio in (1.002, 1.05)])
def test_what_becomes_the_largest_is_found(size, spread, ratio):
  """By squaring, and by the recurrence."""
  layer, kernel = _planted(size, spread, ratio)
  layer.kernel.assign(kernel)
  assert _excess(layer) < 5e-4


def test_what_was_followed_is_searched_once():
  layer, kernel = _planted(100, 0.9, 1.02)
  layer.kernel.assign(kernel)
  save = tf.function(layer.save_norms)
  assert save(tf.constant(False)) > 0
  # Calls take it as it is; saving does not take it for searched.
  assert _excess(layer) > 0.01 and save(tf.constant(False)) == 0
  assert save(tf.constant(True)) > 0
  assert _excess(layer) < 5e-4 and save(tf.constant(True)) == 0


@loops.each([0.0, np.nan])
def test_unusable_vectors_are_drawn_anew(value):
  layer = layers.SpectralDense(6, seed=0)
  layer.build((None, 6))
  expected = np.linalg.norm(layer.kernel.value.numpy(), 2)
  layer.v.assign(tf.fill(layer.v.shape, np.float32(value)))
  np.testing.assert_allclose(sigma(layer), expected, rtol=1e-3)


@loops.each([
    lambda: layers.SpectralDense(3), lambda: layers.SpectralConv2D(3, 3)])
def test_coeff_is_read_only(make_fn):
  """Graphs hold it: a change would be seen by some and not by others."""
  layer = make_fn()
  with pytest.raises(AttributeError, match='coeff'):
    layer.coeff = 0.3
  assert layer.coeff == layer.lipschitz_bound == 0.98


def test_zero_kernel():
  layer = layers.SpectralDense(3, kernel_initializer='zeros')
  with tf.GradientTape() as tape:
    y = layer(tf.ones([2, 3]))
  gradient = tape.gradient(y, layer.kernel.value)
  np.testing.assert_array_equal(gradient, 2.0 * np.ones([3, 3]))


def test_refuses_even_kernels_and_other_sizes_of_images():
  """The norm grows with the image: 0.98 at 2 x 2 is more at 8 x 8."""
  testing.check_refusals(lambda size: layers.SpectralConv2D(3, size), [
      (size, '...odd integers') for size in (2, [3, 4], [3, 3, 3])])
  testing.check_refusals(layers.SpectralConv2D(3, 3).build, [
      (shape, '...static [B, H, W, C]')
      for shape in ([None, None, 4, 2], [None, 4, 2])])
  layer = layers.SpectralConv2D(1, 3)
  layer.build((None, 2, 2, 1))
  testing.check_refusals(layer, [
      (tf.ones([1, 8, 8, 1]), 'inputs=(1, 8, 8, 1): expected images of 2 x 2 '
       'in ... one layer per spatial size.')])


@loops.each(registries.CONSTRAINTS.names())
def test_makers_take_the_same_arguments(name):
  constraint = registries.CONSTRAINTS.get(name)
  options = dict(coeff=0.7, seed=1, name='linear', dtype='float64')
  for layer, shape in (
      (constraint.dense(3, **options), (5,)),
      (constraint.conv2d(3, 3, **options), (4, 4, 2))):
    y = layer(tf.ones([2, *shape], tf.float64))
    assert isinstance(layer, layers.LipschitzLayer)
    assert y.shape == (2, *shape[:-1], 3) and y.dtype == tf.float64
    assert (layer.name, layer.lipschitz_bound) == ('linear', 0.7)
    assert layer.num_constrained == 1
