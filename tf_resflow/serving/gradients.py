"""Exported functions have no gradients, and say so when asked for one."""

from collections.abc import Callable
import functools
import os

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

_MESSAGE = 'an exported flow answers requests; train the model it came from.'


def prevent(function: Callable) -> Callable:
  """Returns a function of tensors whose outputs refuse to be differentiated.

  Args:
    function: returns a dict of tensors.
  """

  @functools.wraps(function)
  def prevented(*tensors):
    return {
        name: tf.raw_ops.PreventGradient(input=output, message=_MESSAGE)
        for name, output in function(*tensors).items()}

  return prevented


def forget(folder: str) -> None:
  """Removes what a SavedModel says of gradients.

  Its custom gradients are named after Python functions of the process that
  wrote it. TensorFlow would warn of every one when it loads the model, although
  nothing can ask for them behind `prevent`. Trainable variables would be
  watched by every tape around a call. The fingerprint, which is of another file
  then, goes as well; SavedModels need none.

  Args:
    folder: of the SavedModel.
  """
  path = os.path.join(folder, 'saved_model.pb')
  with open(path, 'rb') as f:
    saved_model = saved_model_pb2.SavedModel.FromString(f.read())
  for meta_graph in saved_model.meta_graphs:
    for function in meta_graph.graph_def.library.function:
      for node in function.node_def:
        if '_gradient_op_type' in node.attr and node.attr[
            '_gradient_op_type'].s.startswith(b'CustomGradient'):
          del node.attr['_gradient_op_type']
    for node in meta_graph.object_graph_def.nodes:
      if node.HasField('variable'):
        node.variable.trainable = False
  with open(path, 'wb') as f:
    f.write(saved_model.SerializeToString())
  os.remove(os.path.join(folder, 'fingerprint.pb'))
