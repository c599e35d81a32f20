"""Functions that graphs call instead of inlining them."""

from collections.abc import Callable, Sequence
import functools

import tensorflow as tf

from tf_resflow import private_apis


def noinline_function(
    function: Callable, reduce_retracing: bool = False,
    input_signature: Sequence[tf.TypeSpec] | None = None) -> Callable:
  """Returns a `tf.function` that TensorFlow does not inline into its callers.

  TensorFlow copies the body of a called function into the caller, and then
  optimises every copy: in a deep flow that is most of the time before the
  first step. Here the body is optimised once per shape, however many layers
  call it; a call takes some 5 microseconds more.

  It takes tensors and hashable Python values. With `reduce_retracing` a second
  shape makes a graph for all shapes, in place of one for every shape.
  """
  return private_apis.allow_frequent_tracing(tf.function(
      function, autograph=False, reduce_retracing=reduce_retracing,
      input_signature=input_signature,
      experimental_attributes={'_noinline': True}))


def function_in_graphs(function: Callable) -> Callable:
  """Returns a function that graphs do not inline, and that is eager elsewhere.

  For a few operations that every block of a flow has: a graph then has one
  operation for them, and one for their gradient. Eagerly there is no graph to
  keep for every batch size. It takes tensors and hashable Python values.
  """
  traced = noinline_function(function)

  @functools.wraps(function)
  def call(*args):
    return (function if tf.executing_eagerly() else traced)(*args)

  return call
