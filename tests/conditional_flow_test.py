"""Flows p(x|c) against oracles: for every condition, far ones among them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import flows
from tests import networks
from tests import testing
from tf_resflow import layers
from tf_resflow import numerics
from tf_resflow.specs import registries

_NUM_CONDITIONS = {'dense': 1000, 'conv': 100}
_SOLVER = numerics.Banach(atol=1e-13, max_steps=2000)


def _dense_block(memory='recompute'):
  block = layers.ResidualBlock(
      networks.conditional_g('float64'), solver=_SOLVER, memory=memory)
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


_BLOCKS = {'dense': (_dense_block, (3,)), 'conv': (_conv_block, (4, 4, 2))}
_EACH_BLOCK = pytest.mark.parametrize('kind', _BLOCKS)


def _inputs(event_shape, size=3, condition_scale=1.0, seed=1):
  rng = np.random.default_rng(seed)
  return (tf.constant(rng.normal(size=[size, *event_shape])),
          tf.constant(condition_scale * rng.normal(size=[size, 4])))


@_EACH_BLOCK
def test_the_certificate_holds_for_all_conditions(kind):
  """Of sizes from 1e-3 to 1e6."""
  make, event_shape = _BLOCKS[kind]
  rng, size = np.random.default_rng(3), _NUM_CONDITIONS[kind]
  block, (x, _) = make(), _inputs(event_shape, size, seed=4)
  scales = 10.0**rng.uniform(-3.0, 6.0, size=[size, 1])
  condition = tf.constant(scales * rng.normal(size=[size, 4]))
  jacobian = testing.full_jacobian(
      lambda x: block(x, condition=condition) - x, x)
  norms = np.linalg.norm(jacobian, 2, axis=(1, 2))
  certificate = block.certificate().bound
  assert norms.max() <= certificate < 1.0
  # Conditions make a difference, and the bound is not far above.
  assert norms.max() > 0.2 * certificate and norms.std() > 0.01


@_EACH_BLOCK
def test_log_det_and_its_gradients(kind):
  """Against the float64 Jacobian, per-example weights included."""
  make, event_shape = _BLOCKS[kind]
  block = make()
  x, condition = _inputs(event_shape, condition_scale=2.0)
  weights = tf.constant([1.0, -0.4, 2.5], tf.float64)
  variables = [v.value for v in block.trainable_variables]

  def differentiate(log_det_fn):
    with tf.GradientTape() as tape:
      tape.watch([x, condition])
      log_det = log_det_fn()
      loss = tf.reduce_sum(weights * log_det)
    return log_det, tape.gradient(
        loss, [x, condition, *variables], unconnected_gradients=(
            tf.UnconnectedGradients.ZERO))

  def oracle():
    jacobian = testing.full_jacobian(lambda x: block(x, condition=condition), x)
    return tf.linalg.slogdet(jacobian)[1]

  expected, expected_gradients = differentiate(oracle)
  exact, exact_gradients = differentiate(lambda: block.forward_and_log_det(
      x, condition=condition, estimator=numerics.Exact())[1])
  np.testing.assert_allclose(exact, expected, rtol=0, atol=1e-8)
  assert testing.relative_error(exact_gradients, expected_gradients) < 1e-8
  # The series, averaged exactly over Rademacher probes of a small event, in
  # a number of terms that leaves no remainder.
  size = int(np.prod(event_shape))
  if size > 3:
    return
  probes = np.array([[1.0, a, b] for a in (-1, 1) for b in (-1, 1)])
  estimator = numerics.FixedTruncation(120)
  totals = None
  for probe in probes:
    draw = numerics.Draw(tf.constant(120), tf.constant(np.tile(probe, [3, 1])))

    def log_det(draw=draw):
      variables, state = block.g.tensors()
      return numerics.forward_and_log_det(
          block.function, variables, x, estimator, state=state, draw=draw,
          context=block.g.context(condition))[1]

    value, gradients = differentiate(log_det)
    parts = [value, *gradients]
    totals = parts if totals is None else [
        a + b for a, b in zip(totals, parts, strict=True)]
  value, *gradients = [t / len(probes) for t in totals]
  np.testing.assert_allclose(value, expected, rtol=0, atol=1e-8)
  assert testing.relative_error(gradients, expected_gradients) < 1e-7


@pytest.mark.parametrize('kind, is_inverse', [
    ('conv', False), ('dense', True)])
def test_gradients_are_those_of_finite_differences(kind, is_inverse):
  """With respect to x, c and weights, forward and through the solve."""
  make, event_shape = _BLOCKS[kind]
  block = make()
  x, condition = map(tf.Variable, _inputs(event_shape))
  variables = [x, condition, *(v.value for v in block.trainable_variables)]
  rng = np.random.default_rng(8)
  cotangent = tf.constant(rng.normal(size=x.shape))

  def loss():
    y = block.inverse(x, condition=condition) if is_inverse else (
        block.forward_and_log_det(
            x, condition=condition, estimator=numerics.NoLogDet())[0])
    return tf.reduce_sum(y * cotangent)

  with tf.GradientTape() as tape:
    value = loss()
  for i, (variable, gradient) in enumerate(zip(
      variables, tape.gradient(value, variables), strict=True)):
    before = variable.numpy()
    direction = rng.normal(size=variable.shape)

    def moved(value, variable=variable):
      variable.assign(value)
      return loss()

    expected = testing.central_difference(moved, before, direction)
    variable.assign(before)
    assert np.sum(gradient * direction) == pytest.approx(
        expected, rel=1e-5, abs=1e-8), variable.name
    assert i > 1 or abs(expected) > 1e-3


@pytest.mark.parametrize('memory', registries.MEMORY_MODES.names())
def test_memory_modes_agree_for_the_condition(memory):
  """All gradients of one draw, in every mode but the naive one."""
  block, reference = _dense_block(memory), _dense_block()
  x, condition = _inputs((3,))

  def gradients(block):
    with tf.GradientTape() as tape:
      tape.watch([x, condition])
      y, log_det = block.forward_and_log_det(x, condition=condition, seed=5)
      loss = tf.reduce_sum(log_det) + tf.reduce_sum(tf.sin(y))
    return loss, tape.gradient(
        loss, [x, condition, *(v.value for v in block.trainable_variables)])

  loss, actual = gradients(block)
  expected_loss, expected = gradients(reference)
  np.testing.assert_allclose(loss, expected_loss, rtol=1e-12)
  error = testing.relative_error(actual, expected)
  # The naive mode differentiates another series: equal in the mean alone.
  assert error < 1e-10 if memory in registries.AGREEING_MEMORY_MODES else (
      1e-6 < error)


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
