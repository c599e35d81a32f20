"""Narrow convolutions agree with TensorFlow's, with all derivatives."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from tests import loops
from tf_resflow.numerics import convolution

# Kernel shapes on both sides of every choice.
_NARROW = [
    (3, 3, 12, 1), (3, 3, 1, 12), (3, 3, 40, 4), (3, 3, 4, 40), (5, 3, 20, 1),
    (1, 3, 2, 6), (3, 3, 9, 1)]
_WIDE = [(3, 3, 12, 2), (1, 1, 12, 1), (3, 3, 6, 6), (3, 3, 5, 60)]


def plain(x, kernel):
  return tf.nn.conv2d(x, kernel, strides=1, padding='SAME')


def make(shape, dtype=tf.float64):
  rng = np.random.default_rng(0)
  k_h, k_w, c_in, c_out = shape
  return (tf.constant(rng.normal(size=[3, 5, 4, c_in]), dtype),
          tf.constant(rng.normal(size=[k_h, k_w, c_in, c_out]), dtype))


def derivatives(fn, x, kernel):
  """The value, its gradients, and those of a vector-Jacobian product."""
  with tf.GradientTape(persistent=True) as outer:
    outer.watch([x, kernel])
    with tf.GradientTape(persistent=True) as inner:
      inner.watch([x, kernel])
      y = fn(x, kernel)
    u = tf.sin(tf.range(tf.size(y, tf.float64)))
    u = tf.reshape(tf.cast(u, y.dtype), tf.shape(y))
    outer.watch(u)
    dx, dkernel = inner.gradient(y, [x, kernel], u)
    mixed = tf.reduce_sum(tf.sin(dx)) + tf.reduce_sum(tf.cos(dkernel))
  return [y, dx, dkernel, *outer.gradient(mixed, [x, kernel, u])]


def check_derivatives(shape, wrap=lambda f: f):
  x, kernel = make(shape)
  found = wrap(lambda *a: derivatives(convolution.conv2d, *a))(x, kernel)
  expected = derivatives(plain, x, kernel)
  for a, b in zip(found, expected, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)


@loops.each([(shape,) for shape in _NARROW + _WIDE] + [
    ((3, 3, 12, 1), tf.function), ((3, 3, 4, 40), tf.function),
    ((3, 3, 6, 6), tf.function)])
def test_values_and_derivatives(*case):
  check_derivatives(*case)


def test_single_pixels_where_operations_have_one_thread(two_cores):
  check_derivatives((1, 1, 12, 5))
  check_derivatives((1, 1, 12, 5), tf.function)


def ops(fn, *inputs):
  graph = tf.function(fn, autograph=False).get_concrete_function(*inputs).graph
  return [op.type for op in graph.get_operations()]


def test_single_pixels_are_a_product_in_training_alone(request):
  inputs = make((1, 1, 12, 5))
  assert 'MatMul' not in ops(convolution.conv2d, *inputs)
  request.getfixturevalue('two_cores')
  assert 'MatMul' in ops(convolution.conv2d, *inputs)
  assert 'MatMul' not in ops(functools.partial(
      convolution.conv2d, for_cpu=False), *inputs)


def test_unknown_batch_size_and_xla():
  x, kernel = make((3, 3, 12, 1), tf.float32)
  for options in ({}, {'jit_compile': True}):
    traced = tf.function(
        convolution.conv2d, autograph=False, input_signature=[
            tf.TensorSpec([None, *x.shape[1:]]), tf.TensorSpec(kernel.shape)],
        **options)
    np.testing.assert_allclose(
        traced(x, kernel), plain(x, kernel), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('shape, is_product', [
    ((3, 3, 40, 4), True), ((3, 3, 4, 40), False), ((3, 3, 12, 2), False)])
def test_which_form_is_taken(shape, is_product):
  """Many to few is a product; so is the adjoint of few to many."""
  x, kernel = make(shape)
  assert ('MatMul' in ops(convolution.conv2d, x, kernel)) == is_product

  def pullback(y, kernel):
    with tf.GradientTape() as tape:
      tape.watch(x)
      value = convolution.conv2d(x, kernel)
    return tape.gradient(value, x, y)

  found = ops(pullback, plain(x, kernel), kernel)
  assert ('MatMul' in found) == (shape == (3, 3, 4, 40) or is_product)


@loops.each(
    [(shape,) for shape in _NARROW + _WIDE], [False, True], [True, False])
def test_normal_map_is_the_convolution_and_its_adjoint(
    shape, transpose, for_cpu):
  x, kernel = make(shape)
  if transpose:
    x, _ = make((*shape[:2], *shape[:1:-1]))
    expected = plain(
        tf.nn.conv2d_transpose(
            x, kernel, [*x.shape[:3], shape[2]], strides=1, padding='SAME'),
        kernel)
  else:
    expected = tf.nn.conv2d_transpose(
        plain(x, kernel), kernel, x.shape, strides=1, padding='SAME')
  found = convolution.normal_map(kernel, transpose, for_cpu)(x)
  np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize('num_channels, for_cpu, is_small', [
    (27, True, True), (26, True, False), (27, False, False)])
def test_normal_map_makes_fewer_channels_where_it_pays(
    num_channels, for_cpu, is_small):
  x, kernel = make((3, 3, 3, num_channels))
  found = ops(convolution.normal_map(kernel, for_cpu=for_cpu), x)
  assert (sum('Conv2D' in op for op in found) == 1) is is_small
