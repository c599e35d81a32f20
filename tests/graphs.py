"""Operations of the graphs that TensorFlow traces; forgets them."""

import ctypes
import gc
import pathlib
import resource
import sys
import types

import tensorflow as tf

# By how much memory grows between collections, bytes; what it was after each.
_GROWTH = 400 * 2**20
_resident = []


def operations(function: tf.types.experimental.ConcreteFunction) -> list[
    tuple[str, str]]:
  """Returns type and owner of every operation of a graph.

  The owner is the function of the library that holds the operation, however
  deep it is called, or '' for the graph itself.
  """
  graph = function.graph.as_graph_def()
  return [(node.op, '') for node in graph.node] + [
      (node.op, f.signature.name) for f in graph.library.function
      for node in f.node_def]


def forget(module: types.ModuleType) -> None:
  """Frees the graphs that the tests of a module traced.

  Gigabytes over all tests. They are held by what the module caches, by
  functions of the package that have a graph for every shape, and by TensorFlow,
  which keeps the gradient of every function with a custom one that was ever
  traced.
  """
  from tensorflow.python.framework import ops

  for value in vars(module).values():
    if hasattr(value, 'cache_clear') and value.__module__ == module.__name__:
      value.cache_clear()
  for name, package in sys.modules.items():
    if name.startswith('tf_resflow.'):
      for value in vars(package).values():
        if isinstance(value, tf.types.experimental.PolymorphicFunction):
          value._function_cache.clear()
  gradients = ops.gradient_registry._registry
  for name in [name for name in gradients if name.startswith(
      ('CustomGradient-', 'PartitionedCall-', 'StatefulPartitionedCall-'))]:
    del gradients[name]
  _collect_garbage()


def _collect_garbage():
  """Looks at all objects, which takes a second, where memory has grown."""
  if not _resident or _resident_size() > _resident[-1] + _GROWTH:
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    if sys.platform == 'linux':  # What was freed goes back to the machine.
      ctypes.CDLL(None).malloc_trim(0)
    _resident.append(_resident_size())


def _resident_size():
  """Returns the memory of this process, bytes; its peak if not on Linux."""
  try:
    pages = pathlib.Path('/proc/self/statm').read_text().split()[1]
  except OSError:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  return int(pages) * resource.getpagesize()
