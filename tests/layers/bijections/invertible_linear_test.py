"""Invertible linear maps against NumPy; numerically singular matrices."""

import json

import numpy as np
import pytest
import tensorflow as tf

from tests import loops
from tests import testing
from tf_resflow import errors
from tf_resflow import layers


def matrix(size, seed=0):
  return np.random.default_rng(seed).normal(size=[size, size])


@loops.each(['free', 'lu'], [1, 5])
def test_vectors(parameterization, size):
  w, x = matrix(size), np.random.default_rng(1).normal(size=[3, size])
  linear = layers.InvertibleLinear(
      parameterization, initial_matrix=w, dtype='float64')
  y, log_det = linear.forward_and_log_det(tf.constant(x))
  np.testing.assert_allclose(y, x @ w.T, rtol=1e-12)
  np.testing.assert_allclose(
      log_det, np.full(3, np.linalg.slogdet(w)[1]), rtol=1e-12)
  np.testing.assert_allclose(linear.inverse(y), x, rtol=0, atol=1e-12)
  np.testing.assert_allclose(linear.matrix(), w, rtol=0, atol=1e-13)


def test_pixels():
  w, x = matrix(2), np.random.default_rng(1).normal(size=[3, 4, 5, 2])
  conv = layers.InvertibleConv1x1(initial_matrix=w, dtype='float64')
  y, log_det = conv.forward_and_log_det(tf.constant(x))
  np.testing.assert_allclose(y, np.einsum('bijc,dc->bijd', x, w), rtol=1e-12)
  np.testing.assert_allclose(
      log_det, np.full(3, 20 * np.linalg.slogdet(w)[1]), rtol=1e-12)


@loops.each(['free', 'lu'])
def test_starts_as_a_permutation_of_its_seed(parameterization):
  def start(seed):
    linear = layers.InvertibleLinear(parameterization, seed=seed)
    linear.build((None, 8))
    return linear.matrix().numpy()

  for seed in (1, 2):
    np.testing.assert_array_equal(np.sort(start(seed)), np.sort(np.eye(8)))
    np.testing.assert_array_equal(np.sort(start(seed).T), np.sort(np.eye(8)))
  np.testing.assert_array_equal(start(1), start(1))
  assert not np.array_equal(start(1), start(2))


def test_a_given_start_is_part_of_the_configuration():
  w = matrix(2)
  config = json.loads(json.dumps(
      layers.InvertibleLinear(initial_matrix=w).get_config()))
  copy = layers.InvertibleLinear.from_config(config)
  copy.build((None, 2))
  np.testing.assert_allclose(copy.matrix(), w, rtol=1e-6)


def make_singular(parameterization, value, dtype='float32'):
  """A map that was fine when it was made."""
  linear = layers.InvertibleConv1x1(
      parameterization, initial_matrix=np.eye(2), dtype=dtype, name='conv')
  linear.build((None, 2, 2, 2))
  (variable,) = linear.trainable_variables
  variable.assign([[0.0 if value < 0 else 1.0, 0.0], [0.0, value]])
  return linear


def passes(linear):
  x = tf.ones([3, 2, 2, 2], linear.compute_dtype)
  return [lambda: linear.forward_and_log_det(x), lambda: linear.inverse(x),
          lambda: linear(x)]


@loops.each([('free', 1e-9), ('lu', -20.0)])
def test_a_nearly_singular_matrix_is_an_error(parameterization, value):
  linear = make_singular(parameterization, value)
  for fn in passes(linear):
    for is_traced in (False, True):
      with pytest.raises(tf.errors.InvalidArgumentError) as error:
        (tf.function(fn, autograph=False) if is_traced else fn)()
      for part in ('conv.matrix=condition number', 'expected at most 1e+04 in '
                   'float32. The matrix is numerically singular; lower the l'):
        assert part in error.value.message
  testing.check_refusal(
      linear.check_weights, {}, 'conv.matrix=condition number ')
  # It is not singular in float64.
  wide = make_singular(parameterization, value, 'float64')
  wide.check_weights()
  for fn in passes(wide):
    assert np.all(np.isfinite(tf.nest.flatten(fn())[0]))


def test_under_xla_everything_is_nan():
  functions = passes(make_singular('free', 1e-9))
  outputs = tf.function(
      lambda: [fn() for fn in functions], autograph=False, jit_compile=True)()
  for output in tf.nest.flatten(outputs):
    assert np.all(np.isnan(output))


def test_a_singular_matrix_stops_no_gradient_silently():
  linear = layers.InvertibleLinear(dtype='float64')
  linear.build((None, 3))
  linear.entries.assign(np.ones([3, 3]))

  @tf.function(autograph=False)
  def gradient():
    with tf.GradientTape() as tape:
      log_det = linear.forward_and_log_det(tf.ones([2, 3], tf.float64))[1]
    return tape.gradient(log_det, linear.entries.value)

  with pytest.raises(tf.errors.InvalidArgumentError):
    gradient()


@loops.each([
    (dict(initial_matrix=np.ones([2, 2])),
     'initial_matrix=condition number inf: expected at most 1e+04 in float32.'),
    (dict(initial_matrix=np.diag([1.0, 1e-5])),
     'initial_matrix=condition number 1e+05: expected at most 1e+04 in float'),
    (dict(initial_matrix=np.diag([1.0, np.nan])),
     'initial_matrix=condition number nan: expected at most'),
    (dict(initial_matrix=np.eye(3)),
     'initial_matrix=an array (3, 3): expected [2, 2], for events (2,).'),
    (dict(parameterization='qr'), 'parameterization=qr: expected one of free')])
def test_refusals(values, message):
  testing.check_refusal(
      lambda **kwargs: layers.InvertibleLinear(**kwargs).build((None, 2)),
      values, message)


def test_images_alone_have_pixels():
  with pytest.raises(errors.InvalidValueError, match='Use InvertibleLinear'):
    layers.InvertibleConv1x1().build((None, 3))
