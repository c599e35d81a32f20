"""The residual branch `g` of a block as a pure function of tensors."""

from collections.abc import Callable
import dataclasses
import functools
from typing import Any

import tensorflow as tf

from tf_resflow import private_apis
from tf_resflow.numerics import parallel
from tf_resflow.numerics import tracing

# A nested structure of tensors.
Tensors = Any


def _no_norms(unused_variables, unused_state):
  """Returns that there are no norms to converge."""
  return []


def _as_they_are(variables, unused_norms):
  """Returns the variables, which are the weights."""
  return variables


def _all():
  """Returns that a batch is one chunk."""
  return None


@dataclasses.dataclass(eq=False)
class ResidualFunction:
  """The residual branch `g` of a block as three pure functions.

    norms   = converge_norms(variables, state)     iterations, not
                                                   differentiated
    weights = effective_weights(variables, norms)  differentiable
    g(x)    = evaluate(weights, x, *context)       example by example

  The first part runs once per forward pass; the second once in the forward and
  once in the backward pass, so that no weights are kept in between; and
  `evaluate` as often as a series or a solver needs. `variables`, `state`,
  `norms` and `weights` are nested lists of tensors of any structure. `context`
  is what `g` depends on beside `x`, example by example: tensors `[B, ...]` that
  are computed once; an unconditional `g` has none.

  This is all that the forward pass, the log-determinant, the inverse and their
  gradients use of `g`: each of them is a function `f(g, *settings, *tensors)`
  that `traced` turns into a graph. Tracing is the start-up cost of a deep flow.
  The graphs take all tensors as arguments, so blocks whose `g` has the same
  structure share one `ResidualFunction`, and with it one graph per shape.

  Args:
    evaluate: `evaluate(weights, x, *context)`.
    converge_norms: see above; by default there are no norms.
    effective_weights: see above; by default the weights are the variables.
    max_examples: returns the number of examples in a chunk of a batch, which
      bounds the memory of a pass; None for all.
    unknown_sizes: see `parallel.map_in_chunks`.

  Example:
    >>> g = numerics.ResidualFunction(lambda weights, x: weights[0] * x)
    >>> y, log_det = numerics.forward_and_log_det(
    ...     g, [tf.constant(0.5)], tf.ones([5, 2]), numerics.Exact())
    >>> np.allclose(log_det, 2 * np.log(1.5))
    True
  """

  evaluate: Callable[..., tf.Tensor]
  _: dataclasses.KW_ONLY
  converge_norms: Callable[[Tensors, Tensors], Tensors] = _no_norms
  effective_weights: Callable[[Tensors, Tensors], Tensors] = _as_they_are
  max_examples: Callable[[], int | None] = _all
  unknown_sizes: bool = False

  def __post_init__(self):
    self._traced: dict[tuple, Callable] = {}

  @functools.cached_property
  def of_weights(self) -> 'ResidualFunction':
    """The same `g` as a function of its effective weights.

    Used in exported models: nothing is left to iterate or to normalise. It
    divides batches of unknown size into chunks, which XLA cannot compile.
    """
    return ResidualFunction(
        self.evaluate, max_examples=self.max_examples, unknown_sizes=True)

  @functools.cached_property
  def of_any_size(self) -> 'ResidualFunction':
    """The same `g`, which also divides batches of unknown size into chunks."""
    return self if self.unknown_sizes else dataclasses.replace(
        self, unknown_sizes=True)

  def weights(self, variables: Tensors, state: Tensors) -> Tensors:
    """Returns the effective weights, differentiable in `variables`."""
    return self.effective_weights(variables, tf.nest.map_structure(
        tf.stop_gradient, self.converge_norms(variables, state)))

  def traced(self, function: Callable, *settings: Any) -> Callable:
    """Returns `function(g, *settings, *tensors)` as a cached graph.

    Inside of a `tf.function` there is one per shape, and another one for XLA,
    which may need other operations. Called eagerly, batches of all sizes share
    one: else every new size would take time and memory that is never freed.

    Args:
      function: a module-level function; takes tensors after its settings.
      *settings: hashable values, such as an estimator or a solver.

    Returns:
      A function of the tensors, the same for the same arguments.
    """
    is_eager = tf.executing_eagerly()
    key = is_eager, private_apis.is_compiled(), function, *settings
    if key not in self._traced:
      self._traced[key] = tracing.noinline_function(
          functools.partial(
              function, self.of_any_size if is_eager else self, *settings),
          reduce_retracing=is_eager)
    return self._traced[key]


def evaluate(g: ResidualFunction, variables: Tensors, state: Tensors,
             x: tf.Tensor, *context: tf.Tensor) -> tf.Tensor:
  """Returns `g(x)`, to be traced by `ResidualFunction.traced`."""
  weights = g.weights(variables, state)
  (value,), _ = parallel.map_in_chunks(
      lambda x, *context: ([g.evaluate(weights, x, *context)], []),
      g.max_examples(), [x, *context], outputs_like=[x],
      unknown_sizes=g.unknown_sizes)
  return value
