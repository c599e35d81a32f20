"""Functions that graphs call in place of copying them."""

from collections.abc import Callable, Sequence
import functools

import tensorflow as tf

from tf_resflow import private_apis


def noinline_function(
    function: Callable, reduce_retracing: bool = False,
    input_signature: Sequence[tf.TypeSpec] | None = None) -> Callable:
  """Returns a `tf.function` that every graph keeps as one function.

  TensorFlow copies the body of a called function into the caller, and then
  optimises every copy: in a deep flow that is most of the time before the
  first step. Here the body is optimised once per shape, however many layers
  call it; a call costs some 5 microseconds more.

  Args:
    function: takes tensors and hashable Python values.
    reduce_retracing: whether a second shape makes a graph for all shapes, in
      place of one for every shape.
    input_signature: of the one graph that there is then.
  """
  return private_apis.allow_frequent_tracing(tf.function(
      function, autograph=False, reduce_retracing=reduce_retracing,
      input_signature=input_signature,
      experimental_attributes={'_noinline': True}))


def function_in_graphs(function: Callable) -> Callable:
  """Returns a function that graphs call, and that runs as it is eagerly.

  For a few operations that every block of a flow has: a graph then holds one
  operation for them, and one for their gradient. Eagerly there is no graph to
  keep for every size of a batch.

  Args:
    function: takes tensors and hashable Python values.
  """
  traced = noinline_function(function)

  @functools.wraps(function)
  def call(*args):
    return (function if tf.executing_eagerly() else traced)(*args)

  return call
