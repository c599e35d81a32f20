"""The makers of constrained layers that are registered by name."""

import math

import tensorflow as tf

from tests import loops
from tf_resflow import layers
from tf_resflow.specs import registries


@loops.each(registries.CONSTRAINTS.names())
def test_makers_take_the_same_arguments(name):
  constraint = registries.CONSTRAINTS.get(name)
  options = dict(coeff=0.7, seed=1, name='linear', dtype='float64')
  for layer, shape in (
      (constraint.dense(3, **options), (5,)),
      (constraint.conv2d(3, 3, **options), (4, 4, 2))):
    y = layer(tf.ones([2, *shape], tf.float64))
    assert isinstance(layer, layers.LipschitzLayer)
    assert y.shape == (2, *shape[:-1], 3) and y.dtype == tf.float64
    assert (layer.name, layer.lipschitz_bound) == ('linear', 0.7)
    assert layer.num_constrained == 1


@loops.each([
    ((2.0, 2.0), (layers.SpectralDense, layers.SpectralConv2D)),
    ((math.inf, 2.0), (layers.InducedNormDense, layers.InducedNormConv2D)),
    (('learned', 'learned'), (
        layers.InducedNormDense, layers.InducedNormConv2D))])
def test_orders_choose_the_kind(orders, kinds):
  constraint = registries.CONSTRAINTS.get('spectral')
  made = [make(*sizes, coeff=0.7, domain=orders[0], codomain=orders[1],
               bound='estimate')
          for make, sizes in ((constraint.dense, (3,)),
                              (constraint.conv2d, (3, 1)))]
  assert tuple(map(type, made)) == kinds
  for layer in made:
    assert (layer.domain, layer.codomain) == orders
    assert getattr(layer, 'bound', 'estimate') == 'estimate'
