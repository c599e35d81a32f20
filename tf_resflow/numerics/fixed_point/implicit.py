"""The inverse of a residual map, with its log-determinant and its gradient."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from tf_resflow.numerics import differentiation
from tf_resflow.numerics import parallel
from tf_resflow.numerics import random
from tf_resflow.numerics import residual_function
from tf_resflow.numerics.fixed_point import solver as solver_lib
from tf_resflow.numerics.log_det import estimator as estimator_lib
from tf_resflow.numerics.log_det import memory_modes
from tf_resflow.numerics.log_det import series as series_lib
from tf_resflow.numerics.log_det import truncation
from tf_resflow.specs import registries

_NO_LOG_DET = truncation.NoLogDet()


class Inverse(NamedTuple):
  """The inverse of a residual map.

  Attributes:
    solution: the solver's `Solution`.
    log_det: `[B]`, nats, at `x`; that of the inverse map is minus this. NaN
      without an estimator.
  """

  solution: solver_lib.Solution
  log_det: tf.Tensor


def _solve(g, solver, lipschitz_bound, sign, estimator, series, variables,
           state, y, draw, *context):
  """Returns the `Solution` of `x + sign g(x) = y`, and the norms of `g`.

  With an estimator also the log-determinant there, and `w` of its gradient.
  """
  norms = g.converge_norms(variables, state)
  weights = g.effective_weights(variables, norms)
  probes = [] if estimator is None else [draw.probe]

  def solve(y, *others):
    context = others[len(probes):]
    solution = solver.solve(lambda x: sign * g.evaluate(weights, x, *context),
                            y, lipschitz_bound)
    if estimator is None:
      return list(solution), []
    probe = others[0]
    _, vjp_fn = differentiation.linearize(
        g.evaluate, weights, solution.x, *context)
    return [*solution, *series_lib.power_series(
        vjp_fn, probe, estimator.schedule(draw._replace(probe=probe)), series)
            ], []

  # A chunk stops when its own examples have converged.
  outputs, _ = parallel.map_in_chunks(
      solve, None if probes and estimator.batch_dependent else g.max_examples(),
      [y, *probes, *context], outputs_like=[y, *(
          tf.TensorSpec([None], dtype)
          for dtype in (tf.int32, tf.bool, y.dtype, *[y.dtype] * len(probes))
      ), *[y] * len(probes)], unknown_sizes=g.unknown_sizes)
  return solver_lib.Solution(*outputs[:4]), norms, *outputs[4:]


def _implicit_gradient(g, solver, lipschitz_bound, sign, variables, norms, x,
                       dx, of_log_det, *context):
  """Returns `dy` and the gradients by variables and context.

  `of_log_det` holds `v`, `w` and the cotangent of a log-determinant at `x`,
  whose gradient by `x` is then a part of `dx`; or nothing.
  """
  def differentiate(weights, inputs, dx, *part):
    flat_weights, surrogates = tf.nest.flatten(weights), []
    with tf.GradientTape(persistent=True) as tape:
      tape.watch([inputs, flat_weights])
      value, vjp_fn = differentiation.linearize(g.evaluate, weights, *inputs)
      if part:
        surrogates = [memory_modes.bilinear_form(vjp_fn, *part[:2])]
    if part:
      dx += tape.gradient(surrogates, inputs[0], [*part[2:]],
                          unconnected_gradients='zero')
    # The tolerance of the solver is then relative to the cotangent.
    scale = tf.reduce_max(
        tf.abs(dx), axis=list(range(1, dx.shape.rank)), keepdims=True)
    scale = tf.where(scale > 0, scale, tf.ones_like(scale))
    adjoint = solver.solve(
        lambda u: sign * vjp_fn(u), dx / scale, lipschitz_bound)
    dy = tf.where(tf.reshape(adjoint.converged, tf.shape(scale)),
                  adjoint.x * scale, tf.constant(float('nan'), dx.dtype))
    dcontext, dweights = tape.gradient(
        [value, *surrogates], [inputs[1:], flat_weights],
        [-sign * dy, *part[2:]], unconnected_gradients='zero')
    return [dy, *dcontext], dweights

  return memory_modes.gradients_in_chunks(
      g, variables, norms, differentiate, [x, *context], dx, *of_log_det)


def invert_residual(
    g: residual_function.ResidualFunction, variables: Any, y: tf.Tensor,
    solver: solver_lib.Solver,
    estimator: estimator_lib.Estimator = _NO_LOG_DET, *,
    state: Sequence[Any] = (), lipschitz_bound: float | None = None,
    sign: int = 1, context: Sequence[tf.Tensor] = (),
    seed: random.SeedLike = None, memory: str = 'recompute',
    series: series_lib.LogDetSeries = series_lib.RESIDUAL_SERIES) -> Inverse:
  """Solves `x + g(x) = y`; differentiable in `y`, `variables`, `context`.

  Or `x - g(x) = y`. By the implicit function theorem, with
  `lambda = (I + J)^-T dx`,

    dy = lambda,   dvariables = -lambda^T dg/dvariables,
    dcontext = -lambda^T dg/dcontext.

  `lambda` is the fixed point of `lambda = dx - J^T lambda`, found by the same
  solver on cotangents scaled to at most one per example. An example whose
  adjoint solve fails gets a NaN gradient, never a wrong one.

  A log-determinant at the solution is that of `forward_and_log_det` there,
  gradients included. Estimators with a series do both in one pass, in all
  memory modes whose gradients agree: the norms of `g` converge once, and the
  gradient linearises `g` once, for the adjoint solve and the series. Only
  `x, v, w` are kept.

  Args:
    g: as `variables`, `state`, `context`, `seed` and `memory`, see
      `forward_and_log_det`.
    y: `[B, ...]`.
    solver: of the fixed point.
    estimator: of the log-determinant; none by default.
    lipschitz_bound: `Lip(g)` in l2 if known; safeguards acceleration.
    sign: 1, or -1 for `x - g(x) = y`.
    series: the log-determinant to estimate, by default `log|det(I + J)|`,
      whatever the sign.

  Returns:
    An `Inverse`; of its solution only `x` is differentiable.

  Example:
    >>> weight, y = tf.constant(0.5), tf.ones([5, 2])
    >>> g = numerics.ResidualFunction(lambda weights, x: weights[0] * x)
    >>> with tf.GradientTape() as tape:
    ...   tape.watch(weight)
    ...   solution, log_det = numerics.invert_residual(
    ...       g, [weight], y, numerics.Anderson(), numerics.Exact())
    >>> np.allclose(solution.x, 1 / 1.5), np.allclose(log_det, 2 * np.log(1.5))
    (True, True)
    >>> np.allclose(tape.gradient(solution.x, weight), -10 / 1.5**2)
    True

  References:
    Behrmann et al., 2019, Invertible Residual Networks, Algorithm 1.
  """
  draw = estimator.draw(y, seed)
  takes_one_pass = (
      estimator.has_series and memory in registries.AGREEING_MEMORY_MODES)
  of_solve = (solver, lipschitz_bound, sign)

  def solve(y, variables, context):
    (x, *diagnostics), norms, *of_log_det = g.traced(_solve, *of_solve, *(
        (estimator, series) if takes_one_pass else (None, None)))(
            variables, list(state), y, draw if takes_one_pass else None,
            *context)

    def gradients(dx, *cotangents):
      return g.traced(_implicit_gradient, *of_solve)(
          variables, norms, x, dx,
          [draw.probe, of_log_det[1], cotangents[0]] if takes_one_pass else [],
          *context)

    return [x, *of_log_det[:1]], diagnostics, gradients

  x, *log_dets, num_steps, converged, residual = differentiation.with_gradient(
      solve, y, variables, list(context))
  if estimator.is_skipped:
    log_dets = [tf.fill(
        [tf.shape(y)[0]], tf.constant(float('nan'), y.dtype))]
  elif not takes_one_pass:
    log_dets = [estimator.evaluate(
        g, variables, list(state), x, draw, memory=memory, series=series,
        context=context)[1]]
  return Inverse(
      solver_lib.Solution(x, num_steps, converged, residual), *log_dets)
