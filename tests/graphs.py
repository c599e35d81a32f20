"""Counts the graphs that TensorFlow traces, and the operations in one."""

from collections.abc import Iterator
import contextlib
from unittest import mock

import tensorflow as tf

# The class of every graph of a function, a loop or a branch.
_FUNC_GRAPH = tf.__internal__.FuncGraph


@contextlib.contextmanager
def count_graphs() -> Iterator[list[str]]:
  """Yields a list that grows by the name of every graph that is made."""
  names = []
  original = _FUNC_GRAPH.__init__

  def record(self, name, *args, **kwargs):
    names.append(name)
    original(self, name, *args, **kwargs)

  with mock.patch.object(_FUNC_GRAPH, '__init__', record):
    yield names


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
