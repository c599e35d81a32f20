"""Types of blocks: what they make, their options, and what they refuse."""

import dataclasses
from typing import ClassVar

import numpy as np
import pytest
import tensorflow as tf

from tests import splits
from tests import testing
from tests.models import blocks_test
from tf_resflow import layers
from tf_resflow import models
from tf_resflow.specs import registries


@dataclasses.dataclass(frozen=True)
class _Stack(models.BlockType):
  """Residual blocks, one behind the other."""

  depth: int = 2
  # Those of images and of vectors.
  unused_fields: ClassVar = ('memory', 'hidden_channels', 'hidden_units')
  unused_injection_points: ClassVar = ('blocks', 'gates')

  def make(self, request):
    return layers.SequentialBijection([
        models.make_residual_block(request) for _ in range(self.depth)])


class _Block(layers.ResidualBlock):
  """One with an argument of its own."""

  def __init__(self, g, scale=1.0, **kwargs):
    super().__init__(g, **kwargs)
    self.scale = scale


@pytest.fixture(autouse=True)
def types_fixture(monkeypatch):
  monkeypatch.setattr(
      registries.BLOCKS, '_entries', dict(registries.BLOCKS._entries))
  registries.BLOCKS.register('stack', _Stack)
  registries.BLOCKS.register('mine', _Block)


def test_options_of_a_type():
  for text, depth in (('stack', 2), ('stack:3', 3)):
    request = blocks_test.make_request((4,), None, block=text)
    assert len(request.config.block_type.make(request).parts) == depth
  assert splits.refusal(models.VectorFlowConfig, block='stack:x') == (
      'block=stack:x: expected a value of depth of stack such as 2.')


def test_a_class_of_blocks_with_an_option():
  for text, scale in (('mine', 1.0), ('mine:0.5', 0.5), ('mine,scale=2', 2.0)):
    request = blocks_test.make_request((4,), None, block=text, memory='neumann')
    block = request.config.block_type.make(request)
    assert (type(block), block.scale, block.memory) == (
        _Block, scale, 'neumann')


def test_what_a_type_does_not_use_is_refused():
  testing.check_refusals(
      lambda values: models.VectorFlowConfig(
          block='stack', condition_labels=3, **values), [
          ({'memory': 'naive', 'condition_at': ('base',)}, 'memory=naive has '
           'no effect with block=stack. Leave it out, or at its default,'),
          ({'hidden_units': (3,), 'condition_at': ('base',)},
           'hidden_units=3 has no effect with block=stack.'),
          ({'condition_at': ('base', 'gates')}, 'condition_at=base,gates '
           'cannot be used with block=stack. Leave out gates, which')])
  # Nobody asked for a condition, nor for fields that other models have.
  assert models.VectorFlowConfig(block='stack').block_type == _Stack()
  assert models.ResidualFlowConfig(block='stack').block_type == _Stack()


def test_parts_of_couplings():
  for index, (event_shape, kernel_sizes, changes, mask, shape) in enumerate((
      ((4, 4, 3), (3, 1), dict(sees_pixels=True), 'checkerboard', None),
      ((4, 4, 2), (3, 1), {}, 'channel', None),
      # Dense networks know no checkerboard.
      ((2, 2, 4), None, dict(sees_pixels=True), 'channel', None),
      ((2, 2, 3), None, {}, 'channel', (12,)),
      ((6,), None, {}, 'channel', None),
      ((16,), None, dict(flattened_from=(2, 2, 4)), 'channel', (2, 2, 4)),
      ((12,), None, dict(flattened_from=(2, 2, 3)), 'channel', None))):
    request = blocks_test.make_request(
        event_shape, kernel_sizes, block='coupling')
    block = request.config.block_type.make(
        request._replace(index_in_scale=index, **changes))
    assert (block.mask, block.swap, block.shape) == (
        mask, index % 2 == 1, shape), (event_shape, changes)
    assert (block.name, block.compute_dtype) == ('block_2', 'float64')
    x = tf.random.stateless_normal([3, *event_shape], [0, 1], dtype=tf.float64)
    np.testing.assert_allclose(block.inverse(block(x)), x, rtol=0, atol=1e-10)


def test_networks_of_couplings_are_those_of_residual_blocks():
  request = blocks_test.make_request(block='coupling', activation='relu')
  network = request.config.block_type.make(request).network
  network.build((None, 4, 4, 1))
  assert [p.name for p in network.parts] == [
      p.name for p in models.make_network(request).parts]
  first, second = network.parts[1].layer, network.parts[3].layer
  assert [w.shape for w in first.weights] == [(3, 3, 1, 5), (5,)]
  assert [w.shape for w in second.weights] == [(1, 1, 5, 2), (2,)]
  # As PyTorch starts layers: uniform, and nearly reaching both ends.
  for layer, fan_in in ((first, 9), (second, 5)):
    for weight in layer.weights:
      assert np.abs(weight.numpy()).max() < fan_in**-0.5
    assert np.abs(layer.kernel.numpy()).max() > 0.7 * fan_in**-0.5
  assert not network.constrained_layers()
