"""The distribution of events whose latents are standard normal."""

import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd


def distribution(
    bijector: tfb.Bijector, latent_size: int, dtype: str | tf.DType,
) -> tfd.TransformedDistribution:
  """Returns the distribution of `x` where `bijector(x)` is standard normal.

  Args:
    bijector: maps events to latents `[D]`.
    latent_size: `D`.
    dtype: dtype of the latents.

  Example:
    >>> d = bijectors.distribution(tfb.Scale(2.0), 3, tf.float32)
    >>> d.event_shape
    TensorShape([3])
  """
  return tfd.TransformedDistribution(
      tfd.MultivariateNormalDiag(tf.zeros([latent_size], dtype)),
      tfb.Invert(bijector))
