"""Configurations, Keras files and TensorFlow checkpoints hold everything."""

import json

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tests import cases
from tests.conformance import subjects


@subjects.each(cases.keras_layers())
def test_config_round_trip(subject):
  layer, x = subject.of('float32')
  config = keras.saving.serialize_keras_object(layer)
  copy = keras.saving.deserialize_keras_object(json.loads(json.dumps(config)))
  assert type(copy) is type(layer)
  # As JSON, which has lists for tuples.
  assert json.dumps(copy.get_config()) == json.dumps(layer.get_config())
  assert copy.compute_dtype == layer.compute_dtype
  if not copy.built:
    copy.build((None, *subject.case.event_shape))
  copy.set_weights(layer.get_weights())
  subjects.assert_all_close(
      cases.evaluate(copy, x), subject.outputs('float32'), 0.0)


@subjects.each(cases.MODELS)
def test_keras_file_round_trip(subject, tmp_path):
  model, x = subject.of('float32')
  model.save(tmp_path / 'model.keras')
  loaded = keras.saving.load_model(tmp_path / 'model.keras')
  subjects.assert_all_close(
      cases.evaluate(loaded, x), subject.outputs('float32'), 0.0)


def nest(bijector, event_shape):
  """A distribution around a bijector, several wrappers deep."""
  inner = tfb.Chain([tfb.Invert(tfb.Chain([bijector])), tfb.Shift(0.1)])
  base_shape = bijector.forward_event_shape(event_shape)
  base = tfd.Sample(tfd.Normal(0.0, 1.0), base_shape)
  return tfd.TransformedDistribution(base, inner)


@subjects.each(cases.trainable())
def test_checkpoint_round_trip(subject, tmp_path):
  """Of a bijector inside of Chain, Invert and a TransformedDistribution."""
  made, x = subject.of('float32')
  other = subject.case.make(seed=1)
  layer, other_layer = map(cases.layer_of, (made, other))
  saved, restored = made, other
  if subject.name in cases.BIJECTORS:
    saved, restored = [
        nest(bijector, subject.case.event_shape) for bijector in (made, other)]
    for kind in ('trainable_variables', 'variables'):
      found = {v.ref() for v in getattr(saved, kind)}
      assert found == {v.value.ref() for v in getattr(layer, kind)}
  path = tf.train.Checkpoint(subject=saved).write(str(tmp_path / 'ckpt'))
  tf.train.Checkpoint(subject=restored).read(path).assert_consumed()
  # assert_consumed is content with a checkpoint that holds nothing.
  for a, b in zip(layer.variables, other_layer.variables, strict=True):
    np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=a.path)
  subjects.assert_all_close(
      cases.evaluate(other, x), subject.outputs('float32'), 0.0)
