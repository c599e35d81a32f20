"""Maps functions of a flow over batches."""

from collections.abc import Callable, Iterable, Iterator, Sequence
import contextlib
import itertools
import logging
import sys
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_resflow import errors
from tf_resflow import models
from tf_resflow import numerics
from tf_resflow import private_apis

_logger = logging.getLogger(__name__)

# A batch smaller than the first is padded to its size if it has at least this
# share of it: for less, tracing another graph takes less time than the padding.
_LEAST_SHARE = 0.5
# Of fewer batches, of all calls, the operations are run one by one on one
# device, which takes less time than tracing them.
_MIN_TRACED = 9
# Most batches at once, where operations have one thread; each takes memory.
_MAX_PARALLEL = 4


def progress_bar(
    num_examples: int | None, verbose: int, title: str = '',
) -> keras.utils.Progbar:
  """Returns a Keras progress bar of examples, on stdout, if `verbose`.

  The title is logged before the bar is shown. Where their number is unknown, it
  only counts them.
  """
  if verbose and title:
    _logger.info(title)
  return keras.utils.Progbar(
      # One line at the end, without colours, if stdout is not a terminal.
      num_examples, verbose=1 + (not sys.stdout.isatty()) if verbose else 0,
      unit_name='example', interval=0.5)


def frozen(
    model: models.Flow, strategy: tf.distribute.Strategy | None = None,
) -> models.Flow:
  """Returns a frozen copy of a flow, which is traced in half of the time.

  Its kernels are normalised once, so that no graph contains power iterations.
  For a flow that was made in the scope of a strategy, `strategy` is needed.
  """
  with contextlib.nullcontext() if strategy is None else strategy.scope():
    return model.frozen()


class BatchMap:
  """A function of batches, traced once for all calls, if these have many.

  With several replicas, as many batches are computed at once as there are
  replicas, each of them on one device. So the results are those of
  one device, also where they depend on the composition of a batch
  (`numerics.AdaptiveRoulette`). If the last round has too few batches, the idle
  replicas repeat its last one, and their results are dropped. Where replicas
  are in several processes, all call this with the same batches, and each gets
  all results.

  On one device several batches are computed at once where operations have one
  thread each, see `numerics.parallel.num_parallel`; at most four.

  Tracing takes seconds, so a smaller last batch is padded to the size of the
  first one by repeating its last example, whose results are dropped, unless it
  is less than half as large.

  Args:
    function: maps tensors `[B, ...]` to a structure of tensors `[B, ...]`;
      traced. If it draws random numbers, it does so `per_replica`, see
      `numerics.random`. It returns no booleans, which
      collectives between processes do not know.
    strategy: in its scope the variables that `function` reads were made; None
      for the default device.
    shared: positions of the arguments that all examples share, such as a seed.
    is_repeated: whether the first batches have the graph, too, since there will
      be many.

  Example:
    >>> double = BatchMap(lambda x: 2.0 * x)
    >>> [y.tolist() for y in double([(tf.ones([3]),)])]
    [[2.0, 2.0, 2.0]]
  """

  def __init__(
      self, function: Callable, strategy: tf.distribute.Strategy | None = None,
      shared: Sequence[int] = (), *, is_repeated: bool = False):
    self._shared, self._function = shared, function
    replicas: Any = strategy  # Of several replicas; None stands for one.
    self._num_replicas = num_replicas = (
        1 if strategy is None else strategy.num_replicas_in_sync)
    # So many batches more are not traced.
    self._num_left = 0 if is_repeated or num_replicas > 1 else _MIN_TRACED - 1
    self._is_spread = num_replicas > 1 and num_replicas > len(
        replicas.extended.worker_devices)

    def of_replicas(leaf):
      if self._is_spread:
        return tf.split(replicas.gather(leaf, axis=0), num_replicas)
      return replicas.experimental_local_results(leaf)

    def run(parts):
      if num_replicas == 1:
        return [function(*parts[0])]
      arguments = [
          replicas.experimental_distribute_values_from_function(
              lambda context, values=values: values[
                  context.replica_id_in_sync_group])
          for values in zip(*parts, strict=True)]
      results = replicas.run(function, args=arguments)
      leaves = map(of_replicas, tf.nest.flatten(results))
      return [tf.nest.pack_sequence_as(results, leaves_of_one)
              for leaves_of_one in zip(*leaves, strict=True)]

    # Every evaluation traces its own function.
    self._run = private_apis.allow_frequent_tracing(
        tf.function(run, autograph=False, reduce_retracing=True))

  def __call__(
      self, batches: Iterable[tuple],
      bar: keras.utils.Progbar | None = None) -> Iterator[Any]:
    """Applies the function.

    Args:
      batches: tuples, its arguments, read as they are needed.
      bar: a progress bar; it counts the examples.

    Yields:
      The results in the order of the batches, as NumPy arrays.
    """
    rounds = self._rounds(iter(batches))
    first = [*itertools.islice(rounds, self._num_left + 1)]
    run = self._run if len(first) > self._num_left else (
        lambda parts: [self._function(*parts[0])])
    self._num_left = max(0, self._num_left - len(first))
    rounds = itertools.chain(first, rounds)

    def evaluate(sizes_and_parts):
      sizes, parts = sizes_and_parts
      return zip(sizes, run(parts), strict=False)

    # The first round traces the function for all others.
    for count, result in itertools.chain.from_iterable(itertools.chain(
        map(evaluate, itertools.islice(rounds, 1)),
        numerics.parallel.map_parallel(
            evaluate, rounds,
            max_parallel=_MAX_PARALLEL if self._num_replicas == 1 else 1))):
      if bar is not None:
        bar.add(count)
      yield tf.nest.map_structure(
          lambda t, count=count: t.numpy()[:count], result)

  def _rounds(self, batches):
    """Yields sizes and batches, as many of both as there are replicas."""
    size = None
    while parts := list(itertools.islice(batches, self._num_replicas)):
      sizes = [self._size(part) for part in parts]
      size = size or sizes[0]
      padded = [self._padded(part, size) for part in parts]
      yield sizes, padded + padded[-1:] * (self._num_replicas - len(parts))

  def _size(self, part):
    return next(len(a) for i, a in enumerate(part) if i not in self._shared)

  def _padded(self, part, size):
    """Returns the batch padded to `size`, or the batch itself."""
    missing = size - self._size(part)
    if missing <= 0 or (
        missing > (1.0 - _LEAST_SHARE) * size and not self._is_spread):
      return part
    return tuple(
        a if i in self._shared else tf.concat(
            [a, tf.repeat(a[-1:], missing, axis=0)], axis=0)
        for i, a in enumerate(part))


