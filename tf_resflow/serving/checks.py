"""Checks of what a client sent, as operations of the graph.

A server does not compare shapes with those of a signature. A check that fails
is a `tf.errors.InvalidArgumentError`, which TensorFlow Serving returns to the
client. Dtypes are compared by the runtime itself.
"""

from typing import Any

import tensorflow as tf

from tf_resflow import errors


def _require(condition, tensor, message):
  """Returns `tensor`, behind an assertion with the parts of a message."""
  assertion = tf.debugging.Assert(condition, message)
  # None in eager mode, where the assertion has run already.
  with tf.control_dependencies([] if assertion is None else [assertion]):
    return tf.identity(tensor)


def _tensor(value, spec):
  """Returns a value as a tensor of the dtype and shape of its `TensorSpec`."""
  tensor = tf.convert_to_tensor(value)
  errors.check(
      tensor.dtype == spec.dtype, spec.name, f'a tensor {tensor.dtype.name}',
      f'{spec.dtype.name} {spec.shape}')
  # When the graph runs; the message names the tensor.
  return tf.ensure_shape(tensor, spec.shape)


def _not_empty(tensor, name):
  """One image or more: oneDNN's convolutions fail on an empty batch."""
  return _require(
      tf.shape(tensor)[0] >= 1, tensor,
      [f'{name} is an empty batch; expected 1 or more.'])


def check_images(
    images: Any, spec: tf.TensorSpec, num_levels: int) -> tf.Tensor:
  """Returns images of levels 0, ..., num_levels - 1.

  Args:
    images: what the client sent.
    spec: that of `[B, H, W, C]`, uint8.
    num_levels: of the model.
  """
  images = _not_empty(_tensor(images, spec), spec.name)
  if num_levels == 256:
    return images  # Any uint8 is a level.
  largest = tf.reduce_max(images)
  return _require(
      largest < num_levels, images,
      [f'{spec.name} has the level', largest, f'; expected levels 0 to '
       f'{num_levels - 1}, as in the data set (not scaled to 0 to 255).'])


def check_latents(latents: Any, spec: tf.TensorSpec) -> tf.Tensor:
  """Returns latents `[B, D]`, all of them finite."""
  latents = _not_empty(_tensor(latents, spec), spec.name)
  return _require(
      tf.reduce_all(tf.math.is_finite(latents)), latents,
      [f'{spec.name} has numbers that are not finite; expected those of the '
       'signature encode, or standard normal ones.'])


def check_seed(seed: Any, spec: tf.TensorSpec) -> tf.Tensor:
  """Returns a seed, any two integers."""
  return _tensor(seed, spec)


def check_num_samples(
    num_samples: Any, spec: tf.TensorSpec, largest: int) -> tf.Tensor:
  """Returns a number of samples, 1 to `largest`."""
  num_samples = _tensor(num_samples, spec)
  return _require(
      (num_samples >= 1) & (num_samples <= largest), num_samples,
      [f'{spec.name} is', num_samples, f'; expected 1 to {largest}.'])


def check_temperature(temperature: Any, spec: tf.TensorSpec) -> tf.Tensor:
  """Returns a temperature, 0 or more and finite."""
  temperature = _tensor(temperature, spec)
  return _require(
      (temperature >= 0.0) & tf.math.is_finite(temperature), temperature,
      [f'{spec.name} is', temperature, '; expected a finite number, 0 or '
       'more: 1 samples the model, less varies less.'])
