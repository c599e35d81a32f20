"""Traced computations of a residual block, shared by blocks of one shape."""

import tensorflow as tf

from tf_resflow.numerics import differentiation
from tf_resflow.numerics import series
from tf_resflow.numerics import shared

_ZERO = tf.UnconnectedGradients.ZERO


class BlockTraces:
  """The traced functions of one pure `g_fn(weights, x)`.

  Tracing is the start-up cost of a deep flow. The functions here take weights
  as arguments, so blocks whose `g` has the same structure can share one
  object: each function is traced once per shape, however many blocks call it.
  In eager mode they run as graphs.

  Args:
    g_fn: pure function `g_fn(weights, x)`, example by example.
  """

  def __init__(self, g_fn):
    self.g_fn = g_fn
    self._functions = {}

  def _traced(self, function, *key):
    """Returns the traced function of a function and the settings in it."""
    key = function.__name__, *key
    if key not in self._functions:
      self._functions[key] = shared.shared_function(function)
    return self._functions[key]

  def forward(self, estimator):
    """Returns `(weights, x, draw) -> (g, value, w)`; see `power_series`."""

    def forward(weights, x, draw):
      g, vjp_fn = differentiation.linearize(self.g_fn, weights, x)
      return g, *series.power_series(vjp_fn, draw, estimator)

    return self._traced(forward, estimator)

  def backward(self):
    """Returns `(weights, x, v, w, dg, dlog_det) -> [dx, *dweights]`.

    The gradients of `<g, dg> + <surrogate, dlog_det>`, see
    `series.surrogate`.
    """

    def backward(weights, x, v, w, dg, dlog_det):
      inputs = [x, *weights]
      with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = series.surrogate(self.g_fn, weights, x, v, w)
      return tape.gradient(
          outputs, inputs, [dg, dlog_det], unconnected_gradients=_ZERO)

    return self._traced(backward)

  def solve(self, solver, lipschitz_bound):
    """Returns `(weights, y) -> Solution` of `x + g(x) = y`."""

    def solve(weights, y):
      return solver.solve(
          lambda x: self.g_fn(weights, x), y, lipschitz_bound=lipschitz_bound)

    return self._traced(solve, solver, lipschitz_bound)

  def implicit_gradient(self, solver, lipschitz_bound):
    """Returns `(weights, x, dx) -> [dy, *dweights]` of the inverse at `x`.

    Solves `lambda = dx - J^T lambda` on cotangents scaled to at most one per
    example, so that the tolerance of the solver is relative.
    """

    def implicit_gradient(weights, x, dx):
      with tf.GradientTape(persistent=True) as tape:
        tape.watch([x, *weights])
        g = self.g_fn(weights, x)
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
          g, weights, -dy, unconnected_gradients=_ZERO)]

    return self._traced(implicit_gradient, solver, lipschitz_bound)
