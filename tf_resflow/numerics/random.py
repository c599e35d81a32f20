"""Stateless random draws that do not depend on the number of replicas."""

from collections.abc import Callable, Sequence
import functools
from typing import NamedTuple

import tensorflow as tf

from tf_resflow import errors
from tf_resflow.numerics import tracing


class Seed(NamedTuple):
  """A stateless seed, and what kind of batch it draws for.

  Attributes:
    values: int32 `[2]`, as stateless TensorFlow random ops take it.
    is_whole_batch: whether the batch that a replica holds is one of its own.
      By default it is a part of a global batch, which the replicas share.
    numbers: integers `[B]`, those of the examples where they do not follow from
      the places in the batch, see `numbered`.
  """

  values: tf.Tensor
  is_whole_batch: bool = False
  numbers: tf.Tensor | None = None


# What functions take for a seed.
SeedLike = None | int | tf.Tensor | Seed


def as_seed(seed: SeedLike = None) -> Seed:
  """Returns a stateless seed.

  Args:
    seed: None for a fresh seed on every execution (also inside a traced
      function); a Python int; an integer tensor of shape `[2]`; or a `Seed`.

  Raises:
    InvalidValueError: if `seed` has another shape or is not an integer.
  """
  if isinstance(seed, Seed):
    return seed
  if seed is None:
    return Seed(tf.random.uniform([2], maxval=tf.int32.max, dtype=tf.int32))
  if isinstance(seed, int):
    # Two 31-bit halves, so that large seeds stay distinct.
    return Seed(tf.constant(
        [(seed >> 31) & 0x7FFFFFFF, seed & 0x7FFFFFFF], tf.int32))
  seed = tf.convert_to_tensor(seed)
  errors.check(
      seed.dtype.is_integer and seed.shape.rank == 1 and
      seed.shape[0] in (2, None), 'seed',
      f'{seed.dtype.name} of shape {seed.shape}',
      'None, a Python int or an integer tensor of shape [2]')
  return Seed(tf.cast(seed, tf.int32))


def whole_batch(seed: SeedLike) -> Seed:
  """Returns a seed for a replica whose batch is no part of a global one.

  Its draws are then those of one device that is given this batch and seed.
  """
  return as_seed(seed)._replace(is_whole_batch=True)


def numbered(seed: SeedLike, numbers: tf.Tensor) -> Seed:
  """Returns a seed whose draws go by the numbers of the examples.

  What an example gets then depends on the seed and on its number alone, not on
  the batch that it comes in. What a batch shares (see `uniform_scalar`) depends
  on the seed alone, as ever.

  Args:
    seed: see `as_seed`.
    numbers: integers `[B]`, of the examples of the batch.

  Example:
    >>> draw = normal([2, 3], numbered(0, [4, 7]))
    >>> bool(tf.reduce_all(draw[1:] == normal([1, 3], numbered(0, [7]))))
    True
  """
  return as_seed(seed)._replace(numbers=tf.cast(numbers, tf.int32))


def fold_in(seed: SeedLike, data: int | tf.Tensor) -> Seed:
  """Returns a seed that depends on `seed` and the integer `data`."""
  seed = as_seed(seed)
  return seed._replace(values=_fold_in(seed.values, tf.convert_to_tensor(data)))


# A deep flow draws for every block: these are functions of their own, so that
# its graph has one operation for a draw where there would be ten.


@tracing.noinline_function
def _fold_in(values, data):
  values = tf.random.experimental.stateless_fold_in(values, data)
  # XLA takes another stream than the CPU kernels for negative seeds.
  return tf.bitwise.bitwise_and(values, 0x7FFFFFFF)


def uniform_scalar(seed: SeedLike) -> tf.Tensor:
  """Returns a float64 scalar, uniform on the multiples of 2^-53 in [0, 1).

  Made of integers, which XLA draws as the CPU kernels do; floats it does not.
  """
  return _uniform_scalar(as_seed(seed).values)


