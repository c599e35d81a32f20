"""Types of networks: what they are made of, their bounds and refusals."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import networks
from tests import splits
from tests import testing
from tests.models import blocks_test
from tf_resflow import models
from tf_resflow.checks import subjects
from tf_resflow.specs import registries

_CLASSES = (models.ResidualFlowConfig, models.VectorFlowConfig)
_SHAPES = [((4, 4, 2), (3, 1)), ((2, 3, 1), None)]


def make_network(network, event_shape=(4, 4, 2), kernel_sizes=(3, 1), **fields):
  """Returns a network in float64, built."""
  network = models.make_network(blocks_test.make_request(
      event_shape, kernel_sizes, network=network, **fields))
  network.build((None, *event_shape))
  return network


def test_every_type_goes_with_defaults():
  for config_class in _CLASSES:
    for name in registries.NETWORKS.names():
      config = config_class(network=name)
      assert config.network_type == models.NetworkType.get(name)
  stored = models.model_from_json('{"model": "vector", "event_size": 3}')
  assert stored.network == 'plain'


@pytest.mark.parametrize('values, message', [
    (dict(network='densnet'), 'network=densnet: expected one of plain, densene'
     't, sll, cpl. Did you mean densenet?'),
    (dict(network='plain:2'), 'network=plain:2: expected at most 0 argument'),
    (dict(network='densenet:0'), 'network=densenet:0: expected a depth of 1'),
    (dict(network='sll:2,kernel=2'), 'network=sll:2,kernel=2: expected a dept'),
    (dict(network='sll', activation='elu'), 'activation=elu has no effect with '
     'network=sll. Leave it out, or at its default, lipswish.'),
    (dict(network='densenet', norms=('inf',)), 'norms=inf has no effect with '
     'network=densenet. Leave it out, or at its default, 2.'),
    (dict(network='sll:2', block='coupling'),
     'network=sll:2 has no effect with block=coupling.')])
def test_refusals(values, message):
  for config_class in _CLASSES:
    testing.check_refusal(config_class, values, message)


@pytest.mark.parametrize('network', networks.SMALL_NETWORKS)
@pytest.mark.parametrize('event_shape, kernel_sizes', _SHAPES)
def test_bounds_of_kernels_of_any_size(network, event_shape, kernel_sizes):
  """Singular values of Jacobians, the certificate and the bound, in order."""
  g = make_network(network, event_shape, kernel_sizes, lipschitz_coeff=0.9)
  x = np.random.default_rng(0).normal(size=[2, *event_shape])
  kernels = [v for v in g.trainable_variables if v.path.endswith('kernel')]
  initial = [kernel.numpy() for kernel in kernels]
  for scale in (1.0, 3.0, 10.0):
    for kernel, value in zip(kernels, initial, strict=True):
      kernel.assign(scale * value)
    slope = subjects.induced_norm(
        subjects.jacobians(g, tf.constant(np.concatenate([0.1 * x, 5.0 * x]))))
    certificate = g.certificate(target=0.0)
    assert 0.0 < slope <= certificate.bound <= 0.9 * 1.01, (scale, certificate)
    assert g.norm_estimate() <= g.lipschitz_bound <= 0.9
  assert g.bound_source == 'construction'


def test_densenets_have_the_published_layers():
  """Those of i-DenseNets: growths are those after CLipSwish."""
  network = 'densenet:3,growth=172,dense_growth=32,first=64'
  g = make_network(network, activation='clipswish')
  assert [layer.kernel.shape for layer in g.constrained_layers()] == [
      (3, 3, 2, 86), (3, 3, 174, 86), (3, 3, 346, 86), (1, 1, 518, 2)]
  request = blocks_test.make_request((32,), None, network=network,
                                     activation='clipswish')
  dense = models.make_network(request._replace(flattened_from=(4, 4, 2)))
  dense.build((None, 32))
  assert [layer.kernel.shape for layer in dense.constrained_layers()] == [
      (32, 64), (64, 16), (96, 16), (128, 16), (160, 32)]
  testing.check_refusal(
      models.VectorFlowConfig, dict(network='densenet:2,first=4'),
      'network=densenet:2,first=4: expected no dense_growth and first')
  testing.check_refusal(
      models.VectorFlowConfig, dict(network='sll:1', condition_size=2),
      'network=sll:1: expected a depth of 2 or more')
  assert splits.refusal(make_network, 'densenet:3,growth=3',
                        activation='cpila').startswith(
      'network=densenet:3,growth=3: expected a growth divisible by 2, as cpila')


def test_sll_lifts_to_its_width():
  for network, shape, sizes, expected in (
      ('sll:3,width=5', (3,), None, [(5, 5)] * 3 + [(5, 3)]),
      ('sll:1,width=2,kernel=5', (4, 4, 3), (3, 1),
       [(5, 5, 3, 2), (1, 1, 3, 3)])):
    g = make_network(network, shape, sizes)
    assert expected == [
        v.shape for v in g.variables if v.path.endswith('kernel')]
    assert g.lipschitz_bound == 0.98


@pytest.mark.parametrize('network', networks.SMALL_NETWORKS)
def test_blocks_begin_as_the_identity(network):
  request = blocks_test.make_request((5,), None, network=network)
  g = models.make_network(request._replace(is_identity=True))
  x = tf.random.stateless_normal([4, 5], [0, 1], dtype=tf.float64)
  assert 0.0 < np.abs(g(x)).max() < 1e-6


@pytest.mark.parametrize('network', ('plain', *networks.SMALL_NETWORKS))
@pytest.mark.parametrize('event_shape, kernel_sizes', _SHAPES)
def test_conditions_enter(network, event_shape, kernel_sizes):
  sizes = {'condition_labels': 3, 'condition_features': 4}
  x = np.random.default_rng(0).normal(size=[2, *event_shape])
  for places in (('blocks',), ('gates',)):
    g = make_network(
        network, event_shape, kernel_sizes, condition_at=places, **sizes)
    assert len(g.conditional_layers()) == 1
    for v in g.trainable_variables:
      v.assign_add(np.random.default_rng(1).normal(size=v.shape))
    a, b = (g(x, condition=tf.fill([2, 4], tf.constant(c, tf.float64)))
            for c in (-1.0, 1.0))
    assert np.abs(a - b).min() > 1e-6


def test_equal_seeds_give_equal_networks():
  for network in networks.SMALL_NETWORKS:
    first, same, other = (
        [w.tobytes() for w in make_network(network, seed=seed).get_weights()
         if w.ndim > 1] for seed in (0, 0, 1))
    assert first == same and len({*first, *other}) == 2 * len({*first}) > 4


_VECTORS = models.VectorFlowConfig(event_size=3, num_blocks=2)
_IMAGES = models.ResidualFlowConfig(
    image_shape=(4, 4, 1), num_levels=17, num_blocks=(1, 1), num_dense_blocks=1)


# Each for vectors, and one for images; 'flow_densenet' of tests/cases.py is
# another.
@pytest.mark.slow
@pytest.mark.parametrize('network, config', [
    *((network, _VECTORS) for network in networks.SMALL_NETWORKS),
    (networks.SMALL_NETWORKS[1], _IMAGES)])
def test_flows_train_and_sample(network, config):
  flow = type(config)(**{**config.values(), 'network': network}).build()
  flow.compile(keras.optimizers.Adam(0.02, global_clipnorm=1.0), seed=0)
  x = np.float32(np.random.default_rng(0).beta(
      2.0, 8.0, size=[64, *flow.event_shape]))
  history = flow.fit(x, epochs=5, batch_size=32, verbose=0).history['loss']
  assert history[-1] < history[0]
  samples = flow.sample(5, seed=0)
  assert samples.shape == (5, *flow.event_shape)
  assert np.all(np.isfinite(samples))
