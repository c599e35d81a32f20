"""Writes flows as SavedModels."""

import os
import tempfile

import tensorflow as tf

from tf_resflow.serving import gradients
from tf_resflow.serving import integer_flow
from tf_resflow.serving import warmup as warmup_lib

_MODEL_JSON = 'model.json'


def check_is_new(output):
  """Checks that a folder does not exist or is empty.

  Raises:
    ValueError: if it holds anything.
  """
  if '://' in output:
    raise ValueError(
        f'output is {output}; expected a folder of this machine, from where '
        'the SavedModel can be copied.')
  if os.path.exists(output) and not os.path.isdir(output):
    raise ValueError(f'output is {output}, which is a file; name a folder.')
  if os.path.isdir(output) and os.listdir(output):
    raise ValueError(
        f'output {output} is not empty; name a new or empty folder, such as '
        'the next version number.')


def _captured_variables(functions):
  """Returns the variables that concrete functions read when they run."""
  variables = {id(v.handle): v for f in functions for v in f.variables}
  captured = dict.fromkeys(id(t) for f in functions for t in f.captured_inputs)
  return [variables[key] for key in captured if key in variables]


def _try_out(functions, specs):
  """Answers one request of every signature, as a server does to warm up.

  Raises:
    ValueError: if one of them fails, or its reply has numbers that are not
      finite: the server would refuse the model, or serve such replies.
  """
  for name, function in functions.items():
    try:
      outputs = function(**{
          spec.name: warmup_lib.example(spec) for spec in specs[name]})
    except tf.errors.InvalidArgumentError as error:
      # What failed comes after the lines of a traceback.
      start = max(0, error.message.find('assertion failed'))
      reason = error.message[start:].splitlines()[0]
      raise ValueError(
          f'the signature {name} of the model fails: {reason}') from error
    for key, output in outputs.items():
      if output.dtype.is_floating and not tf.reduce_all(
          tf.math.is_finite(output)):
        raise ValueError(
            f'the signature {name} of the model returns {key} that are not '
            'finite; check the checkpoint with bin/evaluate.')


def export(model, output, log_det, warmup=True, max_samples=4096):
  """Writes a flow as a SavedModel that needs no Python of this package.

  Its signatures are the methods of `IntegerFlow`. Kernels are normalised
  already, so nothing iterates but the inverses and the series. The graph is
  that for the devices of this process: with a GPU, batches are not taken in
  parts, which on CPUs bounds the memory of a request.

  Every signature answers one request before anything is written. The folder
  appears whole or not at all, so it may be named in the folder that a server
  watches. Beside the SavedModel it holds the configuration of the model,
  `assets.extra/model.json`.

  Args:
    model: an initialised `models.ResidualFlow`.
    output: a folder that does not exist or is empty.
    log_det: estimator of `log_prob`, see `IntegerFlow`.
    warmup: whether to add requests for TensorFlow Serving to warm up with,
      which needs tensorflow-serving-api.
    max_samples: see `IntegerFlow`.

  Returns:
    A list of the names of the signatures.

  Raises:
    ValueError: if the folder is not empty, the model cannot be served, a
      signature fails, or tensorflow-serving-api is missing.

  Example:
    >>> model = models.ResidualFlow(models.ResidualFlowConfig(
    ...     image_shape=(4, 4, 1), num_levels=17, num_blocks=(1,),
    ...     hidden_channels=4, num_dense_blocks=0))
    >>> model.initialize(tf.random.stateless_uniform([8, 4, 4, 1], [0, 0]))
    >>> export(model, 'served/digits/1',
    ...        numerics.AdaptiveRoulette(couples_examples=False))
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
  signatures = integer_flow.IntegerFlow(
      model, log_det, max_samples).signatures()
  module = tf.Module()
  with model.frozen():
    functions = {
        name: tf.function(
            gradients.prevent(method), input_signature=specs, autograph=False
        ).get_concrete_function()
        for name, (method, specs) in signatures.items()}
    # Those of `frozen` have no other owner: graphs refer to them weakly.
    module.weights = _captured_variables(list(functions.values()))
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
    with open(os.path.join(assets, _MODEL_JSON), 'w', encoding='utf-8') as f:
      f.write(model.config.to_json())
    # A rename replaces an empty folder, and fails where one has been filled.
    os.rename(draft, output)
  return list(signatures)
