"""Writes flows as SavedModels, with requests that warm a server up."""

from collections.abc import Callable, Mapping, Sequence
import contextlib
import json
import pathlib

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tf_resflow import drafts
from tf_resflow import errors
from tf_resflow import layers
from tf_resflow import models
from tf_resflow.serving import preconditions
from tf_resflow.serving import signatures as signatures_lib


def _example(spec):
  """Returns a valid input: one image, latent or sample."""
  if spec.name in ('num_samples', 'temperature'):
    return tf.ones([], spec.dtype)
  return tf.zeros([1 if n is None else n for n in spec.shape], spec.dtype)


def _write_requests(
    assets: pathlib.Path, specs: Mapping[str, Sequence[tf.TensorSpec]]) -> None:
  """Writes one request per signature into a folder `assets.extra`.

  TensorFlow Serving runs these before it serves a model: the first take longer.
  """
  from tensorflow_serving.apis import prediction_log_pb2

  with tf.io.TFRecordWriter(
      str(assets / 'tf_serving_warmup_requests')) as writer:
    for name, inputs in specs.items():
      log = prediction_log_pb2.PredictionLog(predict_log={'request': {
          'model_spec': {'signature_name': name},
          'inputs': {spec.name: tf.make_tensor_proto(_example(spec).numpy())
                     for spec in inputs}}})
      writer.write(log.SerializeToString())


def _prevent_gradients(function: Callable) -> Callable:
  """Returns a function whose dict of outputs cannot be differentiated."""

  def prevented(*tensors):
    return {
        name: tf.raw_ops.PreventGradient(
            input=output, message='an exported flow cannot be trained; train '
            'the model it came from.')
        for name, output in function(*tensors).items()}

  return prevented


def _forget_gradients(folder: pathlib.Path) -> None:
  """Removes the information about gradients from a SavedModel.

  Its custom gradients are named after Python functions of the process that
  wrote it: TensorFlow would warn of every one when it loads the model. Every
  tape would watch trainable variables. The fingerprint, which is optional, no
  longer matches and is removed.
  """
  path = folder / 'saved_model.pb'
  saved_model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
  for meta_graph in saved_model.meta_graphs:
    for function in meta_graph.graph_def.library.function:
      for node in function.node_def:
        if '_gradient_op_type' in node.attr and node.attr[
            '_gradient_op_type'].s.startswith(b'CustomGradient'):
          del node.attr['_gradient_op_type']
    for node in meta_graph.object_graph_def.nodes:
      if node.HasField('variable'):
        node.variable.trainable = False
  path.write_bytes(saved_model.SerializeToString())
  (folder / 'fingerprint.pb').unlink()


def _try_out(functions: Mapping[str, tf.types.experimental.ConcreteFunction],
             specs: Mapping[str, Sequence[tf.TensorSpec]]) -> None:
  """Raises an error if a signature fails, or returns NaN or infinity.

  Data are a sample, since columns cannot take all numbers.
  """
  sample: Mapping[str, tf.Tensor] = {}
  with contextlib.suppress(tf.errors.InvalidArgumentError):  # Raised below.
    sample = functions['sample'](**{
        spec.name: _example(spec) for spec in specs['sample']})
  for name, function in functions.items():
    try:
      outputs = function(**{
          spec.name: sample[spec.name] if spec.name in sample else
          _example(spec) for spec in specs[name]})
    except tf.errors.InvalidArgumentError as error:
      # The failure comes after the lines of a traceback.
      start = max(0, error.message.find('assertion failed'))
      raise errors.InvalidValueError(
          'signature', name, problem='fails',
          advice=error.message[start:].splitlines()[0]) from error
    for key, output in outputs.items():
      errors.check(
          not output.dtype.is_floating or bool(
              tf.reduce_all(tf.math.is_finite(output))), 'signature', name,
          problem=f'returns NaN or infinity as {key}',
          advice='Check the checkpoint with tf_resflow evaluate.')


def export(
    model: models.Flow, output: str, estimator: layers.EstimatorLike = None,
    warmup: bool = True, max_samples: int = 4096) -> list[str]:
  """Writes a flow as a SavedModel that needs no Python of this package.

  Its signatures are the methods of `IntegerFlow`, or of `VectorSignatures` for
  flows on vectors. Kernels are normalised once, so only the inverses and the
  series iterate. The graph is made for the devices of this process: on CPUs
  batches are split into chunks, which bounds the memory of a request.

  Every signature is tested before anything is written. The folder appears
  complete or not at all, so it may lie in a folder that a server watches.
  Besides the SavedModel, in `assets.extra`, it holds model.json, the
  configuration of the model, if it has one, and for a table columns.json, from
  the names of its columns to those of tensors.

  Args:
    model: an initialised flow on images of integers or on vectors.
    output: a folder that does not exist or is empty.
    estimator: of the log-determinant in `log_prob`, see `ServedFlow`.
    warmup: whether to add requests for TensorFlow Serving to warm up with,
      which needs tensorflow-serving-api.
    max_samples: see `ServedFlow`.

  Returns:
    The names of the signatures.

  Raises:
    InvalidValueError: if the folder is not empty, or the model cannot be
      served, a signature fails for example.

  Example:
    >>> model = models.ResidualFlowConfig(
    ...     image_shape=(4, 4, 1), num_levels=17, num_blocks=(1,),
    ...     hidden_channels=4, num_dense_blocks=0).build()
    >>> model.initialize(tf.random.stateless_uniform([8, 4, 4, 1], [0, 0]))
    >>> export(model, 'served/digits/1')
    ['log_prob', 'sample', 'encode', 'decode']
    >>> served = tf.saved_model.load('served/digits/1').signatures
    >>> served['sample'](
    ...     num_samples=tf.constant(2), seed=tf.constant([0, 1]),
    ...     temperature=tf.constant(1.0))['images'].shape
    TensorShape([2, 4, 4, 1])
  """
  preconditions.check_output(output)
  if warmup:
    preconditions.check_is_installed()
  frozen = model.frozen()
  served = (signatures_lib.IntegerFlow if model.is_image else
            signatures_lib.VectorSignatures)(frozen, estimator, max_samples)
  functions, specs = {}, {}
  for name, (method, inputs) in served.signatures().items():
    specs[name] = inputs
    functions[name] = tf.function(
        _prevent_gradients(method), input_signature=inputs, autograph=False
    ).get_concrete_function()
  captured = {id(t) for f in functions.values() for t in f.captured_inputs}
  module = tf.Module()
  module.weights = [
      v.value for v in frozen.variables if id(v.value.handle) in captured]
  _try_out(functions, specs)
  with drafts.atomic_path(output) as draft:
    tf.saved_model.save(
        module, str(draft), signatures=functions,
        options=tf.saved_model.SaveOptions(experimental_custom_gradients=False))
    _forget_gradients(draft)
    assets = draft / 'assets.extra'
    assets.mkdir()
    if warmup:
      _write_requests(assets, specs)
    if model.config is not None:
      (assets / 'model.json').write_text(
          model.config.to_json(), encoding='utf-8')
    if columns := signatures_lib.tensors_of_columns(model):
      (assets / 'columns.json').write_text(
          json.dumps(columns, indent=2) + '\n', encoding='utf-8')
  return list(functions)
