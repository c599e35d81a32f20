"""Memory that a block keeps between its forward and its backward pass.

Read off the traced graph: tensors that do not depend on the incoming gradients
and are consumed by operations that do.
"""

import math

import keras
import pytest
import tensorflow as tf

from tf_resflow import layers
from tf_resflow import numerics

_SHAPE = (6, 6, 2)


def _make_block(hidden_channels, memory):
  g = keras.Sequential([
      keras.Input(_SHAPE), layers.LipSwish(),
      layers.SpectralConv2D(hidden_channels, 3), layers.LipSwish(),
      layers.SpectralConv2D(hidden_channels, 1), layers.LipSwish(),
      layers.SpectralConv2D(2, 3)])
  return layers.ResidualBlock(g, memory=memory)


# Operations that hand on the buffers of their inputs.
_ALIASES = ('Identity', 'IdentityN', 'StopGradient')


def _returned(function, index):
  """Returns what a function returns: an argument's index, or a node's name."""
  nodes = {node.name: node for node in function.node_def}
  arguments = [argument.name for argument in function.signature.input_arg]
  source = function.ret[function.signature.output_arg[index].name]
  while True:
    name, *output = source.split(':')
    if name in arguments:
      return arguments.index(name)
    if nodes[name].op not in _ALIASES:
      return source
    source = nodes[name].input[int(output[-1])]


def _buffer(tensor, functions):
  """Returns a name of the buffer of a tensor, also for those that share it."""
  while True:
    op = tensor.op
    if op.type in _ALIASES:
      tensor = op.inputs[tensor.value_index]
    elif op.type.endswith('PartitionedCall'):
      source = _returned(functions[op.get_attr('f').name], tensor.value_index)
      if isinstance(source, str):
        return op.name, source
      tensor = op.inputs[source]
    else:
      return tensor.name


def _kept_bytes(block, batch_size, num_terms):
  """Returns the bytes of all tensors that cross to the backward pass."""
  block.build((None, *_SHAPE))
  variables = [v.value for v in block.trainable_variables]
  estimator = numerics.FixedTruncation(num_terms)

  @tf.function(autograph=False)
  def differentiate(x, dy, dlog_det):
    with tf.GradientTape() as tape:
      tape.watch(x)
      outputs = block.forward_and_log_det(x, seed=0, estimator=estimator)
    return tape.gradient(outputs, [x, *variables], [dy, dlog_det])

  spec = tf.TensorSpec([batch_size, *_SHAPE])
  graph = differentiate.get_concrete_function(
      spec, spec, tf.TensorSpec([batch_size])).graph
  functions = {f.signature.name: f
               for f in graph.as_graph_def().library.function}
  _, dy, dlog_det = graph.inputs[:3]
  backward = {dy.op, dlog_det.op}
  kept = {}
  for op in graph.get_operations():  # In topological order.
    sources = {t.op for t in op.inputs} | set(op.control_inputs)
    if not sources & backward:
      continue
    backward.add(op)
    for tensor in op.inputs:
      if tensor.op not in backward and tensor.dtype.is_floating:
        kept[_buffer(tensor, functions)] = (
            math.prod(tensor.shape) * tensor.dtype.size)
  return sum(kept.values())


def _kept_per_example(hidden_channels, memory, num_terms=5):
  """The slope in the batch size: weights and singular vectors drop out."""
  block = _make_block(hidden_channels, memory)
  return (_kept_bytes(block, 8, num_terms) -
          _kept_bytes(block, 4, num_terms)) / 4


@pytest.mark.parametrize('hidden_channels', [8, 64])
@pytest.mark.parametrize('num_terms', [1, 40])
def test_recompute_keeps_three_inputs_per_example(hidden_channels, num_terms):
  """`x, v, w`, whatever the width and the number of terms."""
  kept = _kept_per_example(hidden_channels, 'recompute', num_terms)
  assert kept == 3 * 4 * math.prod(_SHAPE)


def test_other_modes_keep_hidden_layers():
  """The count sees what it should."""
  narrow = _kept_per_example(8, 'neumann')
  assert _kept_per_example(64, 'neumann') > 5 * narrow
  assert narrow > 4 * 36 * 8 * 4
