"""Conditions through TFP: keyword arguments, names, batch shapes."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tf_resflow import bijectors
from tf_resflow import errors
from tf_resflow import layers


def _block(name, network=None, seed=0):
  """A block of events [2]; conditions [3] by default."""
  normal = keras.initializers.RandomNormal(seed=seed)
  g = keras.Sequential([
      layers.SpectralDense(6, seed=seed, dtype='float64'),
      layers.ConditionShift(4, kernel_initializer=normal, dtype='float64'),
      layers.LipSwish(dtype='float64'),
      layers.SpectralDense(2, seed=seed + 7, dtype='float64')])
  return bijectors.Conditional(
      layers.ResidualBlock(g, 'exact', 'banach'),
      network or layers.VectorNetwork(3, 4, (5,), seed=seed, dtype='float64'),
      event_shape=[2], name=name)


def _density(bijector):
  return tfd.TransformedDistribution(
      tfd.MultivariateNormalDiag(tf.zeros([2], tf.float64)),
      tfb.Invert(bijector))


def _draw(*shape, seed=0):
  return tf.constant(np.random.default_rng(seed).normal(size=shape))


@pytest.fixture(scope='module', name='block')
def _one_block():
  return _block('block')


@pytest.fixture(scope='module', name='density')
def _one_density(block):
  return _density(block)


def test_density_and_samples_are_those_of_the_layer(block, density):
  x, condition = _draw(5, 2), _draw(5, 3, seed=1)
  kwargs = {'bijector_kwargs': {'condition': condition}}
  assert block.certificate().bound < 1.0
  z, log_det = block.layer.forward_and_log_det(x, condition=condition)
  base = -0.5 * np.sum(np.square(z) + np.log(2 * np.pi), axis=1)
  np.testing.assert_allclose(
      density.log_prob(x, **kwargs), base + log_det, rtol=1e-10)
  samples = density.sample(5, seed=(0, 1), **kwargs)
  again = density.sample(5, seed=(0, 1), **kwargs)
  np.testing.assert_array_equal(samples, again)
  other = density.sample(
      5, seed=(0, 1), bijector_kwargs={'condition': condition[::-1]})
  assert np.abs(other - samples).max() > 1e-3
  # Each sample has its own condition: latents of the inverse tell.
  np.testing.assert_allclose(
      block.layer.inverse(
          block.layer(samples, condition=condition), condition=condition),
      samples, atol=1e-8)


@pytest.mark.parametrize('x_batch, condition_batch, is_traced', [
    ((6,), (6,), True), ((6,), (), True), ((), (6,), False),
    ((2, 1), (3,), True), ((3,), (2, 1), False), ((2, 3), (3,), False),
    ((2, 3), (2, 3), False), ((), (), False), ((1,), (6,), False)])
def test_batch_shapes_broadcast(density, x_batch, condition_batch, is_traced):
  x, condition = _draw(*x_batch, 2), _draw(*condition_batch, 3, seed=1)

  def log_prob(x, condition):
    return density.log_prob(x, bijector_kwargs={'condition': condition})

  batch = np.broadcast_shapes(x_batch, condition_batch)
  expected = log_prob(
      tf.reshape(tf.broadcast_to(x, [*batch, 2]), [-1, 2]),
      tf.reshape(tf.broadcast_to(condition, [*batch, 3]), [-1, 3]))
  actual = (tf.function(log_prob, autograph=False) if is_traced
            else log_prob)(x, condition)
  assert actual.shape == batch
  np.testing.assert_allclose(actual, np.reshape(expected, batch), rtol=1e-10)


def test_a_log_det_is_not_that_of_a_condition_that_has_changed(block):
  x, condition = _draw(5, 2), tf.Variable(_draw(5, 3, seed=1))
  y = block.forward(x, condition=condition)
  condition.assign_add(tf.ones([5, 3], tf.float64))
  # What the layer says, which knows of no earlier calls.
  expected = -block.layer.forward_and_log_det(
      block.layer.inverse(y, condition=condition), condition=condition)[1]
  np.testing.assert_allclose(
      block.inverse_log_det_jacobian(y, condition=condition), expected,
      atol=1e-8)


def test_a_condition_for_all_passes_its_network_once():
  sizes = []

  class Counting(keras.layers.Dense):

    def call(self, inputs):
      sizes.append(inputs.shape[0])
      return super().call(inputs)

  block = _block('block', layers.KerasNetwork(
      Counting(4, dtype='float64'), [3], dtype='float64'))
  sizes.clear()
  block.forward(_draw(4, 5, 2), condition=_draw(3))
  assert sizes == [1]


@pytest.mark.parametrize('chain_class', [tfb.Chain, bijectors.Chain])
def test_inside_of_a_chain_by_name(chain_class):
  """Two blocks, each with a condition of its own."""
  labels = _block('labels', layers.LabelEmbedding(3, 4, 1, dtype='float64'))
  numbers = _block('numbers', seed=3)
  chain = chain_class([labels, tfb.Scale(tf.constant(2.0, tf.float64)),
                       numbers])
  x, condition = _draw(4, 2), _draw(4, 3, seed=1)
  kwargs = {'labels': {'condition': [0, 2, 1, 1]},
            'numbers': {'condition': condition}}
  inner = numbers.layer(x, condition=condition)
  expected = labels.layer(2.0 * inner, condition=[0, 2, 1, 1])
  y = chain.forward(x, **kwargs)
  np.testing.assert_allclose(y, expected, rtol=1e-10)
  np.testing.assert_allclose(
      chain.inverse(tf.identity(y), **kwargs), x, atol=1e-8)
  assert _density(chain).log_prob(x, bijector_kwargs=kwargs).shape == [4]


def test_refusals_are_one_line(density):
  for condition, message in (
      (None, r'condition=None: expected numbers \[B, 3\]'),
      (np.ones([5, 2]), r'condition=a tensor float64 \(5, 2\): expected'),
      (np.float64(1.0), r'condition=a tensor float64 \(\): expected numbers'),
      (np.ones([4, 3]), r'condition=batch shape \(4,\): expected one that '
       r'broadcasts with \(5,\), that of the inputs of block')):
    kwargs = {} if condition is None else {'condition': condition}
    for run in (
        lambda kwargs=kwargs: density.log_prob(
            _draw(5, 2), bijector_kwargs=kwargs),
        lambda kwargs=kwargs: density.sample(5, bijector_kwargs=kwargs)):
      with pytest.raises(errors.InvalidValueError, match=message) as error:
        run()
      assert '\n' not in str(error.value)


def test_a_layer_that_takes_none_refuses_one():
  norm = bijectors.ActNorm([2], dtype='float64')
  for x in (_draw(5, 2), _draw(2), _draw(3, 4, 2)):
    with pytest.raises(errors.InvalidValueError, match=(
        'condition cannot be used with act_norm. It does not depend on one.')):
      norm.forward(x, condition=tf.ones([7, 9]))
