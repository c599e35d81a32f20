"""The residual block: modes, solvers, settings and custom g."""

import itertools
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import cases
from tf_resflow import layers
from tf_resflow import numerics

ESTIMATORS = [
    numerics.RussianRoulette(numerics.Poisson(1.5), 3, 'gaussian'),
    numerics.RussianRoulette(numerics.Geometric(0.2)),
    numerics.FixedTruncation(7, 'gaussian'),
    numerics.Exact(),
]
SOLVERS = [
    numerics.Anderson(atol=1e-7, history=3),
    numerics.Banach(rtol=1e-5, max_steps=300),
]


def make_g(dtype='float32', seed=0, units=3):
  return keras.Sequential([
      keras.Input((3,)),
      layers.SpectralDense(8, coeff=0.8, seed=seed, dtype=dtype),
      layers.LipSwish(dtype=dtype),
      layers.SpectralDense(units, coeff=0.8, seed=seed + 9, dtype=dtype)])


def make_block(dtype='float32', seed=0, **kwargs):
  block = layers.ResidualBlock(make_g(dtype, seed), **kwargs)
  block.build((None, 3))
  return block


def inputs(dtype='float32', batch_size=4):
  rng = np.random.default_rng(1)
  return tf.constant(rng.normal(size=[batch_size, 3]), dtype)


def test_forward_adds_g():
  block = make_block()
  x = inputs()
  y, _ = block.forward_and_log_det(x, seed=0)
  np.testing.assert_allclose(y, x + block.g(x), atol=1e-6)
  np.testing.assert_allclose(block(x), y, atol=1e-6)


def test_exact_average_over_probes_is_the_log_det():
  """Probes sqrt(D) e_i, and a truncation whose remainder is small."""
  block = make_block('float64', log_det=numerics.FixedTruncation(200))
  x = inputs('float64')
  exact = block.forward_and_log_det(x, log_det=numerics.Exact())[1]
  estimates = []
  for i in range(3):
    probe = np.sqrt(3.0) * tf.one_hot([i] * 4, 3, dtype=tf.float64)
    draw = numerics.Draw(tf.constant(200), probe)
    estimates.append(block.forward_and_log_det(x, draw=draw)[1])
  np.testing.assert_allclose(np.mean(estimates, axis=0), exact, atol=1e-10)
  assert np.abs(estimates[0] - exact).max() > 1e-3


def test_roulette_is_unbiased():
  block = make_block(
      log_det=numerics.RussianRoulette(numerics.Geometric(0.2), 4))
  x = inputs(batch_size=1)
  exact = block.forward_and_log_det(x, log_det=numerics.Exact())[1]
  draws = 4000
  estimates = tf.function(lambda seeds: tf.map_fn(
      lambda s: block.forward_and_log_det(x, seed=s)[1][0], seeds,
      fn_output_signature=tf.float32))(
          tf.stack([tf.range(draws), tf.ones(draws, tf.int32)], axis=1))
  error = np.std(estimates) / np.sqrt(draws)
  assert abs(np.mean(estimates) - exact[0]) < 4 * error
  assert error < 0.02


def gradients(block, x, log_det_weights):
  with tf.GradientTape() as tape:
    tape.watch(x)
    y, log_det = block.forward_and_log_det(x, seed=3)
    loss = tf.reduce_sum(tf.sin(y)) + tf.reduce_sum(log_det_weights * log_det)
  variables = [v.value for v in block.trainable_variables]
  return [log_det, *tape.gradient(loss, [x, *variables])]


@pytest.mark.parametrize('dtype, rtol', [('float32', 1e-4), ('float64', 1e-9)])
def test_memory_modes_agree(dtype, rtol):
  x = inputs(dtype)
  results = {}
  for memory in ('recompute', 'neumann', 'backward_in_forward'):
    block = make_block(dtype, memory=memory)
    results[memory] = gradients(block, x, tf.ones([4], dtype))
  for memory in ('neumann', 'backward_in_forward'):
    for a, b in zip(results[memory], results['recompute'], strict=True):
      np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol)
  # The series differentiated is another estimate of the same gradient.
  naive = gradients(make_block(dtype, memory='naive'), x, tf.ones([4], dtype))
  np.testing.assert_allclose(naive[0], results['neumann'][0], rtol=rtol)
  assert np.abs(naive[1] - results['neumann'][1]).max() > 1e-3


