"""Configurations, Keras files and TensorFlow checkpoints hold everything."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tests import cases


def assert_same(a, b):
  for left, right in zip(a, b, strict=True):
    np.testing.assert_array_equal(left, right)


def make_pair(case):
  """Returns an evaluated subject, a fresh one, inputs and outputs."""
  subject = case.make(seed=0)
  x = case.inputs()
  cases.evaluate(subject, x)  # Initialises ActNorm.
  other = case.make(seed=1)
  return subject, other, x, cases.evaluate(subject, tf.identity(x))


@pytest.mark.parametrize('name', cases.keras_layers())
def test_config_round_trip(name):
  case = cases.everything()[name]
  layer, _, x, outputs = make_pair(case)
  config = keras.saving.serialize_keras_object(layer)
  copy = keras.saving.deserialize_keras_object(json.loads(json.dumps(config)))
  assert type(copy) is type(layer)
  # As JSON, which has lists for tuples.
  assert json.dumps(copy.get_config()) == json.dumps(layer.get_config())
  assert copy.compute_dtype == layer.compute_dtype
  if not copy.built:
    copy.build((None, *case.event_shape))
  copy.set_weights(layer.get_weights())
  assert_same(cases.evaluate(copy, x), outputs)


@pytest.mark.parametrize('name', cases.MODELS)
def test_keras_file_round_trip(name, tmp_path):
  model, _, x, outputs = make_pair(cases.MODELS[name])
  model.save(tmp_path / 'model.keras')
  loaded = keras.saving.load_model(tmp_path / 'model.keras')
  assert_same(cases.evaluate(loaded, x), outputs)


@pytest.mark.parametrize('name', cases.trainable())
def test_checkpoint_round_trip(name, tmp_path):
  subject, other, x, outputs = make_pair(cases.trainable()[name])
  path = tf.train.Checkpoint(subject=subject).write(str(tmp_path / 'ckpt'))
  tf.train.Checkpoint(subject=other).read(path).assert_consumed()
  # assert_consumed is content with a checkpoint that holds nothing.
  for a, b in zip(
      cases.layer_of(subject).variables, cases.layer_of(other).variables,
      strict=True):
    np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=a.path)
  assert_same(cases.evaluate(other, x), outputs)


def nest(bijector, event_shape):
  """A distribution around a bijector, several wrappers deep."""
  inner = tfb.Chain([tfb.Invert(tfb.Chain([bijector])), tfb.Shift(0.1)])
  base_shape = bijector.forward_event_shape(event_shape)
  base = tfd.Sample(tfd.Normal(0.0, 1.0), base_shape)
  return tfd.TransformedDistribution(base, inner)


@pytest.mark.parametrize('name', [
    name for name in cases.BIJECTORS if name in cases.trainable()])
def test_nested_bijectors_keep_their_variables(name, tmp_path):
  """Through Chain, Invert and TransformedDistribution, and checkpoints."""
  case = cases.BIJECTORS[name]
  subject, other, x, _ = make_pair(case)
  nested = nest(subject, case.event_shape)
  layer = cases.layer_of(subject)
  for kind in ('trainable_variables', 'variables'):
    found = {v.ref() for v in getattr(nested, kind)}
    assert found == {v.value.ref() for v in getattr(layer, kind)}
  path = tf.train.Checkpoint(density=nested).write(str(tmp_path / 'ckpt'))
  restored = nest(other, case.event_shape)
  tf.train.Checkpoint(density=restored).read(path).assert_consumed()
  kwargs = {'bijector_kwargs': seed_kwargs(nested.bijector, subject.name)}
  np.testing.assert_allclose(
      restored.log_prob(x, **kwargs), nested.log_prob(x, **kwargs),
      rtol=1e-6)


def seed_kwargs(chain, name):
  """Keyword arguments that seed the bijector `name` inside of `nest`."""
  return {chain.bijectors[0].name: {name: {'seed': 2}}}
