"""How work is divided: among the cores of a CPU, a batch into chunks.

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

# TensorFlow reads them where a program sets nothing.
_THREADS = 'TF_NUM_INTRAOP_THREADS'
_OPERATIONS = 'TF_NUM_INTEROP_THREADS'


def give_operations_one_thread() -> None:
  """Divides batches among the cores of a CPU, not operations, from now on.

  For a process that trains: a step of a small flow takes half of the time, of a
  large one four fifths (docs/performance.md). What works on a batch as a whole,
  such as an evaluation with `AdaptiveRoulette`, has one core then. To be called
  before TensorFlow runs its first operation; without effect where there is a
  GPU, or the environment sets TF_NUM_INTRAOP_THREADS.

  Raises:
    RuntimeError: if TensorFlow has run something already.
  """
  if _THREADS not in os.environ and not tf.config.list_physical_devices('GPU'):
    tf.config.threading.set_intra_op_parallelism_threads(1)


def num_parallel() -> int:
  """Returns how many operations to compute at once.

  The number of cores where an operation has one thread, else one: it has all
  cores then.
  """
  threading = tf.config.threading
  if _setting(threading.get_intra_op_parallelism_threads(), _THREADS) != 1:
    return 1
  return (_setting(threading.get_inter_op_parallelism_threads(), _OPERATIONS) or
          (len(os.sched_getaffinity(0))  # Not on macOS.
           if hasattr(os, 'sched_getaffinity') else os.cpu_count()) or 1)


def _setting(value, variable):
  """Returns what the program set, else the environment, else 0."""
  return value or int(os.environ.get(variable) or 0)


def map_parallel(function: Callable[[Any], Any], items: Iterable,
                 max_parallel: int | None = None) -> Iterator[Any]:
  """Applies a function to items, to several at once where cores allow it.

  Python has one thread for each, so the function should spend its time in
  TensorFlow: tracing goes on in one of them at a time. What threads have for
  themselves, such as a `tf.distribute` scope or a graph, they start without.

  Args:
    function: of one item.
    items: read as they are needed.
    max_parallel: how many to take at once, at most.

  Yields:
    The results, in the order of the items.
  """
  num = min(num_parallel(), max_parallel or num_parallel())
  if num == 1:
    yield from map(function, items)
    return
  with concurrent.futures.ThreadPoolExecutor(num) as pool:
    started = collections.deque()
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
  """Evaluates a function of a batch on a few examples at a time.

  What the function allocates for an example is then needed `max_examples` times
  at most, or so often for each of the chunks that are computed at once, see
  `num_parallel`. Where the batch is not larger it is called once; also where
  its size is not known when traced, unless `unknown_sizes` allows that.

  Args:
    function: maps tensors `[B, ...]` to two lists: outputs `[B, ...]`, example
      by example, and sums over the examples.
    max_examples: Python int, or None for the whole batch at once.
    tensors: list of tensors `[B, ...]`.
    outputs_like: tensors of the shapes and dtypes of the outputs, or their
      `tf.TensorSpec`s.
    sums_like: tensors of the shapes and dtypes of the sums.
    unknown_sizes: whether to take chunks of batches of unknown size, too; XLA
      does not compile such chunks.

  Returns:
    What `function(*tensors)` returns, up to rounding.
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
    # Not beside the loop, or both would allocate at once.
    with tf.control_dependencies([*outputs, *sums]):
      last = [tf.identity(t[-rest:]) for t in tensors]
    last_outputs, last_sums = function(*last)
    outputs = [tf.concat(pair, axis=0)
               for pair in zip(outputs, last_outputs, strict=True)]
    sums = [a + b for a, b in zip(sums, last_sums, strict=True)]
  # Joined arrays forget it, and what comes next would not be taken in chunks.
  return [tf.ensure_shape(o, [batch_size, *o.shape[1:]]) for o in outputs], sums


def _chunk_size(batch_size, max_examples, num_parallel):
  """The size of nearly equal chunks, or that with which all cores end first.

  Those that do not fill it up are a chunk of their own, after all others.
  """
  if num_parallel == 1:
    return -(-batch_size // -(-batch_size // max_examples))

  def duration(size):
    num_chunks, rest = divmod(batch_size, size)
    return -(-num_chunks // num_parallel) * size + rest

  return min(range(max_examples, (max_examples - 1) // 2, -1), key=duration)


def _loop(function, num_chunks, size, tensors, outputs_like, sums_like):
  """Joins and sums over `num_chunks` chunks of `size` examples.

  Where these are tensors the last chunk may be smaller.
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