def test_estimators_are_values():
  block = make_block(log_det=numerics.Exact())
  x = inputs()
  exact = block.forward_and_log_det(x)[1]
  long = block.forward_and_log_det(
      x, seed=0, log_det=numerics.FixedTruncation(50))[1]
  assert not np.array_equal(exact, long)
  np.testing.assert_array_equal(
      exact, block.forward_and_log_det(x, seed=5)[1])


@pytest.mark.parametrize('solver', SOLVERS)
def test_solvers(solver):
  block = make_block('float64', solver=solver)
  x = inputs('float64')
  y = block(x)
  np.testing.assert_allclose(block.inverse(y), x, atol=1e-4)
  solution = block.solve_inverse(y, solver=numerics.Banach(atol=1e-12))
  assert np.all(solution.converged)
  np.testing.assert_allclose(solution.x, x, atol=1e-11)
  residual = np.abs(block(solution.x) - y).max()
  assert residual < 2e-12


@pytest.mark.parametrize('is_traced', [False, True])
def test_inverse_raises_when_it_does_not_converge(is_traced):
  block = make_block(solver=numerics.Banach(max_steps=2))
  inverse = tf.function(block.inverse) if is_traced else block.inverse
  with pytest.raises(tf.errors.InvalidArgumentError, match='did not converge'):
    inverse(inputs())
  solution = block.solve_inverse(inputs())
  assert not np.any(solution.converged)
  assert np.all(solution.residual > 1e-6)


@pytest.mark.parametrize(
    'estimator, solver', [*itertools.product(ESTIMATORS, SOLVERS)])
def test_config_round_trip_of_estimators_and_solvers(estimator, solver):
  block = make_block(log_det=estimator, solver=solver, lipschitz_bound=0.7)
  config = json.loads(json.dumps(block.get_config()))
  copy = layers.ResidualBlock.from_config(config)
  assert copy.log_det == estimator
  assert copy.solver == solver
  assert copy.lipschitz_bound == 0.7


class Tanh(keras.layers.Layer):
  """What a user writes: a layer with nothing but `build` and `call`."""

  def build(self, input_shape):
    self.matrix = self.add_weight(
        name='matrix', shape=(input_shape[-1], input_shape[-1]),
        initializer=keras.initializers.Orthogonal(seed=0))

  def call(self, inputs):
    return 0.5 * tf.tanh(tf.matmul(inputs, self.matrix.value))


def test_custom_layer_with_an_asserted_bound():
  block = layers.ResidualBlock(
      Tanh(dtype='float64'), lipschitz_bound=0.5, log_det=numerics.Exact())
  x = inputs('float64')
  y, log_det = block.forward_and_log_det(x)
  assert block.compute_dtype == 'float64'
  matrix = block.g.matrix.numpy()
  derivative = 0.5 * (1.0 - np.tanh(x @ matrix)**2)
  jacobian = np.eye(3) + derivative[:, :, np.newaxis] * matrix.T
  np.testing.assert_allclose(
      log_det, np.linalg.slogdet(jacobian)[1], atol=1e-12)
  np.testing.assert_allclose(
      block.inverse(tf.identity(y)), x, rtol=0, atol=1e-9)


def test_calls_build_an_unbuilt_block():
  g = keras.Sequential([layers.SpectralDense(3)])
  block = layers.ResidualBlock(g)
  assert block(inputs()).shape == [4, 3]
  assert len(block.trainable_variables) == 2


def test_float64_layers_compute_in_float64_inside_of_any_sequential():
  """A Sequential of float64 layers has the global dtype, float32."""
  block = make_block('float64')
  x = inputs('float64')
  kernels = [p.normalized_kernel() for p in block.g.layers[::2]]
  biases = [p.bias.numpy() for p in block.g.layers[::2]]
  hidden = np.asarray(x @ kernels[0] + biases[0])
  slope = np.logaddexp(0.0, 0.5)
  hidden = hidden / (1.0 + np.exp(-slope * hidden)) / 1.1
  expected = x + hidden @ kernels[1] + biases[1]
  np.testing.assert_allclose(block(x), expected, atol=1e-14)
  np.testing.assert_allclose(
      block.forward_and_log_det(x)[0], expected, atol=1e-14)


