"""Stateless random draws that do not depend on the number of replicas."""

from collections.abc import Callable, Sequence
import functools
from typing import NamedTuple, TypeAlias

import tensorflow as tf

from tf_resflow import errors
from tf_resflow.numerics import tracing


class Seed(NamedTuple):
  """A stateless seed, and how the examples of its batch are numbered.

  Attributes:
    values: int32 `[2]`, as stateless TensorFlow random ops take it.
    is_per_replica: whether the batch of a replica is complete by itself. By
      default it is a part of a global batch, which the replicas share.
    numbers: integers `[B]`, numbers of the examples, if these are not their
      indices in the batch; see `numbered`.
  """

  values: tf.Tensor
  is_per_replica: bool = False
  numbers: tf.Tensor | None = None


# Everything that `as_seed` accepts.
SeedLike: TypeAlias = None | int | tf.Tensor | Seed


def as_seed(seed: SeedLike = None) -> Seed:
  """Converts a value to a stateless `Seed`.

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
  values = tf.convert_to_tensor(seed)
  errors.check(
      values.dtype.is_integer and values.shape.rank == 1 and
      values.shape[0] in (2, None), 'seed',
      f'{values.dtype.name} of shape {values.shape}',
      'None, a Python int or an integer tensor of shape [2]')
  return Seed(tf.cast(values, tf.int32))


def per_replica(seed: SeedLike) -> Seed:
  """Returns a seed for a batch that is not part of a global batch.

  A replica then draws what a single device would for this batch and seed.
  """
  return as_seed(seed)._replace(is_per_replica=True)


def numbered(seed: SeedLike, numbers: tf.Tensor) -> Seed:
  """Returns a seed whose draws depend on the numbers of the examples, `[B]`.

  The draws of an example then depend only on the seed and on its number, not on
  the batch that it is in. Draws that a batch shares (see `uniform_scalar`)
  depend only on the seed.

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


# A deep flow draws for every block: as functions of their own, draws are one
# operation of its graph in place of ten.


@tracing.noinline_function
def _fold_in(values, data):
  values = tf.random.experimental.stateless_fold_in(values, data)
  # XLA takes another stream than the CPU kernels for negative seeds.
  return tf.bitwise.bitwise_and(values, 0x7FFFFFFF)


def uniform_scalar(seed: SeedLike) -> tf.Tensor:
  """Returns a float64 scalar, uniform on the multiples of 2^-53 in [0, 1).

  Made of random integers: unlike floats, XLA draws them as the CPU kernels do.
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
  which every replica draws: the draws of an example depend on its index there,
  not on the number of replicas. For exceptions see `per_replica`, `numbered`.
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
  if num_replicas == 1 or seed.is_per_replica:
    return draw_fn(shape, seed.values)
  batch_size = shape[0]
  start = tf.cast(context.replica_id_in_sync_group, tf.int32) * batch_size
  return draw_fn(
      tf.concat([[batch_size * num_replicas], shape[1:]], axis=0),
      seed.values)[start:start + batch_size]


def uniform(shape: Sequence[int] | tf.Tensor, seed: SeedLike,
            dtype: tf.DType = tf.float32) -> tf.Tensor:
  """Draws uniformly from [0, 1), `shape = [B, ...]`, by global batch index."""
  return _draw_for_global_batch(functools.partial(
      tf.random.stateless_uniform, dtype=dtype), shape, seed)


def normal(shape: Sequence[int] | tf.Tensor, seed: SeedLike,
           dtype: tf.DType = tf.float32) -> tf.Tensor:
  """Draws standard normals, `shape = [B, ...]`, by global batch index."""
  return _draw_for_global_batch(functools.partial(
      tf.random.stateless_normal, dtype=dtype), shape, seed)


@functools.partial(tf.function, autograph=False, reduce_retracing=True)
def normal_rows(numbers: tf.Tensor, seed: tf.Tensor, size: int,
                dtype: tf.DType) -> tf.Tensor:
  """Draws normals `[N, size]` for `numbers`, `[N]`; see `numbered`.

  As one graph for all numbers: eagerly, a loop over rows would be slow.
  """
  return normal([tf.size(numbers), size], numbered(seed, numbers), dtype)


def rademacher(shape: Sequence[int] | tf.Tensor, seed: SeedLike,
               dtype: tf.DType = tf.float32) -> tf.Tensor:
  """Draws +1 or -1 with probability 1/2 each, `shape = [B, ...]`."""

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
