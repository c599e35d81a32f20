"""Functions that graphs call instead of inlining them."""

import logging

import numpy as np
import tensorflow as tf

from tf_resflow.numerics import tracing


def test_it_is_traced_once_per_shape_without_a_warning(caplog):
  num_traces = []

  def function(x):
    num_traces.append(1)
    return x + 1.0

  traced = tracing.noinline_function(function)
  with caplog.at_level(logging.WARNING):
    for size in range(1, 13):
      traced(tf.ones([size]))
      traced(tf.zeros([size]))
  assert len(num_traces) == 12
  assert not caplog.records


def test_graphs_call_what_runs_as_it_is_eagerly():
  num_calls = []

  def function(x, y):
    num_calls.append(1)
    return tf.tanh(x) * y

  shared = tracing.function_in_graphs(function)
  x, y = tf.constant([0.3, -0.2]), tf.constant([2.0, 3.0])
  for _ in range(3):
    np.testing.assert_allclose(shared(x, y), np.tanh(x) * y, rtol=1e-6)
  assert len(num_calls) == 3
  definition = tf.function(
      lambda x: [shared(x + i, y) for i in range(4)], autograph=False
  ).get_concrete_function(x).graph.as_graph_def()
  names = [node.attr['f'].func.name for node in definition.node
           if node.op.endswith('PartitionedCall')]
  functions = {f.signature.name: f for f in definition.library.function}
  assert len(names) == 4 and len(set(names)) == 1
  assert functions[names[0]].attr['_noinline'].b
  assert len(num_calls) == 4

  @tf.function
  def gradient(x):
    with tf.GradientTape() as outer:
      outer.watch(x)
      with tf.GradientTape() as tape:
        tape.watch(x)
        value = shared(x, y)
      first = tape.gradient(value, x)
    return first, outer.gradient(first, x)

  first, second = gradient(x)
  t = np.tanh(x)
  np.testing.assert_allclose(first, (1 - t**2) * y, rtol=1e-5)
  np.testing.assert_allclose(second, -2 * t * (1 - t**2) * y, rtol=1e-5)
