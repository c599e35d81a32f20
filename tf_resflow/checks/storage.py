"""Configurations, Keras files, checkpoints, and frozen copies."""

from collections.abc import Sequence
import json
import os
import tempfile
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tf_resflow import numerics
from tf_resflow.checks import properties
from tf_resflow.checks import subjects
from tf_resflow.checks.subjects import all_close
from tf_resflow.checks.subjects import close
from tf_resflow.checks.subjects import require


@properties.check(
    properties.LIPSCHITZ, properties.BIJECTION, properties.MODEL,
    properties.OTHER)
def configurations_hold_everything(subject: subjects.Subject) -> None:
  """get_config is JSON, from which an equal object is made."""
  layer, x = subject.of('float32')
  config = keras.saving.serialize_keras_object(layer)
  copy = keras.saving.deserialize_keras_object(json.loads(json.dumps(config)))
  require(type(copy) is type(layer), f'it is a {type(copy)}')
  # As JSON, which has lists for tuples.
  texts = [json.dumps(a.get_config()) for a in (copy, layer)]
  require(texts[0] == texts[1], 'get_config of the copy differs: '
                   f'{texts[0]} instead of {texts[1]}')
  if not copy.built:
    copy.build((None, *subject.case.event_shape))
  copy.set_weights(layer.get_weights())
  all_close('an output of the copy', subjects.evaluate(copy, x),
                     subject.outputs('float32'), 0.0)


@properties.check(properties.MODEL)
def keras_files_hold_everything(subject: subjects.Subject) -> None:
  """A model that is saved as .keras computes the same when it is loaded."""
  model, x = subject.of('float32')
  with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, 'model.keras')
    model.save(path)
    loaded = keras.saving.load_model(path)
  all_close('an output of the file', subjects.evaluate(loaded, x),
                     subject.outputs('float32'), 0.0)


def _nest(bijector, event_shape):
  """Returns a distribution around a bijector, several wrappers deep."""
  inner = tfb.Chain([tfb.Invert(tfb.Chain([bijector])), tfb.Shift(0.1)])
  base_shape = bijector.forward_event_shape(event_shape)
  base = tfd.Sample(tfd.Normal(0.0, 1.0), base_shape)
  return tfd.TransformedDistribution(base, inner)


@properties.check(*properties.KINDS, needs='has_variables')
def checkpoints_hold_everything(subject: subjects.Subject) -> None:
  """tf.train.Checkpoint saves all variables, and training can continue.

  Those of a bijector inside of Chain, Invert and a TransformedDistribution.
  """
  made, x = subject.of('float32')
  other = subject.case.make(seed=1)
  layer, other_layer = map(subjects.layer_of, (made, other))
  saved, restored = made, other
  if isinstance(made, tfb.Bijector):
    saved, restored = [
        _nest(bijector, subject.case.event_shape) for bijector in (made, other)]
    for kind in ('trainable_variables', 'variables'):
      found = {v.ref() for v in getattr(saved, kind)}
      require(
          found == {v.value.ref() for v in getattr(layer, kind)},
          f'{kind} of a distribution of it are others')
  with tempfile.TemporaryDirectory() as folder:
    path = tf.train.Checkpoint(subject=saved).write(
        os.path.join(folder, 'ckpt'))
    tf.train.Checkpoint(subject=restored).read(path).assert_consumed()
  # assert_consumed is content with a checkpoint that holds nothing.
  for a, b in zip(layer.variables, other_layer.variables, strict=True):
    close(f'{a.path} of the checkpoint', b.numpy(), a.numpy(), 0.0)
  all_close('an output of the checkpoint', subjects.evaluate(other, x),
                     subject.outputs('float32'), 0.0)


def results(made: Any, x: tf.Tensor) -> list[tf.Tensor]:
  """Returns everything that a bijection or a flow computes of `x`."""
  y, log_det = made.forward_and_log_det(x, seed=3)
  return [y, log_det, made.inverse(y), made(x),
          made.forward_and_log_det(x, estimator=numerics.Exact())[1],
          *([made.classify(x)] if getattr(
              made, 'has_classifier', False) else [])]


def operations(concrete_function: Any) -> set[str]:
  """Returns the names of all operations, those of inner functions too."""
  graph = concrete_function.graph.as_graph_def()
  return {node.op for nodes in (graph.node, *(
      f.node_def for f in graph.library.function)) for node in nodes}


def _function(made, event_shape):
  """Returns a traced function of the `results`."""
  return tf.function(
      lambda x: results(made, x), autograph=False,
      input_signature=[tf.TensorSpec([None, *event_shape], tf.float64)])


def trace(made: Any, event_shape: Sequence[int]) -> Any:
  """Returns a concrete function of the `results`."""
  return _function(made, event_shape).get_concrete_function()


@properties.check(properties.BIJECTION, properties.MODEL)
def frozen_copies_compute_alike_and_nothing_moves_them(
    subject: subjects.Subject) -> None:
  """frozen() is a function of fixed weights, without power iteration."""
  made, x = subject.of()
  if getattr(made, 'has_classifier', False):
    made.classify(x)
  before = [t.numpy() for t in results(made, x)]
  frozen = made.frozen()
  traced = trace(frozen, subject.case.event_shape)
  with tf.GradientTape() as tape:
    loss = tf.add_n([tf.reduce_sum(r) for r in results(frozen, x)])
  gradients = tape.gradient(loss, [v.value for v in made.trainable_variables])
  require(all(g is None for g in gradients),
                   'the variables have gradients')
  with subjects.changed(made.trainable_variables):
    # Neither eagerly nor in a graph does it follow the variables.
    # What is evaluated may be frozen already.
    for outputs in (results(frozen, x), traced(x), results(frozen.frozen(), x)):
      for a, b in zip(outputs, before, strict=True):
        close('an output of frozen()', a, b, 1e-9, 1e-7)
    require(not subject.case.has_variables or max(
        np.abs(a - b).max() for a, b in zip(
            results(made, x), before, strict=True)) > 1e-2,
                     'the variables have no effect')
  # Power iteration takes eigenvalues.
  require(not any('Eig' in op for op in operations(traced)),
                   'frozen() iterates norms')


@properties.check(properties.BIJECTION)
def frozen_copies_state_what_the_original_does(
    subject: subjects.Subject) -> None:
  """Bounds, randomness, parts and shapes are the same."""
  made, _ = subject.of('float32')
  frozen = made.frozen()
  shape = (None, *subject.case.event_shape)
  close('bounds', frozen.bi_lipschitz_bounds()[:2],
                 made.bi_lipschitz_bounds()[:2], 0.0, 1e-6)
  for name, state in (
      ('name', lambda b: b.name), ('is_random', lambda b: b.is_random),
      ('is_initialized', lambda b: b.is_initialized),
      ('the number of leaves', lambda b: len(b.leaves())),
      ('compute_output_shape', lambda b: b.compute_output_shape(shape))):
    require(state(frozen) == state(made),
                     f'{name} is {state(frozen)}, not {state(made)}')


@properties.check(properties.BIJECTION, properties.MODEL)
def saved_models_compute_alike(subject: subjects.Subject) -> None:
  """A SavedModel of frozen() has its outputs, without the Python of the type.
  """
  made, x = subject.of()
  frozen, module = made.frozen(), tf.Module()
  module.run = _function(frozen, subject.case.event_shape)
  module.held = [v.value for v in frozen.variables]
  with tempfile.TemporaryDirectory() as folder:
    tf.saved_model.save(module, folder)
    loaded = tf.saved_model.load(folder)
  all_close('an output of the SavedModel', loaded.run(x), results(frozen, x),
            1e-9)