def inputs_of(batch: Any) -> tuple[Any, ...]:
  """Returns the inputs `(x,)` or `(x, condition)` in a batch.

  A batch is one of `datasets.evaluation_batches`, or such a tuple, or `x`.
  """
  if isinstance(batch, dict):
    return tuple(batch[key] for key in ('x', 'condition') if key in batch)
  return batch if isinstance(batch, tuple) else (batch,)


def slices(
    model: models.Flow, x: np.ndarray, condition: Any, batch_size: int,
) -> list[tuple[np.ndarray, ...]]:
  """Splits events or latents into batches `(x,)` or `(x, condition)`.

  See `conditions_for`; the last batch may be smaller.
  """
  condition = conditions_for(model, condition, len(x))
  arrays = (x,) if condition is None else (x, condition)
  return [tuple(a[i:i + batch_size] for a in arrays)
          for i in range(0, len(x), batch_size)]


def conditions_for(model: models.Flow, condition: Any,
                   num_examples: int | None = None) -> np.ndarray | None:
  """Returns the conditions of examples; None for an unconditional flow.

  Args:
    condition: `[N, ...]`, or `[1, ...]` or a single one for all examples.
    num_examples: `N`; by default that of `condition`.

  Raises:
    InvalidValueError: if it is no condition of the flow, or their number is
      neither `N` nor 1.
  """
  if model.condition_spec is None:
    model.check_condition(condition)
    return None
  condition = model.condition_spec.convert(
      condition, model.compute_dtype).numpy()
  if num_examples is None:
    return condition
  # All at once: a last batch of one would pass as the condition of all.
  errors.check(
      len(condition) in (1, num_examples), 'condition',
      f'a batch of {len(condition)}', f'a batch of {num_examples} or 1')
  return np.broadcast_to(condition, [num_examples, *condition.shape[1:]])
