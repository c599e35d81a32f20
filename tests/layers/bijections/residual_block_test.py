"""The residual block: modes, solvers, settings and custom g."""

import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import loops
from tests import networks
from tests import testing
from tf_resflow import errors
from tf_resflow import layers
from tf_resflow import numerics
from tf_resflow.layers.bijections import residual_block


def make_g(dtype='float32', units=3):
  return keras.Sequential([
      keras.Input((3,)),
      layers.SpectralDense(8, coeff=0.8, seed=0, dtype=dtype),
      layers.LipSwish(dtype=dtype),
      layers.SpectralDense(units, coeff=0.8, seed=9, dtype=dtype)])


def make_block(dtype='float32', **kwargs):
  block = layers.ResidualBlock(make_g(dtype), **kwargs)
  block.build((None, 3))
  return block


def inputs(dtype='float32', batch_size=4):
  rng = np.random.default_rng(1)
  return tf.constant(rng.normal(size=[batch_size, 3]), dtype)


@pytest.mark.parametrize('batch_size, condition_size', [
    (4, None), (1, 'batch'), (7, 'batch'), (7, 1), (0, 1)])
def test_large_batches_are_called_in_parts(
    monkeypatch, batch_size, condition_size):
  # 32 bytes for the hidden layer of an example: three at a time.
  monkeypatch.setattr(residual_block, '_CHUNK_BYTES', 32)
  monkeypatch.setattr(residual_block, '_EAGER_CHUNK_BYTES', 96)
  if condition_size is None:
    block, options = make_block(), {}
  else:
    g = make_g()
    block = layers.ResidualBlock(keras.Sequential(
        [g.layers[0], layers.ConditionShift(2, kernel_initializer='normal'),
         *g.layers[1:]]))
    size = batch_size if condition_size == 'batch' else 1
    options = {'condition': tf.reshape(
        tf.range(2.0 * size), [size, 2])}
  sizes = []
  x = inputs(batch_size=batch_size)
  expected = tf.function(block)(x, **options)
  evaluate = block.g.call
  monkeypatch.setattr(block.g, 'call', lambda x, *args, **kwargs: (
      sizes.append(x.shape[0]), evaluate(x, *args, **kwargs))[1])
  np.testing.assert_allclose(block(x, **options), expected, atol=1e-6)
  assert sizes == [3] * (batch_size // 3) + (
      [batch_size % 3] if batch_size % 3 or not batch_size else [])


def test_float64_layers_compute_in_float64_inside_of_any_sequential():
  """A Sequential of float64 layers has the global dtype, float32."""
  block = make_block('float64')
  x = inputs('float64')
  kernels = [p.normalized_kernel() for p in block.g.parts[::2]]
  biases = [p.bias.numpy() for p in block.g.parts[::2]]
  hidden = np.asarray(x @ kernels[0] + biases[0])
  slope = np.logaddexp(0.0, 0.5)
  hidden = hidden / (1.0 + np.exp(-slope * hidden)) / 1.1
  expected = x + hidden @ kernels[1] + biases[1]
  np.testing.assert_allclose(block(x), expected, atol=1e-14)
  np.testing.assert_allclose(
      block.forward_and_log_det(x)[0], expected, atol=1e-14)


def test_refuses_g_of_another_shape():
  block = layers.ResidualBlock(make_g(units=4))
  with pytest.raises(
      ValueError, match=r'expected outputs of shape \(3,\).*not \(4,\)'):
    block.build((None, 3))


def test_batches_of_unknown_size_may_be_empty():
  block = make_block()

  @tf.function(input_signature=[tf.TensorSpec([None, 3])])
  def there_and_back(x):
    y, log_det = block.forward_and_log_det(x, seed=1)
    return block.solve_inverse(y).value, log_det

  for size in (0, 5):
    x, log_det = there_and_back(inputs(batch_size=size))
    assert log_det.shape == [size]
    np.testing.assert_allclose(x, inputs(batch_size=size), atol=1e-5)


def test_estimators_and_solvers_are_values_or_specs():
  values = {'estimator': numerics.AdaptiveRoulette(0.1, batch_dependent=False),
            'solver': numerics.Anderson(3, atol=1e-7)}
  specs = {name: value.spec() for name, value in values.items()}
  block = make_block(**values, lipschitz_bound=0.7)
  copy = layers.ResidualBlock.from_config(
      json.loads(json.dumps(block.get_config())))
  for other in (block, copy, make_block(**specs)):
    assert {name: getattr(other, name) for name in values} == values
  assert copy.lipschitz_bound == 0.7
  assert make_block().estimator == numerics.RussianRoulette()


@loops.each([
    ({'estimator': 'wheel'}, 'estimator=wheel: expected one of roulette'),
    ({'memory': 'little'}, 'memory=little: expected one of recompute')])
def test_refuses_unknown_names(values, message):
  testing.check_refusal(make_block, values, message)


def test_a_distribution_is_made_safe_for_the_bound_of_the_block():
  block = make_block('float64', estimator='roulette:safe,exact=3')
  x = inputs('float64')
  explicit = numerics.RussianRoulette(
      numerics.SafeGeometric(), num_exact_terms=3).for_bound(
          block.lipschitz_bound)
  np.testing.assert_array_equal(
      block.forward_and_log_det(x, seed=2)[1],
      block.forward_and_log_det(x, seed=2, estimator=explicit)[1])


@loops.each([
    ([None, None], 2.0), ([2.0, 2.0], 2.0), ([np.inf, 1.0], np.inf),
    ([3.0, 2.0], 3.0), ([1.0, 1.0], 1.0)])
def test_order_of_the_norm_in_which_slopes_are_bounded(orders, order):
  block = layers.ResidualBlock(networks.Half(*orders))
  assert block.bi_lipschitz_bounds() == (0.5, 1.5, order, 'construction')
  np.testing.assert_allclose(block.inverse(1.5 * inputs()), inputs(), atol=1e-5)


@loops.each([[1.0, 2.0], [2.0, np.inf]])
def test_refuses_what_is_a_contraction_in_no_norm(orders):
  with pytest.raises(errors.InvalidValueError, match=(
      f'codomain={orders[1]}: expected at most {orders[0]}')):
    layers.ResidualBlock(networks.Half(*orders))


def test_solvers_are_told_bounds_of_l_2_only():
  """A bound in another norm does not say what the safeguard supposes."""

  @dataclasses.dataclass(frozen=True)
  class Recorder(numerics.Banach):
    bounds = []

    def solve(self, g_fn, y, lipschitz_bound=None):
      self.bounds.append(lipschitz_bound)
      return super().solve(g_fn, y, lipschitz_bound)

  for domain in (2.0, np.inf):
    layers.ResidualBlock(networks.Half(domain, domain)).solve_inverse(
        inputs(), solver=Recorder())
  assert Recorder.bounds == [0.5, None]


def test_certificate_of_an_asserted_bound_says_so():
  block = layers.ResidualBlock(keras.layers.Dense(3), lipschitz_bound=0.5)
  assert block.certificate() == numerics.Certificate(0.5, ('asserted',), 2.0)
  assert block.bi_lipschitz_bounds().bound_source == 'assertion'
  assert block.norm_estimate() == 0.5
