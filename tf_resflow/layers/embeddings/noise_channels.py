"""Further channels, of noise."""

from typing import Any

import tensorflow as tf

from tf_resflow import errors
from tf_resflow import numerics
from tf_resflow.layers import base_layer
from tf_resflow.layers.embeddings import embedding
from tf_resflow.numerics import differentiation


@base_layer.configured
class NoiseChannels(embedding.Embedding):
  """`y = [x, u]`: channels of independent noise behind those of the data.

  A flow of more dimensions than the data have can do with simpler bijections.
  Its `log_prob` is the bound of `Embedding`, with equality where it learns
  that the noise is independent of the data and has the law `q`. Samples leave
  the noise out.

  Args:
    num_channels: how many, 1 or more.
    law: spec of the `numerics.NoiseLaw` `q` of every number, on [0, 1] as
      pixels are: 'uniform', 'gaussian' or 'gaussian:SCALE'.
    **kwargs: of `keras.layers.Layer`.

  Raises:
    InvalidValueError: if `num_channels` or `law` is none of these.

  Example:
    >>> noise = layers.NoiseChannels(1, 'gaussian')
    >>> y, _ = noise.embed(tf.zeros([5, 2, 2, 3]), seed=0)
    >>> y.shape, noise.project(y).shape
    (TensorShape([5, 2, 2, 4]), TensorShape([5, 2, 2, 3]))

  References:
    Chen et al., 2019, the released code of Residual Flows (`--padding`).
  """

  def __init__(self, num_channels: int, law: str = 'uniform', **kwargs):
    super().__init__(**kwargs)
    errors.check(
        isinstance(num_channels, int) and num_channels >= 1, 'num_channels',
        num_channels, 'a whole number from 1')
    self.num_channels = num_channels
    self.law = law
    self.noise_law = numerics.NoiseLaw.get(law)

  def embed(self, x: tf.Tensor, condition: Any = None, *,
            seed: numerics.random.SeedLike = None) -> embedding.Embedded:
    del condition  # The noise depends on nothing.
    u = tf.ensure_shape(
        self.noise_law.draw(
            tf.concat([tf.shape(x)[:-1], [self.num_channels]], 0), seed,
            x.dtype),
        [*x.shape[:-1], self.num_channels])
    return embedding.Embedded(
        tf.concat([x, u], axis=-1),
        -differentiation.sum_per_example(self.noise_law.log_prob(u)))

  def project(self, y: tf.Tensor) -> tf.Tensor:
    return y[..., :-self.num_channels]

  def compute_output_shape(self, input_shape: tuple) -> tuple:
    return (*input_shape[:-1], input_shape[-1] + self.num_channels)