def test_functional_model_with_an_asserted_bound():
  x = keras.Input((3,))
  y = layers.SpectralDense(3, coeff=0.5)(x)
  block = layers.ResidualBlock(keras.Model(x, 0.5 * y), lipschitz_bound=0.25)
  x = inputs()
  np.testing.assert_allclose(block.inverse(block(x)), x, atol=1e-5)


def test_shared_traces_keep_the_weights_apart():
  first, second = make_block(seed=0), make_block(seed=1)
  x = inputs()
  alone = [*second.forward_and_log_det(x, seed=0), second.inverse(x),
           *gradients(second, x, tf.range(4.0))]
  first.forward_and_log_det(x, seed=0)
  second.share_traces(first)
  shared = [*second.forward_and_log_det(x, seed=0), second.inverse(x),
            *gradients(second, x, tf.range(4.0))]
  for a, b in zip(shared, alone, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
  assert not np.allclose(first(x), second(x))


def test_traces_are_shared_between_equal_structures_only():
  block = make_block()
  assert block.can_share(make_block(seed=5))
  other = layers.ResidualBlock(cases.LAYERS['residual_conv'].make().g)
  assert not block.can_share(other)
  with pytest.raises(ValueError, match='cannot share traces'):
    block.share_traces(other)


def test_refuses_g_of_another_shape():
  block = layers.ResidualBlock(make_g(units=4))
  with pytest.raises(ValueError, match=r'\(3,\) to \(4,\)'):
    block.build((None, 3))


def test_refuses_a_mixture_of_dtypes():
  g = keras.Sequential([
      layers.SpectralDense(3, dtype='float64'), layers.SpectralDense(3)])
  with pytest.raises(ValueError, match='float32 and float64; give all'):
    layers.ResidualBlock(g)


def test_refuses_an_unknown_memory_mode():
  with pytest.raises(ValueError, match="memory is 'little'; expected one"):
    make_block(memory='little')


@pytest.mark.parametrize('batch_size', [0, 5])
@pytest.mark.parametrize('jit_compile', [False, True])
def test_batches_of_unknown_size(batch_size, jit_compile):
  block = make_block()
  signature = [tf.TensorSpec([None, 3])]
  x = inputs(batch_size=batch_size)
  forward = tf.function(
      lambda x: block.forward_and_log_det(x, seed=1), jit_compile=jit_compile,
      input_signature=signature)
  inverse = tf.function(
      lambda y: block.solve_inverse(y).x, jit_compile=jit_compile,
      input_signature=signature)
  y, log_det = forward(x)
  assert log_det.shape == [batch_size]
  np.testing.assert_allclose(inverse(y), x, atol=1e-5)


def _results(block, x):
  """Value, log-determinants and inverse of a block."""
  y, log_det = block.forward_and_log_det(x, seed=3)
  return [block(x), y, log_det, block.inverse(y),
          block.forward_and_log_det(x, log_det=numerics.Exact())[1]]


def _operations(concrete_function):
  graph = concrete_function.graph.as_graph_def()
  return {node.op for nodes in (graph.node, *(
      f.node_def for f in graph.library.function)) for node in nodes}


@pytest.mark.parametrize('memory', numerics.MEMORY_MODES)
def test_a_frozen_block_keeps_its_weights(memory):
  block = make_block(dtype='float64', memory=memory)
  kernels = [layer.kernel for layer in block.g.layers
             if isinstance(layer, layers.SpectralDense)]
  for kernel in kernels:
    kernel.assign(3.0 * kernel)
  x = inputs(dtype='float64')
  signature = [tf.TensorSpec([None, 3], tf.float64)]

  def trace():
    return tf.function(
        lambda x: _results(block, x), autograph=False,
        input_signature=signature).get_concrete_function()

  before = _results(block, x)
  assert 'SelfAdjointEigV2' in _operations(trace())
  with pytest.raises(KeyError):
    with block.frozen():
      traced = trace()
      variables = traced.variables  # A graph refers to them weakly.
      for kernel in kernels:
        kernel.assign(-2.0 * kernel)
      for a, b in zip(_results(block, x), before, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-9)
      raise KeyError('leaves the block as it was')
  assert len(variables) == len(block.g.trainable_variables)
  for a, b in zip(traced(x), before, strict=True):
    np.testing.assert_allclose(a, b, atol=1e-9)
  assert not any('Eig' in op for op in _operations(traced))
  # Outside, the block follows its variables.
  assert np.abs(_results(block, x)[0] - before[0]).max() > 1e-2
