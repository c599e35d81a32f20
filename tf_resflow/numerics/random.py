"""Stateless random draws that do not depend on the number of replicas."""

import contextlib
import threading

import tensorflow as tf

# Every replica traces its function in a thread of its own.
_scope = threading.local()


def as_seed(seed=None):
  """Returns a stateless seed, int32 `[2]`.

  Args:
    seed: None for a fresh seed on every execution (also inside a traced
      function); a Python int; or an integer tensor of shape `[2]`.

  Returns:
    An int32 tensor `[2]`.

  Raises:
    ValueError: if `seed` has another shape or is not an integer.
  """
  if seed is None:
    return tf.random.uniform([2], maxval=tf.int32.max, dtype=tf.int32)
  if isinstance(seed, int):
    # Two 31-bit halves, so that large seeds stay distinct.
    return tf.constant(
        [(seed >> 31) & 0x7FFFFFFF, seed & 0x7FFFFFFF], tf.int32)
  seed = tf.convert_to_tensor(seed)
  is_pair = seed.shape.rank == 1 and seed.shape[0] in (2, None)
  if not is_pair or not seed.dtype.is_integer:
    raise ValueError(
        f'seed is {seed.dtype.name} of shape {seed.shape}; expected None, a '
        'Python int or an integer tensor of shape [2].')
  return tf.cast(seed, tf.int32)


def fold_in(seed, data):
  """Returns a seed `[2]` that depends on `seed` and the integer `data`."""
  seed = tf.random.experimental.stateless_fold_in(as_seed(seed), data)
  # XLA takes another stream than the CPU kernels for negative seeds.
  return tf.bitwise.bitwise_and(seed, 0x7FFFFFFF)


def uniform_scalar(seed):
  """Returns a float64 scalar, uniform on the multiples of 2^-53 in [0, 1).

  Made of integers, which XLA draws as the CPU kernels do; floats it does not.

  Args:
    seed: int32 tensor `[2]`.
  """
  bits = tf.random.stateless_uniform(
      [2], seed, minval=None, maxval=None, dtype=tf.int32)
  # Signed to unsigned, exactly: 32 and 21 random bits.
  bits = tf.cast(bits, tf.float64)
  high, low = tf.unstack(tf.where(bits < 0.0, bits + 2.0**32, bits))
  return (high * 2.0**21 + tf.floor(low * 2.0**-11)) * 2.0**-53


@contextlib.contextmanager
def whole_batches():
  """Inside, what a replica holds is a batch of its own, not a part of one.

  Its draws are then those of one device that is given this batch and seed. To
  be entered within the function that `strategy.run` calls.
  """
  previous = getattr(_scope, 'is_whole', False)
  _scope.is_whole = True
  try:
    yield
  finally:
    _scope.is_whole = previous


def _draw_for_global_batch(draw_fn, shape):
  """Draws this replica's part of a draw for the global batch.

  Inside `strategy.run`, example `i` of replica `r` is example `r * B + i` of
  the global batch. Every replica draws for the whole batch and keeps its own
  part, so that what an example gets depends on its place in the global batch
  and not on how many replicas share the work. See `whole_batches` for the
  other case.
  """
  context = tf.distribute.get_replica_context()
  num_replicas = 1 if context is None else context.num_replicas_in_sync
  if num_replicas == 1 or getattr(_scope, 'is_whole', False):
    return draw_fn(shape)
  batch_size = shape[0]
  global_shape = tf.concat([[batch_size * num_replicas], shape[1:]], axis=0)
  start = tf.cast(context.replica_id_in_sync_group, tf.int32) * batch_size
  return draw_fn(global_shape)[start:start + batch_size]


def normal(shape, seed, dtype=tf.float32):
  """Standard normal draws `shape = [B, ...]`, by place in the global batch."""
  return _draw_for_global_batch(
      lambda s: tf.random.stateless_normal(s, seed, dtype=dtype),
      tf.convert_to_tensor(shape, tf.int32))


def rademacher(shape, seed, dtype=tf.float32):
  """Draws of +1 and -1 with probability 1/2, `shape = [B, ...]`."""

  def draw(s):
    bits = tf.random.stateless_uniform(
        s, seed, minval=None, maxval=None, dtype=tf.int32)
    return tf.cast(tf.where(bits >= 0, 1, -1), dtype)

  return _draw_for_global_batch(draw, tf.convert_to_tensor(shape, tf.int32))