@tracing.noinline_function
def _uniform_scalar(values):
  bits = tf.cast(tf.random.stateless_uniform(
      [2], values, minval=None, maxval=None, dtype=tf.int32), tf.float64)
  # Signed to unsigned, exactly: 32 and 21 random bits.
  high, low = tf.unstack(tf.where(bits < 0.0, bits + 2.0**32, bits))
  return (high * 2.0**21 + tf.floor(low * 2.0**-11)) * 2.0**-53


def _draw_for_global_batch(draw_fn: Callable, shape: Sequence[int] | tf.Tensor,
                           seed: SeedLike) -> tf.Tensor:
  """Draws this replica's part of a draw for the global batch.

  Example `i` of replica `r` is example `r * B + i` of the global batch, for
  which every replica draws: what an example gets depends on its place in it and
  not on how many replicas share the work. Or see `whole_batch`, `numbered`.
  """
  seed = as_seed(seed)
  shape = tf.convert_to_tensor(shape, tf.int32)
  if seed.numbers is not None:
    drawn = tf.map_fn(
        lambda i: draw_fn(shape[1:], fold_in(seed, i).values), seed.numbers,
        fn_output_signature=draw_fn(shape[:0], seed.values).dtype)
    return tf.reshape(drawn, shape)  # Its static shape is lost in the loop.
  context = tf.distribute.get_replica_context()
  num_replicas = 1 if context is None else context.num_replicas_in_sync
  if num_replicas == 1 or seed.is_whole_batch:
    return draw_fn(shape, seed.values)
  batch_size = shape[0]
  start = tf.cast(context.replica_id_in_sync_group, tf.int32) * batch_size
  return draw_fn(
      tf.concat([[batch_size * num_replicas], shape[1:]], axis=0),
      seed.values)[start:start + batch_size]


def uniform(shape: Sequence[int] | tf.Tensor, seed: SeedLike,
            dtype: tf.DType = tf.float32) -> tf.Tensor:
  """Draws on [0, 1), `shape = [B, ...]`, by place in the global batch."""
  return _draw_for_global_batch(functools.partial(
      tf.random.stateless_uniform, dtype=dtype), shape, seed)


def normal(shape: Sequence[int] | tf.Tensor, seed: SeedLike,
           dtype: tf.DType = tf.float32) -> tf.Tensor:
  """Standard normal draws `shape = [B, ...]`, by place in the global batch."""
  return _draw_for_global_batch(functools.partial(
      tf.random.stateless_normal, dtype=dtype), shape, seed)


@functools.partial(tf.function, autograph=False, reduce_retracing=True)
def normal_rows(numbers: tf.Tensor, seed: tf.Tensor, size: int,
                dtype: tf.DType) -> tf.Tensor:
  """Standard normal draws, row `i` of which depends on `numbers[i]` alone.

  Args:
    numbers: int32 `[N]`.
    seed: int32 `[2]`.
    size: of a row.
    dtype: of the result, `[N, size]`.
  """
  return tf.map_fn(
      lambda i: normal([size], whole_batch(fold_in(seed, i)), dtype),
      numbers, fn_output_signature=tf.TensorSpec([size], dtype))


def rademacher(shape: Sequence[int] | tf.Tensor, seed: SeedLike,
               dtype: tf.DType = tf.float32) -> tf.Tensor:
  """Draws of +1 and -1 with probability 1/2, `shape = [B, ...]`."""

  def draw(shape, values):
    static_shape = tf.get_static_value(shape)
    return (_signs(shape, values, dtype) if static_shape is None else
            _signs_of_shape(tuple(static_shape.tolist()), values, dtype))

  return _draw_for_global_batch(draw, shape, seed)


def _signs(shape, values, dtype):
  bits = tf.random.stateless_uniform(
      shape, values, minval=None, maxval=None, dtype=tf.int32)
  return tf.cast(tf.where(bits >= 0, 1, -1), dtype)


# Takes the shape as a tuple: given a tensor, a function's result has none.
_signs_of_shape = tracing.function_in_graphs(_signs)
