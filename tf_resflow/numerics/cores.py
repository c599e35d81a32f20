"""How the cores of a CPU are divided: within operations, or among them.

By default TensorFlow divides every operation among all cores. An operation on
the hidden layer of a few images is over in less than a millisecond, so that the
cores spend much of their time waiting for one another. Where operations have
one thread each instead, a batch is divided: as many parts of it as there are
cores are computed at once (`chunking.map_in_chunks`).
"""

import collections
from collections.abc import Callable, Iterable, Iterator
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


def map_parallel(
    function: Callable[[Any], Any], items: Iterable,
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
