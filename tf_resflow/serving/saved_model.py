"""Writes flows as SavedModels."""

from collections.abc import Mapping, Sequence
import os
import tempfile

import tensorflow as tf

from tf_resflow import errors
from tf_resflow import models
from tf_resflow import numerics
from tf_resflow.serving import gradients
from tf_resflow.serving import integer_flow
from tf_resflow.serving import warmup as warmup_lib

_MODEL_JSON = 'model.json'


def check_is_new(output: str) -> None:
  """Raises `InvalidValueError` unless a folder does not exist or is empty."""
  errors.check(
      bool(output) and '://' not in output, 'output', output,
      'a folder of this machine', 'The SavedModel can be copied from there.')
  is_new = not os.path.exists(output) or (
      os.path.isdir(output) and not os.listdir(output))
  errors.check(is_new, 'output', output, 'a new or empty folder',
               'Take the next version number, for example.')


def _variables_read(flow, functions):
  """Returns the variables of a flow that concrete functions read."""
  captured = {id(t) for f in functions for t in f.captured_inputs}
  return [v.value for v in flow.variables if id(v.value.handle) in captured]


def _try_out(functions: Mapping[str, tf.types.experimental.ConcreteFunction],
             specs: Mapping[str, Sequence[tf.TensorSpec]]) -> None:
  """Answers one request of every signature, as a server does to warm up.

  Raises:
    InvalidValueError: if one of them fails, or its reply has numbers that are
      not finite: the server would refuse the model, or serve such replies.
  """
  for name, function in functions.items():
    try:
      outputs = function(**{
          spec.name: warmup_lib.example(spec) for spec in specs[name]})
    except tf.errors.InvalidArgumentError as error:
      # What failed comes after the lines of a traceback.
      start = max(0, error.message.find('assertion failed'))
      reason = error.message[start:].splitlines()[0]
      raise errors.InvalidValueError(
          'signature', name, 'one that the model answers',
          f'It fails: {reason}') from error
    for key, output in outputs.items():
      errors.check(
          not output.dtype.is_floating or bool(
              tf.reduce_all(tf.math.is_finite(output))), 'signature', name,
          f'{key} that are finite', 'Check the checkpoint with bin/evaluate.')


def export(
    model: models.Flow, output: str, estimator: numerics.Estimator,
    warmup: bool = True, max_samples: int = 4096) -> list[str]:
  """Writes a flow as a SavedModel that needs no Python of this package.

  Its signatures are the methods of `IntegerFlow`. Kernels are normalised
  already, so nothing iterates but the inverses and the series. The graph is
  that for the devices of this process: with a GPU, batches are not taken in
  chunks, which on CPUs bounds the memory of a request.

  Every signature answers one request before anything is written. The folder
  appears whole or not at all, so it may be named in the folder that a server
  watches. Beside the SavedModel it holds the configuration of the model, if it
  was built by one: `assets.extra/model.json`.

  Args:
    model: an initialised flow on images of integers.
    output: a folder that does not exist or is empty.
    estimator: of the log-determinant in `log_prob`, see `IntegerFlow`.
    warmup: whether to add requests for TensorFlow Serving to warm up with,
      which needs tensorflow-serving-api.
    max_samples: see `IntegerFlow`.

  Returns:
    The names of the signatures.

  Raises:
    InvalidValueError: if the folder is not empty, the model cannot be served, a
      signature fails, or tensorflow-serving-api is missing.

  Example:
    >>> model = models.ResidualFlowConfig(
    ...     image_shape=(4, 4, 1), num_levels=17, num_blocks=(1,),
    ...     hidden_channels=4, num_dense_blocks=0).build()
    >>> model.initialize(tf.random.stateless_uniform([8, 4, 4, 1], [0, 0]))
    >>> export(model, 'served/digits/1',
    ...        numerics.AdaptiveRoulette(batch_dependent=False))
    ['log_prob', 'sample', 'encode', 'decode']
    >>> served = tf.saved_model.load('served/digits/1').signatures
    >>> served['sample'](
    ...     num_samples=tf.constant(2), seed=tf.constant([0, 1]),
    ...     temperature=tf.constant(1.0))['images'].shape
    TensorShape([2, 4, 4, 1])
  """
  check_is_new(output)
  if warmup:
    warmup_lib.check_is_installed()
  frozen = model.frozen()
  signatures = integer_flow.IntegerFlow(
      frozen, estimator, max_samples).signatures()
  functions = {
      name: tf.function(
          gradients.prevent(method), input_signature=specs, autograph=False
      ).get_concrete_function()
      for name, (method, specs) in signatures.items()}
  module = tf.Module()
  module.weights = _variables_read(frozen, functions.values())
  specs = {name: specs for name, (_, specs) in signatures.items()}
  _try_out(functions, specs)
  parent, name = os.path.split(os.path.abspath(output))
  os.makedirs(parent, exist_ok=True)
  with tempfile.TemporaryDirectory(prefix=f'.{name}.', dir=parent) as folder:
    draft = os.path.join(folder, name)
    tf.saved_model.save(
        module, draft, signatures=functions,
        options=tf.saved_model.SaveOptions(experimental_custom_gradients=False))
    gradients.forget(draft)
    if warmup:
      warmup_lib.write_requests(draft, specs)
    assets = os.path.join(draft, warmup_lib.ASSETS)
    os.makedirs(assets, exist_ok=True)
    if model.config is not None:
      with open(os.path.join(assets, _MODEL_JSON), 'w', encoding='utf-8') as f:
        f.write(model.config.to_json())
    # A rename replaces an empty folder, and fails where one has been filled.
    os.rename(draft, output)
  return list(signatures)
