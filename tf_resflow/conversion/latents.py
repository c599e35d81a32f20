"""The order of latents: ours, and that of the authors' code.

Both flatten the parts of the latents (`model.latent_shapes`: what is factored
out, scale by scale, then the rest) and join them in the same order. This
package flattens every part from `[h, w, c]`, the authors' code from
`[c, h, w]`.
"""

import math

import tensorflow as tf

from tf_resflow import errors
from tf_resflow import models


def to_channels_first(model: models.ResidualFlow, z: tf.Tensor) -> tf.Tensor:
  """Returns latents in the order of the authors' code.

  Args:
    model: a `models.ResidualFlow`.
    z: `[B, D]`, latents of the model.

  Returns:
    `[B, D]`.

  Example:
    >>> model = conversion.load_model('cifar10_resflow.pth')
    >>> z = tf.zeros([4, model.event_size])
    >>> z_theirs = conversion.to_channels_first(model, z)
  """
  return tf.concat([
      _flatten(tf.transpose(tf.reshape(part, [-1, *shape]), [0, 3, 1, 2]))
      for part, shape in _parts(model, z)], axis=1)


def from_channels_first(model: models.ResidualFlow, z: tf.Tensor) -> tf.Tensor:
  """Returns latents of the authors' code in the order of the model.

  Args:
    model: a `models.ResidualFlow`.
    z: `[B, D]`, in the order of the authors' code.

  Returns:
    `[B, D]`, for `model.inverse`.
  """
  return tf.concat([
      _flatten(tf.transpose(tf.reshape(part, [-1, c, h, w]), [0, 2, 3, 1]))
      for part, (h, w, c) in _parts(model, z)], axis=1)


def _parts(model, z):
  """Returns pairs of a part of the latents and its shape `[h, w, c]`."""
  z = tf.convert_to_tensor(z)
  errors.check(
      z.shape.rank == 2 and z.shape[1] == model.event_size, 'z',
      f'a tensor of shape {z.shape}', f'the shape [B, {model.event_size}]')
  sizes = [math.prod(shape) for shape in model.latent_shapes]
  return zip(tf.split(z, sizes, axis=1), model.latent_shapes, strict=True)


def _flatten(x):
  return tf.reshape(x, [-1, math.prod(x.shape[1:])])
