"""The inverse of a residual block, with its implicit gradient."""

import tensorflow as tf

from tf_resflow.numerics import differentiation
from tf_resflow.numerics import fixed_point
from tf_resflow.numerics import traces as traces_lib


def invert_residual(
    g_fn, weights, y, solver, lipschitz_bound=None, traces=None,
    constants=()):
  """Solves `x + g(x) = y`; differentiable in `y` and in the weights.

  By the implicit function theorem, with `lambda = (I + J)^-T dx`,

    dy = lambda,   dweights = -lambda^T dg/dweights.

  `lambda` is the fixed point of `lambda = dx - J^T lambda`, found by the same
  solver on cotangents scaled to at most one per example. An example whose
  adjoint solve fails gets a NaN gradient, never a wrong one.

  Args:
    g_fn: `g_fn(weights, x)`, pure, example by example, `Lip(g) < 1`.
    weights: list of floating-point tensors.
    y: `[B, ...]`.
    solver: a solver of `fixed_point`.
    lipschitz_bound: `Lip(g)` if known, a Python number; safeguards
      acceleration.
    traces: `BlockTraces` of a `g_fn` of the same structure; `weights` are then
      its variables.
    constants: tensors that `traces` takes beside.

  Returns:
    The solver's `Solution`; `x` carries the gradient, the rest does not.

  Example:
    >>> weight, y = tf.constant(0.5), tf.ones([5, 2])
    >>> with tf.GradientTape() as tape:
    ...   tape.watch(weight)
    ...   x = numerics.invert_residual(
    ...       lambda weights, x: weights[0] * x, [weight], y,
    ...       numerics.Anderson()).x
    >>> np.allclose(x, 1 / 1.5)
    True
    >>> np.allclose(tape.gradient(x, weight), -10 / 1.5**2)
    True

  References:
    Behrmann et al., 2019, Invertible Residual Networks, Algorithm 1.
  """
  weights = list(weights)
  traces = traces or traces_lib.BlockTraces(g_fn)

  @tf.custom_gradient
  def solve(y, *weights):
    y0, *weights0 = [tf.stop_gradient(t) for t in (y, *weights)]
    solution, settled = traces.solve(solver, lipschitz_bound)(
        weights0, list(constants), y0)
    x0 = solution.x

    def backward(dx, *unused_diagnostics):
      cotangent, *dweights = traces.implicit_gradient(
          solver, lipschitz_bound)(weights0, settled, x0, dx)
      return differentiation.once_differentiable(
          [cotangent, *dweights], [y, *weights])

    solution = solution._replace(x=differentiation.only_custom_gradient(
        [x0], [y, *weights[:1]])[0])
    return tuple(solution), backward

  result = solve(y, *weights)
  return fixed_point.Solution(*result)
