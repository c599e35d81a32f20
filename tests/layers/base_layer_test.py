"""Base classes and helpers of all layers."""

import tensorflow as tf

from tests import loops
from tests import networks
from tf_resflow import layers
from tf_resflow.layers import base_layer


@loops.each([
    (None, ['a:0', 'b:0']), ('state', ['state:0', 'state:0'])])
def test_names_of_variables(name, expected):
  def make():
    with base_layer.variables_named(name), tf.name_scope('scope'):
      return [tf.Variable(0.0, name=own) for own in 'ab']

  assert [v.name for v in make()] == expected
  assert [v.name for v in make()] == expected
  with tf.Graph().as_default():
    assert [v.name for v in make()] == ['scope/a:0', 'scope/b:0']
  with tf.name_scope('scope'):
    assert tf.Variable(0.0, name='a').name == 'scope/a:0'


def test_a_class_takes_over_the_constructor_and_what_describes_it():
  @base_layer.configured
  class Block(layers.ResidualBlock):
    pass

  g = networks.dense_g('float64')
  config = Block(g, 'fixed:3', name='a').get_config()
  assert config == layers.ResidualBlock(g, 'fixed:3', name='a').get_config()
  assert Block.from_config(config).estimator.num_terms == 3
