"""The inverse of a residual map, with its implicit gradient."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tf_resflow.numerics import chunking
from tf_resflow.numerics import differentiation
from tf_resflow.numerics import residual_function
from tf_resflow.numerics.fixed_point import solver as solver_lib


def _solve(g, solver, lipschitz_bound, sign, variables, state, y, *context):
  """Returns the `Solution` of `x + sign g(x) = y`, and the norms."""
  norms = g.converge_norms(variables, state)
  weights = g.effective_weights(variables, norms)
  # A chunk stops when its own examples have converged.
  outputs, _ = chunking.map_in_chunks(
      lambda y, *context: (list(solver.solve(
          lambda x: sign * g.evaluate(weights, x, *context), y,
          lipschitz_bound=lipschitz_bound)), []),
      g.max_examples(), [y, *context], outputs_like=[y, *(
          tf.TensorSpec([None], dtype)
          for dtype in (tf.int32, tf.bool, y.dtype))],
      unknown_sizes=g.unknown_sizes)
  return solver_lib.Solution(*outputs), norms


def _implicit_gradient(
    g, solver, lipschitz_bound, sign, variables, norms, x, dx, *context):
  """Returns `dy`, a structure like `variables` and a list like `context`.

  Solves `lambda = dx - J^T lambda` on cotangents scaled to at most one per
  example, so that the tolerance of the solver is relative.
  """
  with tf.GradientTape(persistent=True) as tape:
    tape.watch([x, variables, context])
    value = sign * g.evaluate(
        g.effective_weights(variables, norms), x, *context)
  scale = tf.reduce_max(
      tf.abs(dx), axis=list(range(1, dx.shape.rank)), keepdims=True)
  scale = tf.where(scale > 0, scale, tf.ones_like(scale))
  adjoint = solver.solve(
      lambda u: tape.gradient(value, x, u, unconnected_gradients='zero'),
      dx / scale, lipschitz_bound=lipschitz_bound)
  dy = tf.where(
      tf.reshape(adjoint.converged, tf.shape(scale)), adjoint.x * scale,
      tf.constant(float('nan'), dx.dtype))
  return dy, *tape.gradient(
      value, [variables, list(context)], -dy, unconnected_gradients='zero')


def invert_residual(
    g: residual_function.ResidualFunction, variables: Any, y: tf.Tensor,
    solver: solver_lib.Solver, *, state: Sequence[Any] = (),
    lipschitz_bound: float | None = None, sign: int = 1,
    context: Sequence[tf.Tensor] = ()) -> solver_lib.Solution:
  """Solves `x + g(x) = y`; differentiable in `y`, `variables`, `context`.

  Or `x - g(x) = y`. By the implicit function theorem, with
  `lambda = (I + J)^-T dx`,

    dy = lambda,   dvariables = -lambda^T dg/dvariables,
    dcontext = -lambda^T dg/dcontext.

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
    sign: 1, or -1 for `x - g(x) = y`.
    context: what `g` depends on beside `x`, tensors `[B, ...]`.

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

  def solve(y, variables, context):
    solution, norms = g.traced(_solve, solver, lipschitz_bound, sign)(
        variables, list(state), y, *context)

    def gradients(dx, *unused_diagnostics):
      return g.traced(_implicit_gradient, solver, lipschitz_bound, sign)(
          variables, norms, solution.x, dx, *context)

    return [solution.x], solution[1:], gradients

  return solver_lib.Solution(
      *differentiation.with_gradient(solve, y, variables, list(context)))
