"""Configurations, Keras files, checkpoints, and frozen copies."""

import json
import os
import tempfile
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tf_resflow import layers
from tf_resflow.checks import properties
from tf_resflow.checks import subjects
from tf_resflow.checks.subjects import all_close
from tf_resflow.checks.subjects import close
from tf_resflow.checks.subjects import Instance
from tf_resflow.checks.subjects import require
from tf_resflow.checks.subjects import Subject


def _require_alike(what, copy, subject):
  """Compares all outputs of a copy, to the last bit."""
  all_close(f'an output of the {what}', subjects.both_directions(
      Instance(copy), subject.of('float32')[1]), subject.outputs('float32'))


@properties.check(*(kind for kind in properties.KINDS
                    if kind != properties.BIJECTOR))
def configurations_hold_everything(subject: Subject) -> None:
  """get_config is JSON, from which an equal object is made."""
  layer = subject.of('float32')[0].layer
  config = keras.saving.serialize_keras_object(layer)
  copy = keras.saving.deserialize_keras_object(json.loads(json.dumps(config)))
  require(type(copy) is type(layer), f'it is a {type(copy)}')
  # As JSON, which has lists for tuples.
  found, expected = (json.dumps(a.get_config()) for a in (copy, layer))
  require(found == expected, 'get_config of the copy differs: '
          f'{found} instead of {expected}')
  layers.build_once(copy, (None, *subject.case.event_shape))
  copy.set_weights(layer.get_weights())
  _require_alike('copy', copy, subject)


@properties.check(properties.MODEL)
def keras_files_hold_everything(subject: Subject) -> None:
  """A model that is saved as .keras computes the same when it is loaded."""
  with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, 'model.keras')
    subject.of('float32')[0].save(path)
    _require_alike('file', keras.saving.load_model(path), subject)


def _nest(bijector, event_shape):
  """Returns a distribution around a bijector, several wrappers deep."""
  inner = tfb.Chain([tfb.Invert(tfb.Chain([bijector])), tfb.Shift(0.1)])
  base_shape = bijector.forward_event_shape(event_shape)
  base = tfd.Sample(tfd.Normal(0.0, 1.0), base_shape)
  return tfd.TransformedDistribution(base, inner)


@properties.check(*properties.KINDS, needs='has_variables')
def checkpoints_hold_everything(subject: Subject) -> None:
  """tf.train.Checkpoint saves all variables, and training continues alike.

  Those of a bijector inside of Chain, Invert and a TransformedDistribution.
  """
  made, x = subject.of('float32')
  other = Instance(subject.case.make(seed=1))
  saved, restored = made.it, other.it
  if made.kind == properties.BIJECTOR:
    saved, restored = (
        _nest(it, subject.case.event_shape) for it in (saved, restored))
    for kind in ('trainable_variables', 'variables'):
      found = {v.ref() for v in getattr(saved, kind)}
      require(found == {v.value.ref() for v in getattr(made.layer, kind)},
              f'{kind} of a distribution of it are others')
  with tempfile.TemporaryDirectory() as folder:
    path = tf.train.Checkpoint(subject=saved).write(
        os.path.join(folder, 'ckpt'))
    tf.train.Checkpoint(subject=restored).read(path).assert_consumed()
  # assert_consumed is content with a checkpoint that holds nothing.
  for a, b in zip(made.layer.variables, other.layer.variables, strict=True):
    close(f'{a.path} of the checkpoint', b.numpy(), a.numpy())
  _require_alike('checkpoint', other.it, subject)
  (loss, gradients), (_, expected) = (
      subjects.differentiate(subjects.loss, one, x) for one in (other, made))
  all_close('a gradient after the checkpoint', gradients.values(),
            expected.values(), 1e-6 * np.abs(loss))


def operations(concrete_function: Any) -> set[str]:
  """Returns the names of all operations, those of inner functions too."""
  graph = concrete_function.graph.as_graph_def()
  return {node.op for nodes in (graph.node, *(
      f.node_def for f in graph.library.function)) for node in nodes}


def _saved(function, variables):
  """Returns a SavedModel of a function, without the Python of its types."""
  module = tf.Module()
  module.run, module.held = function, [v.value for v in variables]
  with tempfile.TemporaryDirectory() as folder:
    tf.saved_model.save(module, folder)
    return tf.saved_model.load(folder)


@properties.check(*properties.LAYERED)
def frozen_copies_compute_alike_and_nothing_moves_them(
    subject: Subject) -> None:
  """frozen(), and its SavedModel, have fixed weights, without power iteration.

  What takes a condition is saved with an input of that name.
  """
  made, x = subject.of()
  frozen, inputs = Instance(made.frozen()), made.inputs(x)
  if made.spec is not None:  # Others than it has seen.
    inputs['condition'] = tf.reverse(inputs['condition'], [0])
  given, kept, again = (one.given(inputs.get('condition')) for one in (
      # What is evaluated may be frozen already.
      made, frozen, Instance(frozen.frozen())))
  before = [t.numpy() for t in subjects.results(given, x)]
  function = subjects.traced(subjects.results, frozen, inputs)
  saved = _saved(function, frozen.layer.variables)
  _, gradients = subjects.differentiate(lambda _, x: tf.add_n([
      tf.reduce_sum(t) for t in subjects.results(kept, x)]), made, x)
  require(not any(np.any(gradients[name]) for name in made.variables_by_path),
          'the variables have gradients')
  with subjects.changed(made.variables_by_path):
    # Neither eagerly nor in a graph does it follow the variables.
    for what, outputs in (
        ('frozen()', subjects.results(kept, x)),
        ('frozen().frozen()', subjects.results(again, x)),
        ('the SavedModel', saved.run(**inputs))):
      all_close(f'an output of {what}', outputs, before, 1e-9, 1e-7)
    require(not subject.case.has_variables or max(
        np.abs(a - b).max() for a, b in zip(
            subjects.results(given, x), before, strict=True)) > 1e-2,
            'the variables have no effect')
  # Power iteration takes eigenvalues.
  require(not any('Eig' in op for op in operations(
      function.get_concrete_function())), 'frozen() iterates norms')


@properties.check(properties.BIJECTION)
def frozen_copies_state_what_the_original_does(subject: Subject) -> None:
  """Bounds, randomness, conditions, parts and shapes are the same."""
  made, _ = subject.of('float32')
  frozen = made.frozen()
  shape = (None, *subject.case.event_shape)
  # Certificates, which frozen copies lack, see what power iterations leave.
  close('bounds', frozen.bi_lipschitz_bounds()[:2],
        made.bi_lipschitz_bounds()[:2], 0.0, 1e-4)
  for name, state in (
      ('name', lambda b: b.name), ('is_random', lambda b: b.is_random),
      ('condition_spec', lambda b: b.condition_spec),
      ('is_initialized', lambda b: b.is_initialized),
      ('the number of leaves', lambda b: len(b.leaves())),
      ('compute_output_shape', lambda b: b.compute_output_shape(shape))):
    require(state(frozen) == state(made),
            f'{name} is {state(frozen)}, not {state(made)}')
