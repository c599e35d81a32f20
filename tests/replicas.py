"""Two replicas on the logical CPU devices of `conftest.py`."""

import functools

import tensorflow as tf


@functools.cache
def two_replicas():
  """Returns the one strategy that all tests share.

  A second strategy on the same devices would number its collectives as the
  first did, and TensorFlow aborts when their shapes differ.
  """
  return tf.distribute.MirroredStrategy(['/cpu:0', '/cpu:1'])


def per_replica(first, second):
  """Returns a distributed value of two tensors, one per replica."""
  values = (first, second)
  return two_replicas().experimental_distribute_values_from_function(
      lambda context: values[context.replica_id_in_sync_group])


def local_values(variable):
  """Returns the values of a `tf.Variable` on both replicas."""
  values = two_replicas().experimental_local_results(variable)
  return [value.numpy() for value in values]
