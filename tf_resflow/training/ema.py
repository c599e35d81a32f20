"""Exponential moving average (EMA) of the weights."""

import collections
from collections.abc import Iterable, Iterator
import contextlib

import keras
import tensorflow as tf

from tf_resflow.numerics import tracing

# Number of variables that one operation updates.
_GROUP_SIZE = 8


def assign(targets: Iterable[tf.Variable], values: Iterable[tf.Tensor]) -> None:
  """Assigns values to variables, one by one."""
  for target, value in zip(targets, values, strict=True):
    target.assign(value)


@tracing.noinline_function
def _move(share, averages, variables, dtype):
  """Moves averages towards variables, given the handles of both.

  A deep flow has many variables of equal shape. As a function of handles, the
  update of a group of them is one operation in the graph.
  """
  for average, variable in zip(averages, variables, strict=True):
    old, new = (tf.raw_ops.ReadVariableOp(resource=handle, dtype=dtype)
                for handle in (average, variable))
    tf.raw_ops.AssignAddVariableOp(resource=average, value=share * (new - old))


class ExponentialMovingAverage(tf.Module):
  """Exponential moving average of the trainable variables of a model.

  `a <- a + (1 - d_t) (w - a)` with `d_t = min(decay, (1 + t) / (10 + t))`, so
  that short runs forget their initial weights. Create it after the data-based
  initialisation, or call `reset` then. Moving statistics, which are averages
  already (`layers.MovingMean`), are not averaged.

  Args:
    model: a built Keras model.
    decay: maximum decay, in [0, 1).

  Attributes:
    averages: a `tf.Variable` per trainable variable, in the same order.

  References:
    Polyak and Juditsky, 1992; Chen et al., 2019 (0.999, used to evaluate).
  """

  def __init__(self, model: keras.Model, decay: float = 0.999):
    super().__init__(name='ema')
    variables = [v.value for v in model.trainable_variables]
    # A list would be tracked, and duplicate the weights in checkpoints.
    self._weights = lambda: variables
    self._decay = decay
    # Every replica assigns the same value. Names take memory, see
    # `base_layer.variables_named`.
    self.averages = [
        tf.Variable(
            v, trainable=False, name='average',
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA)
        for v in variables]

  def reset(self) -> None:
    """Sets the averages to the current weights."""
    assign(self.averages, self._weights())

  def update(self, step: tf.Tensor) -> None:
    """Updates the averages after the optimizer's update `step`, from 0 on."""
    t = tf.cast(step, self.averages[0].dtype)
    share = 1.0 - tf.minimum(
        tf.cast(self._decay, t.dtype), (1.0 + t) / (10.0 + t))
    alike = collections.defaultdict(list)
    for pair in zip(self.averages, self._weights(), strict=True):
      alike[tuple(pair[0].shape), pair[0].dtype].append(pair)
    for (_, dtype), pairs in alike.items():
      for i in range(0, len(pairs), _GROUP_SIZE):
        averages, variables = zip(*pairs[i:i + _GROUP_SIZE], strict=True)
        _move(share, [a.handle for a in averages],
              [v.handle for v in variables], dtype)

  def assign_weights(self) -> None:
    """Sets the weights to the averages."""
    assign(self._weights(), self.averages)

  @contextlib.contextmanager
  def swapped(self) -> Iterator[None]:
    """Sets the weights to the averages within the context."""
    trained = [tf.identity(v) for v in self._weights()]
    self.assign_weights()
    try:
      yield
    finally:
      assign(self._weights(), trained)
