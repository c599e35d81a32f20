"""What layers made of layers share."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from tf_resflow import errors

_DTYPES = ('float32', 'float64')


def check_precision(layer: keras.layers.Layer) -> None:
  """Raises unless a layer computes in float32 or float64."""
  errors.check(
      layer.compute_dtype in _DTYPES and layer.variable_dtype in _DTYPES,
      'dtype', layer.dtype_policy.name, ' or '.join(_DTYPES),
      'Norms and log-determinants need that precision.')


def common_dtype(parts: Sequence[keras.layers.Layer]) -> str:
  """Returns the dtype in which all parts compute.

  Raises:
    InvalidValueError: if there are several.
  """
  dtypes = sorted({part.compute_dtype for part in parts})
  errors.check(
      len(dtypes) < 2, 'dtype', ' and '.join(dtypes),
      'the same for all layers of one g or chain', 'Give them one dtype=.')
  return dtypes[0] if dtypes else keras.config.floatx()


def track(owner: keras.layers.Layer, parts: Sequence[keras.layers.Layer],
          ) -> list[keras.layers.Layer]:
  """Shows parts to `tf.train.Checkpoint`; returns them as a list.

  Keras tracks layers in lists for its own files only: without this a checkpoint
  of the owner would hold no weights, and nothing would warn.
  """
  owner.tracked_parts = tf.Module(name='parts')
  for i, part in enumerate(parts):
    setattr(owner.tracked_parts, f'part_{i}', part)
  return list(parts)


def serialize(parts: Sequence[keras.layers.Layer]) -> list[dict]:
  """Returns the configurations of parts, for `get_config`."""
  return [keras.saving.serialize_keras_object(part) for part in parts]


def deserialize(config: dict) -> dict:
  """Returns `config` with the layers that `serialize` described."""
  return config | {'parts': [
      keras.saving.deserialize_keras_object(part) for part in config['parts']]}


def frozen_copy(layer: keras.layers.Layer) -> keras.layers.Layer:
  """Returns a layer that computes alike and keeps the present weights.

  That is the layer itself where it has none.

  Args:
    layer: built, and described by its configuration.
  """
  if not layer.variables:
    return layer
  copy = type(layer).from_config(layer.get_config())
  copy.build_from_config(layer.get_build_config())
  copy.set_weights(layer.get_weights())
  return copy
