"""Batches in chunks give what they give at once."""

import numpy as np
import pytest
import tensorflow as tf

from tests import testing
from tf_resflow import numerics
from tf_resflow.numerics import chunking


def _function(x, y):
  return ([tf.tanh(x) * y[:, tf.newaxis], y * y],
          [tf.einsum('bi,b->i', x, y)])


def _inputs(batch_size):
  rng = np.random.default_rng(0)
  return (tf.constant(rng.normal(size=[batch_size, 3])),
          tf.constant(rng.normal(size=[batch_size])))


@pytest.mark.parametrize('batch_size', [1, 6, 7])
@pytest.mark.parametrize('max_examples', [None, 1, 2, 3, 5, 7, 100])
@pytest.mark.parametrize(
    'kind', ['eager', 'graph', 'xla', 'unknown batch', 'unknown chunks'])
def test_outputs_and_sums(batch_size, max_examples, kind):
  x, y = _inputs(batch_size)
  sizes = []

  def function(x, y):
    sizes.append(x.shape[0])
    return _function(x, y)

  def evaluate(x, y):
    return chunking.map_in_chunks(
        function, max_examples, [x, y], [x, y], [tf.zeros([3], x.dtype)],
        unknown_sizes=kind == 'unknown chunks')

  if kind.startswith('unknown'):
    evaluate = tf.function(evaluate, input_signature=[
        tf.TensorSpec([None, 3], x.dtype), tf.TensorSpec([None], x.dtype)])
  elif kind != 'eager':
    evaluate = tf.function(evaluate, jit_compile=kind == 'xla')
  found = evaluate(x, y)
  for a, b in zip(tf.nest.flatten(found), tf.nest.flatten(_function(x, y)),
                  strict=True):
    np.testing.assert_allclose(a, b, atol=1e-14)
  if max_examples and not kind.startswith('unknown'):
    assert max(sizes) <= max_examples


@pytest.mark.parametrize('batch_size', [0, 1, 6, 7])
def test_chunks_of_unknown_size_are_small(batch_size):
  sizes = []

  def function(x, y):
    tf.py_function(lambda n: sizes.append(int(n)), [tf.shape(x)[0]], [])
    return _function(x, y)

  @tf.function(input_signature=[
      tf.TensorSpec([None, 3], tf.float64), tf.TensorSpec([None], tf.float64)])
  def evaluate(x, y):
    return chunking.map_in_chunks(
        function, 3, [x, y], [x, y], [tf.zeros([3], x.dtype)],
        unknown_sizes=True)

  (tanh, squares), _ = evaluate(*_inputs(batch_size))
  assert (tanh.shape, squares.shape) == ([batch_size, 3], [batch_size])
  assert sizes == {0: [0], 1: [1], 6: [3, 3], 7: [3, 3, 1]}[batch_size]


@pytest.mark.parametrize('max_examples', [1, 2])
@pytest.mark.parametrize('kind', ['dense', 'conv'])
def test_log_det_and_gradients_do_not_depend_on_the_chunks(kind, max_examples):
  g_fn, weights, x = testing.make_block(kind)
  estimator = numerics.RussianRoulette()
  draw = estimator.draw(x, 3)
  cotangents = [tf.constant(np.random.default_rng(7).normal(size=x.shape)),
                tf.constant([0.0, 1.5, -0.7], tf.float64)]
  results = []
  for n in (None, max_examples):
    g = numerics.ResidualFunction(g_fn, max_examples=lambda n=n: n)

    def fn(weights, x, g=g):
      return numerics.forward_and_log_det(
          g, weights, x, estimator, draw=draw)

    results.append([*fn(weights, x), *testing.gradients(
        fn, weights, x, cotangents)])
  for a, b in zip(*results, strict=True):
    np.testing.assert_allclose(a, b, atol=1e-14)


def test_adaptive_number_of_terms_is_that_of_the_batch():
  g_fn, weights, x = testing.make_block('dense')
  x *= tf.constant([[0.1], [1.0], [4.0]], x.dtype)
  estimator = numerics.AdaptiveRoulette(0.5, num_exact_terms=1)
  draw = numerics.Draw(
      tf.constant(0.02, tf.float64), estimator.draw(x, 3).probe)
  values = [
      numerics.forward_and_log_det(
          numerics.ResidualFunction(g_fn, max_examples=lambda n=n: n), weights,
          x, estimator, draw=draw)[1]
      for n in (None, 1)]
  np.testing.assert_array_equal(*values)


@pytest.mark.parametrize('max_examples', [1, 2])
def test_solutions_do_not_depend_on_the_chunks(max_examples):
  g_fn, weights, x = testing.make_block('conv', scale=0.9)
  y = x + g_fn(weights, x)
  solver = numerics.Anderson(atol=1e-9)
  whole, some = [
      numerics.invert_residual(
          numerics.ResidualFunction(g_fn, max_examples=lambda n=n: n), weights,
          y, solver)
      for n in (None, max_examples)]
  np.testing.assert_allclose(some.x, x, atol=1e-7)
  np.testing.assert_allclose(some.x, whole.x, atol=1e-12)
  np.testing.assert_array_equal(some.num_steps, whole.num_steps)
  np.testing.assert_array_equal(some.converged, [True] * 3)
