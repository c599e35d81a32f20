"""The inverse of a residual map, with its implicit gradient."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tf_resflow.numerics import differentiation
from tf_resflow.numerics import residual_function
from tf_resflow.numerics.fixed_point import solution as solution_lib
from tf_resflow.numerics.fixed_point import solver as solver_lib

_ZERO = tf.UnconnectedGradients.ZERO


def _solve(g, solver, lipschitz_bound, variables, state, y):
  """Returns the `Solution` of `x + g(x) = y`, and the norms."""
  norms = g.converge_norms(variables, state)
  weights = g.effective_weights(variables, norms)

  def solve_chunk(y):
    return list(solver.solve(
        lambda x: g.evaluate(weights, x), y,
        lipschitz_bound=lipschitz_bound)), []

  # A chunk stops when its own examples have converged.
  one_each = differentiation.one_per_example(y)
  outputs, _ = g.map_in_chunks(
      solve_chunk, [y], outputs_like=[
          y, tf.cast(one_each, tf.int32), one_each > 0, one_each])
  return solution_lib.Solution(*outputs), norms


def _implicit_gradient(g, solver, lipschitz_bound, variables, norms, x, dx):
  """Returns `dy` and a structure like `variables`: gradients of the inverse.

  Solves `lambda = dx - J^T lambda` on cotangents scaled to at most one per
  example, so that the tolerance of the solver is relative.
  """
  flat = tf.nest.flatten(variables)
  with tf.GradientTape(persistent=True) as tape:
    tape.watch([x, *flat])
    value = g.evaluate(g.effective_weights(variables, norms), x)
  axes = list(range(1, dx.shape.rank))
  scale = tf.reduce_max(tf.abs(dx), axis=axes, keepdims=True)
  scale = tf.where(scale > 0, scale, tf.ones_like(scale))
  adjoint = solver.solve(
      lambda u: tape.gradient(value, x, u, unconnected_gradients=_ZERO),
      dx / scale, lipschitz_bound=lipschitz_bound)
  converged = tf.reshape(adjoint.converged, tf.shape(scale))
  dy = tf.where(
      converged, adjoint.x * scale, tf.constant(float('nan'), dx.dtype))
  return dy, tape.gradient(value, flat, -dy, unconnected_gradients=_ZERO)


def invert_residual(
    g: residual_function.ResidualFunction, variables: Any, y: tf.Tensor,
    solver: solver_lib.Solver, *, state: Sequence[Any] = (),
    lipschitz_bound: float | None = None) -> solution_lib.Solution:
  """Solves `x + g(x) = y`; differentiable in `y` and in `variables`.

  By the implicit function theorem, with `lambda = (I + J)^-T dx`,

    dy = lambda,   dvariables = -lambda^T dg/dvariables.

  `lambda` is the fixed point of `lambda = dx - J^T lambda`, found by the same
  solver on cotangents scaled to at most one per example. An example whose
  adjoint solve fails gets a NaN gradient, never a wrong one.

  Args:
    g: acts example by example, `Lip(g) < 1`.
    variables: of `g`, a nested list of floating-point tensors.
    y: `[B, ...]`.
    solver: of the fixed point.
    state: the state of the norms of `g`.
    lipschitz_bound: `Lip(g)` in l2 if known; safeguards acceleration.

  Returns:
    The solver's `Solution`; `x` carries the gradient, the rest does not.

  Example:
    >>> weight, y = tf.constant(0.5), tf.ones([5, 2])
    >>> g = numerics.ResidualFunction(lambda weights, x: weights[0] * x)
    >>> with tf.GradientTape() as tape:
    ...   tape.watch(weight)
    ...   x = numerics.invert_residual(g, [weight], y, numerics.Anderson()).x
    >>> np.allclose(x, 1 / 1.5)
    True
    >>> np.allclose(tape.gradient(x, weight), -10 / 1.5**2)
    True

  References:
    Behrmann et al., 2019, Invertible Residual Networks, Algorithm 1.
  """
  flat = tf.nest.flatten(variables)

  @tf.custom_gradient
  def solve(y, *flat):
    y0, *flat0 = [tf.stop_gradient(t) for t in (y, *flat)]
    variables0 = tf.nest.pack_sequence_as(variables, flat0)
    solution, norms = g.traced(_solve, solver, lipschitz_bound)(
        variables0, list(state), y0)

    def backward(dx, *unused_diagnostics):
      dy, dflat = g.traced(_implicit_gradient, solver, lipschitz_bound)(
          variables0, norms, solution.x, dx)
      return differentiation.once_differentiable([dy, *dflat], [y, *flat])

    x = differentiation.only_custom_gradient([solution.x], [y, *flat[:1]])[0]
    return tuple(solution._replace(x=x)), backward

  return solution_lib.Solution(*solve(y, *flat))
