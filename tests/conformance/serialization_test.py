"""Configurations, Keras files and TensorFlow checkpoints hold everything."""

import json

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tests import cases
from tests.conformance import subjects


def make_pair(subject):
  """Returns a subject, another one, inputs and outputs of the first."""
  made, x = subject.of('float32')
  return made, subject.case.make(seed=1), x, subject.outputs('float32')


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


@subjects.each(cases.trainable())
def test_checkpoint_round_trip(subject, tmp_path):
  made, other, x, outputs = make_pair(subject)
  path = tf.train.Checkpoint(subject=made).write(str(tmp_path / 'ckpt'))
  tf.train.Checkpoint(subject=other).read(path).assert_consumed()
  # assert_consumed is content with a checkpoint that holds nothing.
  for a, b in zip(
      cases.layer_of(made).variables, cases.layer_of(other).variables,
      strict=True):
    np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=a.path)
  subjects.assert_all_close(cases.evaluate(other, x), outputs, 0.0)


def nest(bijector, event_shape):
  """A distribution around a bijector, several wrappers deep."""
  inner = tfb.Chain([tfb.Invert(tfb.Chain([bijector])), tfb.Shift(0.1)])
  base_shape = bijector.forward_event_shape(event_shape)
  base = tfd.Sample(tfd.Normal(0.0, 1.0), base_shape)
  return tfd.TransformedDistribution(base, inner)


@subjects.each(name for name in cases.BIJECTORS if name in cases.trainable())
def test_nested_bijectors_keep_their_variables(subject, tmp_path):
  """Nested in Chain, Invert, TransformedDistribution and checkpoints."""
  made, other, x, _ = make_pair(subject)
  event_shape = subject.case.event_shape
  nested = nest(made, event_shape)
  layer = cases.layer_of(made)
  for kind in ('trainable_variables', 'variables'):
    found = {v.ref() for v in getattr(nested, kind)}
    assert found == {v.value.ref() for v in getattr(layer, kind)}
  path = tf.train.Checkpoint(density=nested).write(str(tmp_path / 'ckpt'))
  restored = nest(other, event_shape)
  tf.train.Checkpoint(density=restored).read(path).assert_consumed()
  kwargs = {'bijector_kwargs': seed_kwargs(nested.bijector, made.name)}
  np.testing.assert_allclose(
      restored.log_prob(x, **kwargs), nested.log_prob(x, **kwargs),
      rtol=1e-6)


def seed_kwargs(chain, name):
  """Keyword arguments that seed the bijector `name` inside of `nest`."""
  return {chain.bijectors[0].name: {name: {'seed': 2}}}
