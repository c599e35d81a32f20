"""Counts the graphs that TensorFlow traces."""

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
