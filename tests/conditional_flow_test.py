"""How often, in what parts, and with what gradients conditions are used."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import flows
from tests import networks
from tf_resflow import layers
from tf_resflow import numerics

_SOLVER = numerics.Banach(atol=1e-13, max_steps=2000)


def _dense_block():
  block = layers.ResidualBlock(
      networks.conditional_g('float64'), solver=_SOLVER)
  block.build((None, 3))
  return flows.disturb(block)


def _conv_block():
  block = layers.ResidualBlock(
      networks.conditional_conv_g('float64'), solver=_SOLVER)
  block.build((None, 4, 4, 2))
  for layer in block.constrained_layers():
    # Gradients of norms are as exact as these.
    layer.tolerance, layer.max_power_iterations = 1e-10, 5000
  return flows.disturb(block)


def _inputs(event_shape, size=3):
  rng = np.random.default_rng(1)
  return (tf.constant(rng.normal(size=[size, *event_shape])),
          tf.constant(rng.normal(size=[size, 4])))


def test_the_network_is_evaluated_once_per_pass():
  """Not per block, per term of a series or per step of a solve."""
  calls = []

  class Counting(keras.layers.Dense):

    def call(self, inputs):
      calls.append(1)
      return super().call(inputs)

  network = layers.KerasNetwork(
      Counting(4, dtype='float64'), [2], dtype='float64')
  flow = layers.Conditional(
      layers.SequentialBijection([_dense_block(), _dense_block()]), network)
  x, condition = tf.ones([3, 3], tf.float64), tf.ones([3, 2], tf.float64)
  flow.build((None, 3))
  calls.clear()
  for run in (
      lambda: flow.forward_and_log_det(x, condition=condition),
      lambda: flow.inverse(x, condition=condition),
      lambda: flow.inverse(
          x, condition=condition, solver=numerics.Banach(max_steps=1000)),
      lambda: flow(x, condition=condition)):
    run()
    assert len(calls) == 1
    calls.clear()


@pytest.mark.slow
def test_large_batches_are_taken_in_chunks_with_their_conditions():
  """Eagerly through the graph for all sizes, which the second size makes."""
  in_chunks = _conv_block()
  in_chunks._max_activation_size = 2**19  # Chunks of one example.
  x, condition = _inputs((4, 4, 2), size=5)

  def evaluate(x, condition, block=in_chunks):
    variables = [v.value for v in block.trainable_variables]
    with tf.GradientTape(persistent=True) as tape:
      tape.watch([x, condition])
      y, log_det = block.forward_and_log_det(x, condition=condition, seed=2)
      skipped = block.transform(
          x, condition=condition, estimator=numerics.NoLogDet()).value
      inverse = block.inverse(x, condition=condition)
    return [y, log_det, skipped, inverse] + [
        g for t in (y, log_det, skipped, inverse)
        for g in tape.gradient(t, [x, condition, *variables], tf.cos(t))]

  expected = evaluate(x, condition, _conv_block())
  evaluate(x[:2], condition[:2])
  for run in (evaluate, tf.function(evaluate, autograph=False)):
    for a, e in zip(run(x, condition), expected, strict=True):
      np.testing.assert_allclose(a, e, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize('is_inverse', [
    False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_dropped_gradient_of_the_condition_is_an_error(is_inverse):
  """Where nothing else is differentiated: a frozen block, constant data."""
  block = _dense_block().frozen()
  x = _inputs((3,))[0][:1]

  def loss(condition):
    condition = condition[tf.newaxis]
    return tf.reduce_sum(
        block.inverse(x, condition=condition) if is_inverse else
        block.forward_and_log_det(x, condition=condition, seed=1)[1])

  conditions = _inputs((3,))[1]

  def gradients(map_fn):

    @tf.function(autograph=False)
    def run(conditions):
      with tf.GradientTape() as tape:
        tape.watch(conditions)
        values = map_fn(loss, conditions)
      return tape.gradient(values, conditions)

    return run(conditions)

  assert np.abs(gradients(tf.map_fn)).max() > 1e-3
  with pytest.raises(LookupError, match='custom gradient'):
    gradients(tf.vectorized_map)
  # Values are right.
  np.testing.assert_allclose(
      tf.vectorized_map(loss, conditions), tf.map_fn(loss, conditions),
      rtol=1e-9)


def test_labels_that_do_not_exist_are_nan_under_xla():
  """XLA drops assertions."""
  flow = layers.Conditional(
      layers.ConditionalAffine(4, dtype='float64'),
      layers.LabelEmbedding(3, 4, dtype='float64'))
  x = tf.ones([3, 3], tf.float64)
  compiled = tf.function(
      lambda x, labels: flow.forward_and_log_det(
          x, condition=labels, seed=1)[0], autograph=False, jit_compile=True)
  y = compiled(x, tf.constant([1, -1, 3]))
  np.testing.assert_allclose(
      y[0], flow.forward_and_log_det(x, condition=1, seed=1)[0][0], rtol=1e-6)
  assert np.all(np.isnan(y[1:]))
