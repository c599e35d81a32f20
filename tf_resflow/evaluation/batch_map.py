"""One function for batch after batch, on one device or on several at once."""

from collections.abc import Callable, Iterable, Iterator
import itertools
import logging
import sys
from typing import Any

import keras
import tensorflow as tf

from tf_resflow import private_apis

_logger = logging.getLogger(__name__)


def progress_bar(
    num_images: int, verbose: int, title: str = '') -> keras.utils.Progbar:
  """Returns a Keras progress bar, on stdout.

  Args:
    num_images: how many there will be.
    verbose: 1 shows it, 0 does not.
    title: is logged before it is shown.
  """
  if verbose and title:
    _logger.info(title)
  return keras.utils.Progbar(
      num_images, verbose=verbose, unit_name='image',
      # Few lines where the output is not a terminal.
      interval=0.5 if sys.stdout.isatty() else 30.0)


class BatchMap:
  """A function of batches, traced once for all calls.

  With several replicas, as many batches are computed at once as there are
  replicas, each of them whole on one device. So results are those of one
  device: nothing is padded, and what depends on the composition of a batch
  (`numerics.AdaptiveRoulette`) does not see the number of devices. Where the
  last round has too few batches, the idle replicas repeat its last one, and
  what they return is dropped.

  Args:
    function: maps tensors to a structure of tensors; traced. Where it draws,
      it says that its batch is whole, see `numerics.random.whole_batch`.
    strategy: in its scope the variables that `function` reads were made; None
      for the default device.

  Example:
    >>> double = BatchMap(lambda x: 2.0 * x)
    >>> [y.tolist() for y in double([(tf.ones([3]),)])]
    [[2.0, 2.0, 2.0]]
  """

  def __init__(
      self, function: Callable,
      strategy: tf.distribute.Strategy | None = None):
    self._num_replicas = num_replicas = (
        1 if strategy is None else strategy.num_replicas_in_sync)

    def run(parts):
      if num_replicas == 1:
        return [function(*parts[0])]
      arguments = [
          strategy.experimental_distribute_values_from_function(
              lambda context, values=values: values[
                  context.replica_id_in_sync_group])
          for values in zip(*parts, strict=True)]
      results = strategy.run(function, args=arguments)
      return [
          tf.nest.map_structure(
              lambda leaf, i=i: strategy.experimental_local_results(leaf)[i],
              results)
          for i in range(num_replicas)]

    # Every evaluation has one of its own.
    self._run = private_apis.allow_frequent_tracing(
        tf.function(run, autograph=False, reduce_retracing=True))

  def __call__(
      self, batches: Iterable[tuple],
      bar: keras.utils.Progbar | None = None) -> Iterator[Any]:
    """Applies the function.

    Args:
      batches: tuples, its arguments, read as they are needed.
      bar: a progress bar; it counts the examples of the first argument.

    Yields:
      The results in the order of the batches, as NumPy arrays.
    """
    batches = iter(batches)
    while parts := list(itertools.islice(batches, self._num_replicas)):
      idle = parts[-1:] * (self._num_replicas - len(parts))
      for part, result in zip(parts, self._run(parts + idle), strict=False):
        if bar is not None:
          bar.add(len(part[0]))
        yield tf.nest.map_structure(lambda t: t.numpy(), result)
