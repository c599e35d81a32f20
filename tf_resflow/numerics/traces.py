"""Traced computations of a residual block, shared by blocks of one shape."""

import functools

import tensorflow as tf

from tf_resflow.numerics import differentiation
from tf_resflow.numerics import fixed_point
from tf_resflow.numerics import parts
from tf_resflow.numerics import series
from tf_resflow.numerics import shared

_ZERO = tf.UnconnectedGradients.ZERO


def _nothing(variables, constants):
  """No part of `variables` needs an iteration."""
  del variables, constants
  return []


def _identity(variables, settled):
  """`g` computes with its variables as they are."""
  del settled
  return variables


def _one_each(x):
  """Returns a number per example, `[B]`."""
  return tf.reshape(x, [tf.shape(x)[0], -1])[:, 0]


class BlockTraces:
  """The traced functions of one residual function, in three pure parts.

    settled = settle_fn(variables, constants)   iterations, not differentiated
    weights = prepare_fn(variables, settled)    differentiable
    g(x)    = g_fn(weights, x)                  example by example

  The first part runs once per forward pass, the second once in the forward and
  once in the backward pass, so that no weights are kept in between, and `g_fn`
  as often as a series or a solver asks.

  Tracing is the start-up cost of a deep flow. The functions here take all
  tensors as arguments, so blocks whose `g` has the same structure can share one
  object: each function is traced once per shape, however many blocks call it.
  In eager mode they run as graphs.

  Args:
    g_fn: pure function `g_fn(weights, x)`.
    settle_fn: returns a list of tensors, by default none.
    prepare_fn: returns a list of tensors, by default `variables`.
    max_examples_fn: returns the number of examples that a pass takes at a time,
      which bounds its memory; None, the default, for all.
    unknown_sizes: see `parts.in_parts`.
  """

  def __init__(self, g_fn, settle_fn=_nothing, prepare_fn=_identity,
               max_examples_fn=lambda: None, unknown_sizes=False):
    self.g_fn = g_fn
    self._max_examples_fn = max_examples_fn
    self._settle_fn = settle_fn
    self._prepare_fn = prepare_fn
    self._unknown_sizes = unknown_sizes
    self._functions = {}

  @functools.cached_property
  def of_weights(self):
    """The traces of the same `g` that take its weights for variables.

    What an exported model computes with: nothing is left to iterate or to
    prepare. Takes parts of batches of unknown size, so not for XLA.
    """
    return BlockTraces(
        self.g_fn, max_examples_fn=self._max_examples_fn, unknown_sizes=True)

  def _traced(self, function, *key):
    """Returns the traced function of a function and the settings in it."""
    key = function.__name__, *key
    if key not in self._functions:
      self._functions[key] = shared.shared_function(function)
    return self._functions[key]

  def weights(self, variables, constants):
    """Returns the weights of `g_fn`, differentiable in `variables`."""
    return self._prepare_fn(variables, self._settle_fn(variables, constants))

  def _in_parts(self, function, tensors, outputs_like, sums_like=(),
                couples_examples=False):
    return parts.in_parts(
        function, None if couples_examples else self._max_examples_fn(),
        tensors, outputs_like, sums_like, self._unknown_sizes)

  def value(self):
    """Returns `(variables, constants, x) -> g(x)`."""

    def value(variables, constants, x):
      weights = self.weights(variables, constants)
      (g,), _ = self._in_parts(
          lambda x: ([self.g_fn(weights, x)], []), [x], outputs_like=[x])
      return g

    return self._traced(value)

  def forward(self, estimator):
    """Returns `(variables, constants, x, draw) -> (g, value, w, settled)`.

    See `series.power_series`.
    """

    def forward(variables, constants, x, draw):
      settled = self._settle_fn(variables, constants)
      weights = self._prepare_fn(variables, settled)

      def evaluate(x, probe):
        g, vjp_fn = differentiation.linearize(self.g_fn, weights, x)
        return [g, *series.power_series(
            vjp_fn, draw._replace(probe=probe), estimator)], []

      outputs, _ = self._in_parts(
          evaluate, [x, draw.probe], outputs_like=[x, _one_each(x), x],
          couples_examples=estimator.couples_examples)
      return *outputs, settled

    return self._traced(forward, estimator)

  def backward(self):
    """Returns `(variables, settled, x, v, w, dg, dlog_det) -> gradients`.

    Those of `<g, dg> + <surrogate, dlog_det>`, see `series.surrogate`, as
    `[dx, *dvariables]`.
    """

    def backward(variables, settled, x, v, w, dg, dlog_det):
      with tf.GradientTape() as outer:
        outer.watch(variables)
        weights = self._prepare_fn(variables, settled)

      def differentiate(x, v, w, dg, dlog_det):
        inputs = [x, *weights]
        with tf.GradientTape() as tape:
          tape.watch(inputs)
          outputs = series.surrogate(self.g_fn, weights, x, v, w)
        dx, *dweights = tape.gradient(
            outputs, inputs, [dg, dlog_det], unconnected_gradients=_ZERO)
        return [dx], dweights

      (dx,), dweights = self._in_parts(
          differentiate, [x, v, w, dg, dlog_det], outputs_like=[x],
          sums_like=weights)
      return [dx, *outer.gradient(
          weights, variables, dweights, unconnected_gradients=_ZERO)]

    return self._traced(backward)

  def solve(self, solver, lipschitz_bound):
    """Returns `(variables, constants, y) -> (Solution, settled)`.

    Of `x + g(x) = y`.
    """

    def solve(variables, constants, y):
      settled = self._settle_fn(variables, constants)
      weights = self._prepare_fn(variables, settled)

      def solve_part(y):
        return list(solver.solve(
            lambda x: self.g_fn(weights, x), y,
            lipschitz_bound=lipschitz_bound)), []

      # A part stops when its own examples have converged.
      one_each = _one_each(y)
      outputs, _ = self._in_parts(
          solve_part, [y], outputs_like=[
              y, tf.cast(one_each, tf.int32), one_each > 0, one_each])
      return fixed_point.Solution(*outputs), settled

    return self._traced(solve, solver, lipschitz_bound)

  def implicit_gradient(self, solver, lipschitz_bound):
    """Returns `(variables, settled, x, dx) -> [dy, *dvariables]`.

    Of the inverse at `x`. Solves `lambda = dx - J^T lambda` on cotangents
    scaled to at most one per example, so that the tolerance of the solver is
    relative.
    """

    def implicit_gradient(variables, settled, x, dx):
      with tf.GradientTape(persistent=True) as tape:
        tape.watch([x, *variables])
        g = self.g_fn(self._prepare_fn(variables, settled), x)
      axes = list(range(1, dx.shape.rank))
      scale = tf.reduce_max(tf.abs(dx), axis=axes, keepdims=True)
      scale = tf.where(scale > 0, scale, tf.ones_like(scale))
      adjoint = solver.solve(
          lambda u: tape.gradient(g, x, u, unconnected_gradients=_ZERO),
          dx / scale, lipschitz_bound=lipschitz_bound)
      converged = tf.reshape(adjoint.converged, tf.shape(scale))
      dy = tf.where(
          converged, adjoint.x * scale, tf.constant(float('nan'), dx.dtype))
      return [dy, *tape.gradient(
          g, variables, -dy, unconnected_gradients=_ZERO)]

    return self._traced(implicit_gradient, solver, lipschitz_bound)
