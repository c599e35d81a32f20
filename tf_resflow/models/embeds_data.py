"""What a flow knows of its data, and does with them before its bijection."""

import functools
import math
from typing import Any

import keras
import tensorflow as tf

from tf_resflow import errors
from tf_resflow import layers
from tf_resflow.layers import base_layer
from tf_resflow.numerics import random


class EmbedsData(keras.Model):
  """A model of data that become events of a bijection, see `layers.Embedding`.

  Densities are of integers, in bits/dim, or of real numbers, in nats.

  With an embedding that draws, the noise of every method takes
  `fold_in(seed, 0)` and the log-determinant `fold_in(seed, 1)`; without one the
  log-determinant takes `seed`.

  Attributes:
    bijection: maps events to latents.
    event_shape: shape of the data.
    event_size: number of dimensions D of the data.
    num_levels: number of integer levels n of a pixel; None for real numbers.
  """

  bijection: layers.Bijection
  event_shape: tuple[int, ...]
  event_size: int
  num_levels: int | None
  _embedding: layers.Embedding | None = None

  @property
  def embedding(self) -> layers.Embedding:
    """What takes data to events; the identity where there is none."""
    return self._embedding or _identity(self.compute_dtype)

  def _seeds(self, seed):
    """Returns the seeds of the embedding and of the bijection."""
    return (random.fold_in(seed, 0), random.fold_in(seed, 1)
            ) if self.embedding.is_random else (None, seed)

  def check_condition(self, condition: Any) -> None:
    """Raises `InvalidValueError` for a condition that has no effect."""
    errors.check(
        condition is None or self.bijection.takes_condition, 'condition',
        'given', f'none, since {self.name} depends on no condition')

  def _events(self, x, event_shape, name, condition=None):
    """Returns `x` as a tensor `[B, *event_shape]`; checks the condition."""
    self.check_condition(condition)
    x = tf.convert_to_tensor(x)
    errors.check(
        x.dtype.is_floating, name, x.dtype.name, 'floats',
        'datasets.dequantize turns integers into numbers in [0, 1).')
    x = tf.cast(x, tf.as_dtype(self.compute_dtype))
    errors.check(
        x.shape.is_compatible_with([None, *event_shape]), name,
        f'a tensor {x.shape}', f'[B, {", ".join(map(str, event_shape))}]')
    return x

  def embed(self, x: tf.Tensor, condition: Any = None,
            seed: random.SeedLike = None) -> layers.Embedded:
    """Returns events that stand for data: those of all methods at this seed.

    Args:
      x: `[B, ...]`.
      condition: see `Flow.transform`.
      seed: see `numerics.random.as_seed`.
    """
    return self.embedding.embed(
        self._events(x, self.event_shape, 'x', condition), condition=condition,
        seed=self._seeds(seed)[0])

  def encode(self, x: tf.Tensor, seed: random.SeedLike = None,
             condition: Any = None) -> tf.Tensor:
    """Returns latents `[B, D]` alone; the seed is that of an embedding."""
    return base_layer.call_with(
        self.bijection, self.embed(x, condition, seed).y, condition)

  def call(self, inputs: tf.Tensor, condition: Any = None) -> tf.Tensor:
    return self.encode(inputs, condition=condition)

  def update_statistics(self, x: tf.Tensor, seed: random.SeedLike = None,
                        condition: Any = None) -> None:
    """Lets moving statistics see a batch; see `layers.MovingMean`."""
    self.bijection.update_statistics(
        self.embed(x, condition, seed).y, condition)

  @property
  def unit(self) -> str:
    """'bits_per_dim' of images of integers, 'nats' of other data."""
    return 'nats' if self.num_levels is None else 'bits_per_dim'

  def in_unit(self, log_prob: Any) -> Any:
    """Returns what a log-density costs, in `unit`: what training minimises.

    Args:
      log_prob: of the data, nats; an array or a tensor.

    Returns:
      `-log p(x)`, or that per dimension of the integers, see
      `Flow.bits_per_dim`.
    """
    return -log_prob if self.num_levels is None else self.bits_per_dim_of(
        log_prob)

  def log_prob_of(self, cost: Any) -> Any:
    """Returns the log-density in nats that `in_unit` made a cost of."""
    if self.num_levels is None:
      return -cost
    return self.event_size * (
        math.log(self.num_levels) - math.log(2.0) * cost)

  def bits_per_dim_of(self, log_prob: Any) -> Any:
    """Returns `-(log_prob - D log n) / (D log 2)`, see `Flow.bits_per_dim`."""
    errors.check(
        self.num_levels is not None, 'num_levels', None,
        'a number from 2', 'bits_per_dim is defined for integers; use '
        'log_prob.')
    return (
        math.log(self.num_levels) - log_prob / self.event_size) / math.log(2.0)


# Not a part of the model, whose checkpoints hold what is.
@functools.cache
def _identity(dtype):
  return layers.IdentityEmbedding(dtype=dtype)
