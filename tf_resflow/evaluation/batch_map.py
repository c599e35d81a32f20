"""One function for batch after batch, on one device or on several at once."""

from collections.abc import Callable, Iterable, Iterator
import itertools
from typing import Any

import tensorflow as tf

from tf_resflow import private_apis


def make_batch_map(
    function: Callable, strategy: tf.distribute.Strategy | None = None,
) -> Callable[[Iterable[tuple]], Iterator[Any]]:
  """Returns a generator function that applies `function` to batches.

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

  Returns:
    `map_fn(batches)`: takes an iterable of tuples, the arguments of
    `function`, and yields its results in this order, as NumPy arrays.

  Example:
    >>> double = make_batch_map(lambda x: 2.0 * x)
    >>> [y.tolist() for y in double([(tf.ones([3]),), (tf.ones([2]),)])]
    [[2.0, 2.0, 2.0], [2.0, 2.0]]
  """
  num_replicas = 1 if strategy is None else strategy.num_replicas_in_sync

  # It is traced for every evaluation.
  @private_apis.allow_frequent_tracing
  @tf.function(autograph=False, reduce_retracing=True)
  def run(parts):
    if num_replicas == 1:
      return [function(*parts[0])]
    arguments = [
        strategy.experimental_distribute_values_from_function(
            lambda context, values=values: values[
                context.replica_id_in_sync_group])
        for values in zip(*parts, strict=True)]
    results = strategy.run(function, args=arguments)
    leaves = [strategy.experimental_local_results(leaf)
              for leaf in tf.nest.flatten(results)]
    return [tf.nest.pack_sequence_as(results, leaf)
            for leaf in zip(*leaves, strict=True)]

  def map_fn(batches):
    batches = iter(batches)
    while parts := list(itertools.islice(batches, num_replicas)):
      idle = num_replicas - len(parts)
      results = run(parts + parts[-1:] * idle)
      for result in results[:len(parts)]:
        yield tf.nest.map_structure(lambda t: t.numpy(), result)

  return map_fn
