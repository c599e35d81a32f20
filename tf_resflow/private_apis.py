"""Uses of the private APIs of Python, TensorFlow and Keras, by one function.

Each says why. `tests/private_apis_test.py` fails where an upgrade changes one.
Those of TFP, which takes seconds to import, are in `private_tfp_apis.py`; Keras
is not imported here, so that `numerics` does not need it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
import contextlib
import pickle
import threading
from typing import Any

import tensorflow as tf
from tensorflow.compiler.xla.tsl.protobuf import coordination_config_pb2
from tensorflow.core.protobuf import trackable_object_graph_pb2
from tensorflow.python.eager import context
from tensorflow.python.framework import ops
from tensorflow.python.ops import control_flow_util
from tensorflow.python.ops import summary_ops_v2

# Who is in `custom_gradients`, and whether they have been alone there.
_tracing: dict[object, bool] = {}
_lock = threading.Lock()


def assertions(ok: tf.Tensor, message: Sequence[str | tf.Tensor]
               ) -> list[tf.Operation]:
  """Returns what results depend on, so that they are an error unless `ok`.

  Eagerly it is raised at once, in one line, which Keras does not rewrite:
  `errors.InvalidValueError` has the same attribute, and says why.

  Args:
    ok: bool scalar.
    message: words and numbers.
  """
  if not tf.executing_eagerly():
    return [tf.debugging.Assert(ok, message)]
  if not ok:
    error: Any = tf.errors.InvalidArgumentError(None, None, ' '.join(
        part if isinstance(part, str) else f'{part.numpy():.4g}'
        for part in message))
    error._keras_call_info_injected = True  # pylint: disable=protected-access
    raise error
  return []


def allow_frequent_tracing(function: Any) -> Callable:
  """Returns a `tf.function` that may be traced often without a warning.

  One function is traced once per shape for many layers, or once per
  evaluation: this is intended, but TensorFlow warns of it and has no public
  switch for the warning.
  """
  function._omit_frequent_tracing_warning = True  # pylint: disable=protected-access
  return function


def is_compiled() -> bool:
  """Returns whether XLA will compile the graph that is being traced.

  XLA lacks some operations, and TensorFlow has no public way to ask.
  """
  return control_flow_util.GraphOrParentsInXlaContext(
      tf.compat.v1.get_default_graph())


def notice_lost_peers(num_processes: int, seconds: float) -> None:
  """Sets after which time without a sign the processes of a job are lost.

  `tf.distribute` takes TensorFlow's default, and has no public way to change
  it. Call this before a strategy is made for the processes of the job `worker`,
  whose first one leads.
  """
  context.context().configure_coordination_service(
      service_type='standalone', service_leader='/job:worker/replica:0/task:0',
      heartbeat_timeout_in_ms=round(1000 * seconds),
      coordinated_jobs=[coordination_config_pb2.CoordinatedJob(
          name='worker', num_tasks=num_processes)])


def saved_children(path: str) -> list[dict[str, int]]:
  """Returns the object graph of a checkpoint.

  TensorFlow has no public reader of this part of its files. Variable names
  alone (`tf.train.list_variables`) do not tell which weight an element of a
  list belongs to.

  Returns:
    For every object the indices of its children in this list, by their names.
    The first object is the checkpoint.
  """
  graph = trackable_object_graph_pb2.TrackableObjectGraph.FromString(
      tf.train.load_checkpoint(path).get_tensor('_CHECKPOINTABLE_OBJECT_GRAPH'))
  return [{child.local_name: child.node_id for child in node.children}
          for node in graph.nodes]


def write_event(event: tf.compat.v1.Event) -> None:
  """Writes an event by the default writer of `tf.summary`.

  This has no public function for events other than summaries.
  """
  summary_ops_v2.import_event(event.SerializeToString())


def sublayers(layer: Any) -> Iterator[Any]:
  """Yields a Keras layer and all layers within it.

  Keras has no public way to walk through the layers of any layer: `layers` is
  an attribute of models alone.
  """
  return layer._flatten_layers()  # pylint: disable=protected-access


def adam_moments(optimizer: Any, variable: Any) -> tuple[
    tf.Variable, tf.Variable]:
  """Returns the variables of Adam's first and second moment of a variable.

  Keras has no public way to look up the optimizer's state of a variable.
  """
  # pylint: disable=protected-access
  index = optimizer._get_variable_index(variable)
  return optimizer._momentums[index].value, optimizer._velocities[index].value


def python_unpickler() -> type:
  """Returns the class of unpicklers that is written in Python.

  The public one, in C, allocates whatever sizes a file declares, and cannot be
  restricted to some opcodes.
  """
  return pickle._Unpickler  # pylint: disable=protected-access


@contextlib.contextmanager
def custom_gradients() -> Iterator[list[str]]:
  """Yields a list that gets the names of custom gradients that are traced.

  TensorFlow registers each under a name of its own, with a function that holds
  the graph, and never removes it: graphs that nothing uses any more stay in
  memory. Give the names to `forget_gradients` then. The list stays empty if
  other threads were in this context at the same time.
  """
  names: list[str] = []
  me = object()
  with _lock:
    known = {*ops.gradient_registry.list()}
    is_alone = not _tracing
    _tracing.update(dict.fromkeys([*_tracing, me], is_alone))
  try:
    yield names
  finally:
    with _lock:
      if _tracing.pop(me):
        names += {*ops.gradient_registry.list()} - known


def forget_gradients(names: Iterable[str]) -> None:
  """Removes custom gradients, without which their graphs have none."""
  for name in names:
    ops.gradient_registry._registry.pop(name, None)  # pylint: disable=protected-access


@contextlib.contextmanager
def count_graphs() -> Iterator[list[str]]:
  """Yields a list that grows by the name of every graph that is made.

  Nothing public counts the graphs of functions, loops and branches.
  """
  names: list[str] = []
  graph = tf.__internal__.FuncGraph
  original = graph.__init__

  def record(self, name, *args, **kwargs):
    names.append(name)
    original(self, name, *args, **kwargs)

  graph.__init__ = record
  try:
    yield names
  finally:
    graph.__init__ = original
