"""Functions that graphs call in place of copying them."""

from collections.abc import Callable

import tensorflow as tf

from tf_resflow import private_apis


def noinline_function(
    function: Callable, reduce_retracing: bool = False) -> Callable:
  """Returns a `tf.function` that every graph keeps as one function.

  TensorFlow copies the body of a called function into the caller, and then
  optimises every copy: in a deep flow that is most of the time before the
  first step. Here the body is optimised once per shape, however many layers
  call it; a call costs some 5 microseconds more.

  Args:
    function: takes tensors and hashable Python values.
    reduce_retracing: whether a second shape makes a graph for all shapes, in
      place of one for every shape.
  """
  return private_apis.allow_frequent_tracing(tf.function(
      function, autograph=False, reduce_retracing=reduce_retracing,
      experimental_attributes={'_noinline': True}))
