"""Blocks that a flow asks for, by name."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import splits
from tf_resflow import layers
from tf_resflow import models
from tf_resflow import numerics
from tf_resflow.models import blocks
from tf_resflow.specs import registries


def make_request(event_shape=(4, 4, 2), kernel_sizes=(3, 1), index=2,
                 activate_input=True, **fields):
  return blocks.BlockRequest(
      models.ResidualFlowConfig(**fields), event_shape, index, (5,),
      kernel_sizes, activate_input, 'float64')


@pytest.mark.parametrize('event_shape, kernel_sizes, activate_input', [
    ((4, 4, 2), (3, 1), True), ((2, 3, 1), None, False)])
def test_networks_keep_the_shape(event_shape, kernel_sizes, activate_input):
  network = blocks.make_network(
      make_request(event_shape, kernel_sizes, activate_input=activate_input))
  x = tf.random.stateless_normal([3, *event_shape], [0, 1], dtype=tf.float64)
  assert network(x).shape == x.shape
  layer_class = layers.SpectralConv2D if kernel_sizes else layers.SpectralDense
  assert [type(p) for p in network.constrained_layers()] == [layer_class] * 2
  activations = [p for p in network.parts if isinstance(p, layers.LipSwish)]
  assert len(activations) == 1 + activate_input
  assert network.lipschitz_bound < 0.98**2


@pytest.mark.parametrize('kernel_sizes', [(3, 1), None])
def test_networks_take_the_orders_of_norms(kernel_sizes):
  network = blocks.make_network(make_request(
      (4, 4, 2), kernel_sizes, norms=('inf',)))
  assert (network.domain, network.codomain) == (np.inf, np.inf)
  learned = blocks.make_network(make_request(
      (4, 4, 2), kernel_sizes, norms=('learned',), norm_bound='estimate'))
  assert isinstance(learned, layers.LearnedNorms)
  assert len(learned.orders) == 2
  assert {c.bound for c in learned.constrained_layers()} == {'estimate'}
  assert learned.bound_source == 'estimate'


def test_activations_bounded_in_l2_alone_need_it():
  for activation in ('cpila', 'clipswish'):
    blocks.make_network(make_request(activation=activation))
    assert splits.refusal(blocks.make_network, make_request(
        activation=activation, norms=('inf',))).startswith(
            f'activation={activation} cannot be used with norms=inf')


class _Noisy(layers.LipschitzLayer):
  """An activation whose initial weights are random."""

  lipschitz_bound = 1.0

  def __init__(self, slope=1.0, seed=None, **kwargs):
    super().__init__(**kwargs)
    self.seed = seed

  def build(self, input_shape):
    self.shift = self.add_weight(
        shape=input_shape[-1:],
        initializer=keras.initializers.RandomNormal(seed=self.seed))

  def evaluate(self, weights, x):
    return tf.tanh(x + weights[0])


def test_equal_seeds_give_equal_activations(monkeypatch):
  monkeypatch.setitem(registries.ACTIVATIONS._entries, 'noisy', _Noisy)
  first, same, other = (
      models.VectorFlowConfig(
          activation='noisy:1.0', num_blocks=2, seed=seed).build().get_weights()
      for seed in (0, 0, 1))
  for one, two in zip(first, same, strict=True):
    np.testing.assert_array_equal(one, two)
  shifts = [w for weights in (first, other) for w in weights
            if w.shape == (64,) and np.ptp(w) > 0]
  assert len({w.tobytes() for w in shifts}) == len(shifts)


def test_constraints_without_orders_or_convolutions(monkeypatch):
  entries = registries.CONSTRAINTS._entries
  monkeypatch.setitem(entries, 'mine', layers.Constraint(
      layers.SpectralDense, layers.SpectralConv2D))
  monkeypatch.setitem(entries, 'dense', layers.Constraint(layers.SpectralDense))
  blocks.make_network(make_request(constraint='mine', norms=('2.0',)))
  assert splits.refusal(blocks.make_network, make_request(
      constraint='mine', norms=('inf',))).startswith(
          'norms=inf cannot be used with constraint=mine')
  assert splits.refusal(
      blocks.make_network, make_request(constraint='dense')).startswith(
          'constraint=dense has no convolutional layers. Use --fully_conn')


def test_uncertified_norms():
  norms = {'norms': ('1', '2', '2', 'inf'), 'uncertified': True}
  request = blocks.BlockRequest(
      models.ResidualFlowConfig(**norms), (4, 4, 2), 0, (5, 5), (3, 1, 3),
      True, 'float64')
  block = blocks.make_residual_block(request)
  assert block.bound_source == 'nothing'
  assert block.bi_lipschitz_bounds()[:2] == (0.0, np.inf)
  assert block.certificate() == numerics.Certificate(None, ('uncertified',))


def test_a_block_takes_the_settings_of_its_flow():
  block = blocks.make_residual_block(make_request(
      estimator='fixed:3', memory='neumann', lipschitz_coeff=0.5,
      activation='elu'))
  assert block.estimator.spec() == 'fixed:3' and block.memory == 'neumann'
  assert block.lipschitz_bound == 0.25
  assert block.name == 'block_2' and block.compute_dtype == 'float64'


@pytest.mark.parametrize('name, event_shape, kernel_sizes, layer_class, size', [
    ('free', (4, 4, 3), (3, 1), layers.InvertibleConv1x1, 3),
    ('lu', (2, 2, 3), None, layers.InvertibleLinear, 12),
    ('free', (6,), None, layers.InvertibleLinear, 6)])
def test_linear_maps(name, event_shape, kernel_sizes, layer_class, size):
  request = make_request(event_shape, kernel_sizes, invertible_linear=name)
  linear, _ = blocks.make_blocks([request], lambda index: [])
  linear.build((None, *event_shape))
  assert type(linear) is layer_class and linear.parameterization == name
  assert linear.matrix().shape == (size, size)
  flattened = request._replace(flattened_from=(2, 3, 1))
  assert len(blocks.make_blocks([flattened], lambda index: [])) == 1
