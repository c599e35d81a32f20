"""Lipschitz containers, whose bounds follow from one rule, and sequences."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import loops
from tests import networks
from tests import splits
from tf_resflow import errors
from tf_resflow import layers


@layers.configured
class Mean(layers.LipschitzContainer):
  """The weighted mean of two branches."""

  def __init__(self, first, second, share=0.5, **kwargs):
    super().__init__([first, second], **kwargs)
    self.first, self.second, self.share = first, second, share

  def combine(self, constants):
    return self.share * constants[0] + (1.0 - self.share) * constants[1]

  def evaluate(self, weights, x, *context):
    # The first branch may take a condition.
    return (self.share * self.first.evaluate(weights[0], x, *context) +
            (1.0 - self.share) * self.second.evaluate(weights[1], x))


def branches(dtype='float64'):
  return [layers.as_lipschitz_layer(networks.dense_g(dtype)),
          layers.SpectralDense(3, coeff=0.5, seed=2, dtype=dtype)]


def test_bounds_estimates_and_certificates_follow_from_one_rule():
  parts = branches()
  block = layers.ResidualBlock(Mean(*parts), estimator='exact')
  x = tf.constant(np.random.default_rng(0).normal(size=[4, 3]))
  block.build(x.shape)
  g = block.g
  assert g.lipschitz_bound == (parts[0].lipschitz_bound + 0.5) / 2
  assert g.num_constrained == len(g.constrained_layers()) == 3
  assert g.bound_source == 'construction' and not g.takes_condition
  estimate, certificate = g.norm_estimate(), block.certificate()
  assert 0.0 < estimate <= 1.001 * certificate.bound
  assert certificate.bound <= 1.001 * g.lipschitz_bound
  assert len(certificate.methods) == 3
  np.testing.assert_allclose(
      block(x), x + (parts[0](x) + parts[1](x)) / 2, rtol=1e-9)


def test_settings_of_a_container_tell_functions_apart():
  def flow(*shares):
    flow = layers.SequentialBijection([
        layers.ResidualBlock(Mean(*branches(), share), estimator='exact')
        for share in shares])
    flow.build((None, 3))
    return flow, {block.g.structure() for block in flow.parts}

  assert len(flow(0.5, 0.5)[1]) == 1
  parts, structures = flow(0.0, 1.0)
  assert len(structures) == 2
  x = tf.constant(np.random.default_rng(0).normal(size=[4, 3]))
  middle = x + branches()[1](x)
  np.testing.assert_allclose(
      parts(x), middle + branches()[0](middle), rtol=1e-12)


def test_parts_of_one_input_have_one_output_shape():
  mean = Mean(layers.SpectralDense(3), layers.SpectralDense(2))
  assert splits.refusal(mean.compute_output_shape, (None, 3)) == (
      'parts=outputs [(None, 2), (None, 3)]: expected equal output shapes. '
      'Define Mean.shapes.')


def test_a_branch_may_take_a_condition_and_be_wide():
  wide = layers.LipschitzSequential([
      layers.SpectralDense(50, seed=1), layers.ConditionShift(
          2, kernel_initializer='ones'), layers.LipSwish(),
      layers.SpectralDense(3, seed=5)])
  block = layers.ResidualBlock(Mean(wide, layers.SpectralDense(3, seed=2)))
  x = tf.constant(np.random.default_rng(0).normal(size=[4, 3]), tf.float32)
  conditions = [tf.fill([4, 2], value) for value in (0.0, 1.0)]
  results = [block.forward_and_log_det(x, condition=c)[0] for c in conditions]
  for y, c in zip(results, conditions, strict=True):
    np.testing.assert_allclose(block(x, condition=c), y, atol=1e-5)
    np.testing.assert_allclose(block.inverse(y, condition=c), x, atol=1e-4)
  assert np.abs(results[0] - results[1]).max() > 1e-2
  assert block.g.max_activation_size((None, 3)) == 50


def dense(units, seed=0, **kwargs):
  return layers.SpectralDense(
      units, coeff=0.7, seed=seed, dtype='float64', **kwargs)


def conv(filters, seed=0):
  return layers.SpectralConv2D(
      filters, 3, coeff=0.7, seed=seed, dtype='float64')


def swish(beta=0.5):
  return layers.LipSwish(beta_initial=beta, dtype='float64')


def sequential(shape, *parts):
  return keras.Sequential([keras.Input(shape), *parts])


def repeated_activation():
  activation = swish(2.0)
  return sequential(
      (3,), dense(4), activation, dense(4, 1), activation, dense(3, 2))


def repeated_linear():
  linear = dense(3)
  return sequential((3,), linear, swish(2.0), linear)


def linear_inside_of_a_part():
  linear = dense(3)
  inputs = keras.Input((3,), dtype='float64')
  model = keras.Model(inputs, linear(inputs))
  return sequential((3,), linear, swish(2.0), dense(3, 1), model)


def effective_weights(layer):
  variables, state = layer.tensors()
  return layer.effective_weights(
      variables, layer.converge_norms(variables, state))


# Name -> a g and the number of activations whose scales its kernels take.
CASES = {
    'dense': (lambda: sequential(
        (3,), swish(-1.0), dense(4), swish(), dense(5, 1), swish(2.0),
        dense(3, 2), swish()), 2),
    'conv': (lambda: sequential(
        (4, 4, 2), conv(3), swish(), conv(3, 1), swish(1.5), conv(2, 2)), 2),
    'nested': (lambda: sequential(
        (3,), sequential((3,), dense(4), swish()),
        sequential((4,), dense(3, 1))), 1),
    'no bias': (lambda: sequential(
        (3,), dense(4, use_bias=False), swish(), dense(3, 1)), 1),
    'other activation': (lambda: sequential(
        (3,), dense(4), layers.ELU(dtype='float64'), dense(3, 1)), 0),
    'reshape between': (lambda: sequential(
        (3,), dense(4), swish(), keras.layers.Reshape((4,), dtype='float64'),
        dense(3, 1)), 0),
    'no slope': (lambda: sequential(
        (3,), dense(4), swish(-800.0), dense(3, 1)), 1),
    'steep': (lambda: sequential((3,), dense(4), swish(60.0), dense(3, 1)), 1),
    'repeated activation': (repeated_activation, 2),
    'repeated linear': (repeated_linear, 1),
    'linear inside of a part': (linear_inside_of_a_part, 1),
    'one layer': (lambda: dense(3), 0),
}


@loops.each(CASES)
def test_value_and_gradients(name):
  make_fn, num_folded = CASES[name]
  model = make_fn()
  layer = layers.as_lipschitz_layer(model)
  shape = (3,) if name == 'one layer' else model.input_shape[1:]
  x = tf.constant(np.random.default_rng(0).normal(size=[2, *shape]))
  layer.build((None, *shape))
  assert len(getattr(layer, '_folded', ())) == num_folded
  cotangent = tf.constant(np.random.default_rng(1).normal(size=[2, *shape]))
  variables = [v.value for v in layer.trainable_variables]
  assert len(variables) == len(model.trainable_variables)

  def differentiate(function):
    with tf.GradientTape() as tape:
      tape.watch(x)
      y = function(x)
    return y, *tape.gradient(y, [x, *variables], cotangent)

  actual = differentiate(lambda x: layer.evaluate(effective_weights(layer), x))
  expected = differentiate(layer)
  for a, b in zip(actual, expected, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-13)


@loops.each([
    ([(1.0, 2.0), (None, None), (2.0, np.inf)], (1.0, np.inf)),
    ([(None, None), (2.0, 1.0), (None, None)], (2.0, 1.0)),
    ([(None, None)], (None, None)),
    ([], (None, None))])
def test_norms_are_those_of_the_ends(orders, ends):
  layer = layers.LipschitzSequential(
      [networks.Half(*pair) for pair in orders])
  assert (layer.domain, layer.codomain) == ends
  assert layer.lipschitz_bound == 0.5**len(orders)
  assert layer.bound_source == 'construction'
  assert layer.max_activation_size((None, 3)) == 3


def test_refuses_norms_that_do_not_chain():
  with pytest.raises(errors.InvalidValueError, match=(
      'domain=1.0: expected 2.0, the codomain of the layer before')):
    layers.LipschitzSequential([
        networks.Half(1.0, 2.0), layers.ELU(), networks.Half(1.0, 1.0)])


def test_a_target_is_shared_by_the_linear_layers():
  """Cheap certificates are enough where every layer keeps to its share."""
  layer = layers.as_lipschitz_layer(CASES['conv'][0]())
  layer.build((None, 4, 4, 2))
  for part in layer.constrained_layers():
    part.kernel.assign(100.0 * part.kernel.value)
  cheap, tight = layer.certificate(1.0), layer.certificate(0.0)
  assert tight.bound <= cheap.bound <= 1.0
  assert tight.methods != cheap.methods


def test_refuses_a_mixture_of_dtypes():
  with pytest.raises(errors.InvalidValueError, match=(
      'dtype=float32 and float64: expected the same')):
    layers.LipschitzSequential([dense(3), layers.LipSwish()])
