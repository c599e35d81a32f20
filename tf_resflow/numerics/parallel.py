"""Parallelism on CPUs: work divided among cores, batches into chunks.

By default TensorFlow divides every operation among all cores. An operation on
the hidden layer of a few images is over in less than a millisecond, so that the
cores spend much of their time waiting for one another. Where operations have
one thread each instead, a batch is divided: as many parts of it as there are
cores are computed at once (`map_in_chunks`).
"""

import collections
from collections.abc import Callable, Iterable, Iterator, Sequence
import concurrent.futures
import os
from typing import Any

import tensorflow as tf

from tf_resflow.specs import machine

# TensorFlow reads these variables if a program sets nothing.
_THREADS = 'TF_NUM_INTRAOP_THREADS'
_OPERATIONS = 'TF_NUM_INTEROP_THREADS'


def give_operations_one_thread() -> None:
  """Makes TensorFlow divide batches among the cores of a CPU, not operations.

  For a process that trains: a step of a small flow takes half of the time, of a
  large one four fifths (docs/speed.md). Computations on a whole batch,
  such as an evaluation with `AdaptiveRoulette`, then run on one core. Call it
  before TensorFlow runs its first operation. It has no effect if there is a
  GPU, or if the environment sets TF_NUM_INTRAOP_THREADS.

  Raises:
    RuntimeError: if TensorFlow has run something already.
  """
  if _THREADS not in os.environ and not tf.config.list_physical_devices('GPU'):
    tf.config.threading.set_intra_op_parallelism_threads(1)


def num_parallel() -> int:
  """Returns the number of operations to run in parallel.

  The number of cores if every operation has one thread, else one.
  """
  threading = tf.config.threading
  if _setting(threading.get_intra_op_parallelism_threads(), _THREADS) != 1:
    return 1
  return _setting(threading.get_inter_op_parallelism_threads(), _OPERATIONS
                  ) or machine.num_cores()


def _setting(value, variable):
  """Returns what the program set, else the environment, else 0."""
  return value or int(os.environ.get(variable) or 0)


def map_parallel(function: Callable[[Any], Any], items: Iterable,
                 max_parallel: int | None = None) -> Iterator[Any]:
  """Applies a function to items in up to `num_parallel()` threads.

  The function should spend its time in TensorFlow, since Python code, such as
  tracing, runs in one thread at a time. Thread-local state, such as a
  `tf.distribute` scope or a graph, is not inherited.

  Items are read as they are needed, and results are in their order.
  """
  num = min(num_parallel(), max_parallel or num_parallel())
  if num == 1:
    yield from map(function, items)
    return
  with concurrent.futures.ThreadPoolExecutor(num) as pool:
    started: collections.deque = collections.deque()
    try:
      for item in items:
        started.append(pool.submit(function, item))
        if len(started) == num:
          yield started.popleft().result()
      while started:
        yield started.popleft().result()
    finally:
      pool.shutdown(cancel_futures=True)


def map_in_chunks(
    function: Callable, max_examples: int | None, tensors: Sequence[tf.Tensor],
    outputs_like: Sequence[tf.Tensor], sums_like: Sequence[tf.Tensor] = (),
    unknown_sizes: bool = False) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
  """Evaluates a function of a batch in chunks, which bounds its memory.

  The function needs the memory for at most `max_examples` examples, times the
  number of chunks that are computed in parallel, see `num_parallel`. It is
  called once if the batch is not larger, or if its size is unknown when traced
  and `unknown_sizes` is False.

  Args:
    function: maps tensors `[B, ...]` to two lists: outputs `[B, ...]`, example
      by example, and sums over the examples.
    max_examples: Python int, or None for the whole batch at once.
    tensors: its arguments.
    outputs_like: tensors like the outputs, or their `tf.TensorSpec`s.
    sums_like: tensors like the sums.
    unknown_sizes: whether to divide batches of unknown size as well; XLA cannot
      compile such chunks.

  Returns:
    `function(*tensors)`, up to rounding.
  """
  batch_size = tensors[0].shape[0]
  if unknown_sizes and batch_size is None and max_examples is not None:
    batch_size = tf.shape(tensors[0])[0]
    # An empty batch is one chunk.
    num_chunks = tf.maximum((batch_size + max_examples - 1) // max_examples, 1)
    return _loop(
        function, num_chunks, (batch_size + num_chunks - 1) // num_chunks,
        tensors, outputs_like, sums_like)
  if None in (max_examples, batch_size) or batch_size <= max_examples:
    return function(*tensors)
  size = _chunk_size(batch_size, max_examples, num_parallel())
  num_chunks, rest = divmod(batch_size, size)
  outputs, sums = _loop(
      function, num_chunks, size, [t[:num_chunks * size] for t in tensors],
      outputs_like, sums_like)
  if rest:
    # Not in parallel to the loop, or both would allocate memory at once.
    with tf.control_dependencies([*outputs, *sums]):
      last = [tf.identity(t[-rest:]) for t in tensors]
    last_outputs, last_sums = function(*last)
    outputs = [tf.concat(pair, axis=0)
               for pair in zip(outputs, last_outputs, strict=True)]
    sums = [a + b for a, b in zip(sums, last_sums, strict=True)]
  # Concatenation loses the static size, which later chunking needs.
  return [tf.ensure_shape(o, [batch_size, *o.shape[1:]]) for o in outputs], sums


def _chunk_size(batch_size, max_examples, num_parallel):
  """Returns a chunk size: nearly equal chunks, or the fastest on all cores.

  The remaining examples are a smaller chunk, after all others.
  """
  if num_parallel == 1:
    return -(-batch_size // -(-batch_size // max_examples))

  def duration(size):
    num_chunks, rest = divmod(batch_size, size)
    return -(-num_chunks // num_parallel) * size + rest

  return min(range(max_examples, (max_examples - 1) // 2, -1), key=duration)


def _loop(function, num_chunks, size, tensors, outputs_like, sums_like):
  """Concatenates and sums over `num_chunks` chunks of `size` examples.

  If these are tensors the last chunk may be smaller.
  """
  is_static = isinstance(size, int)

  def take(tensor, i):
    if not is_static:
      return tensor[i * size:(i + 1) * size]
    # XLA needs to know the size of a slice.
    return tf.slice(tensor, [i * size, *[0] * (tensor.shape.rank - 1)],
                    [size, *(-1 if n is None else n for n in tensor.shape[1:])])

  def body(i, arrays, sums):
    outputs, terms = function(*(take(t, i) for t in tensors))
    arrays = [a.write(i, o) for a, o in zip(arrays, outputs, strict=True)]
    return i + 1, arrays, [a + b for a, b in zip(sums, terms, strict=True)]

  arrays = [
      tf.TensorArray(
          like.dtype, size=num_chunks, infer_shape=is_static,
          element_shape=[size if is_static else None, *like.shape[1:]])
      for like in outputs_like]
  _, arrays, sums = tf.while_loop(
      lambda i, *_: i < num_chunks, body,
      (tf.constant(0), arrays, [tf.zeros_like(t) for t in sums_like]),
      parallel_iterations=num_parallel())
  return [array.concat() for array in arrays], sums
