"""Memory modes: gradients of log-determinants, and the tensors kept for them.

Every mode is a function of `g`, its variables, an input, a draw, an estimator,
a series, and the context of `g`; it returns `g(x)` and the estimate `[B]`,
differentiable. The gradient comes from the Neumann series (Chen et al., 2019,
Theorem 2) through `tf.custom_gradient`. For the same draws `recompute`,
`neumann` and `backward_in_forward` agree; `naive` agrees with them in the mean.
"""

from collections.abc import Callable, Sequence
import functools
from typing import Any

import tensorflow as tf

from tf_resflow.numerics import differentiation
from tf_resflow.numerics import parallel
from tf_resflow.numerics import residual_function
from tf_resflow.numerics.log_det import estimator as estimator_lib
from tf_resflow.numerics.log_det import series as series_lib


def bilinear_form(
    vjp_fn: series_lib.Vjp, v: tf.Tensor, w: tf.Tensor) -> tf.Tensor:
  """Returns `w^T J v`, `[B]`; its gradient is that of the log-determinant.

  That is, at constant `v`, the probe, and `w`, which `power_series` returned.
  """
  return differentiation.sum_per_example(vjp_fn(w) * v)


def _forward(g, estimator, series, variables, state, x, draw, *context):
  """Returns `g(x)`, the estimate, the vector `w` of its gradient, norms."""
  norms = g.converge_norms(variables, state)
  weights = g.effective_weights(variables, norms)

  def evaluate(x, probe, *context):
    value, vjp_fn = differentiation.linearize(g.evaluate, weights, x, *context)
    return [value, *series_lib.power_series(
        vjp_fn, probe, estimator.schedule(draw._replace(probe=probe)),
        series)], []

  outputs, _ = parallel.map_in_chunks(
      evaluate, None if estimator.batch_dependent else g.max_examples(),
      [x, draw.probe, *context],
      outputs_like=[x, tf.TensorSpec([None], x.dtype), x],
      unknown_sizes=g.unknown_sizes)
  return *outputs, norms


def gradients_in_chunks(
    g: residual_function.ResidualFunction, variables: Any, norms: Any,
    differentiate: Callable, inputs: Sequence[tf.Tensor],
    *others: tf.Tensor) -> tuple[tf.Tensor, Any, list[tf.Tensor]]:
  """Returns gradients: `dx`, a structure like `variables`, `dcontext`.

  Args:
    g: the function.
    variables, norms: of its effective weights.
    differentiate: maps weights, inputs and others of a chunk to the gradients
      by the inputs, and by the weights in a list.
    inputs: `x` and the context.
    *others: tensors `[B, ...]`.
  """
  with tf.GradientTape() as outer:
    outer.watch(variables)
    weights = g.effective_weights(variables, norms)
  flat_weights = tf.nest.flatten(weights)
  (dx, *dcontext), dweights = parallel.map_in_chunks(
      lambda *tensors: differentiate(
          weights, [*tensors[:len(inputs)]], *tensors[len(inputs):]),
      g.max_examples(), [*inputs, *others], outputs_like=inputs,
      sums_like=flat_weights, unknown_sizes=g.unknown_sizes)
  return dx, outer.gradient(
      flat_weights, variables, dweights, unconnected_gradients='zero'), dcontext


def _backward(g, variables, norms, x, v, w, dg, dlog_det, *context):
  """Returns the gradients of `<g, dg> + <w^T J v, dlog_det>`."""
  def differentiate(weights, inputs, v, w, dg, dlog_det):
    sources = [inputs, tf.nest.flatten(weights)]
    with tf.GradientTape() as tape:
      tape.watch(sources)
      value, vjp_fn = differentiation.linearize(g.evaluate, weights, *inputs)
      outputs = [value, bilinear_form(vjp_fn, v, w)]
    return tape.gradient(
        outputs, sources, [dg, dlog_det], unconnected_gradients='zero')

  return gradients_in_chunks(
      g, variables, norms, differentiate, [x, *context], v, w, dg, dlog_det)


def recompute(g: residual_function.ResidualFunction, variables: Any, state: Any,
              x: tf.Tensor, draw: estimator_lib.Draw,
              estimator: estimator_lib.SeriesEstimator,
              series: series_lib.LogDetSeries,
              context: Sequence[tf.Tensor] = ()) -> tuple[tf.Tensor, tf.Tensor]:
  """Keeps only `x, v, w`; recomputes `g` and `J v` in the backward pass.

  Memory per block is a few times that of its input, whatever the hidden width
  and the number of terms.
  """

  def forward(x, variables, context):
    value, log_det, w, norms = g.traced(_forward, estimator, series)(
        variables, state, x, draw, *context)

    def gradients(dg, dlog_det):
      # Recomputing waits for the incoming gradient; otherwise the scheduler
      # runs it early and the memory that it should save stays allocated.
      with tf.control_dependencies([dg, dlog_det]):
        x1, v1, w1 = [tf.identity(t) for t in (x, draw.probe, w)]
      return g.traced(_backward)(
          variables, norms, x1, v1, w1, dg, dlog_det, *context)

    return [value, log_det], [], gradients

  return differentiation.with_gradient(forward, x, variables, list(context))


def _keeps_linearization(gradients_of: Callable) -> Callable:
  """Returns a mode that keeps the linearisation of `g` until the backward pass.

  `gradients_of` leads from a persistent tape, `g(x)`, `w^T J v` per example and
  the inputs of both to the function of the incoming gradients.
  """

  @functools.wraps(gradients_of)
  def mode(g, variables, state, x, draw, estimator, series, context=()):

    def forward(x, weights, context):
      with tf.GradientTape(persistent=True) as tape:
        tape.watch([x, weights, context])
        value, vjp_fn = differentiation.linearize(
            g.evaluate, weights, x, *context)
        with tape.stop_recording():
          log_det, w = series_lib.power_series(
              vjp_fn, draw.probe, estimator.schedule(draw), series)
        surrogate = bilinear_form(vjp_fn, draw.probe, w)
      return [value, log_det], [], gradients_of(
          tape, value, surrogate, [x, weights, context])

    return differentiation.with_gradient(
        forward, x, g.weights(variables, state), list(context))

  return mode


@_keeps_linearization
def neumann(tape: tf.GradientTape, value: tf.Tensor, surrogate: tf.Tensor,
            inputs: list) -> Callable:
  """Keeps the linearisation of `g` (Eq. 8)."""
  return lambda dg, dlog_det: tape.gradient(
      [value, surrogate], inputs, [dg, dlog_det],
      unconnected_gradients='zero')


@_keeps_linearization
def backward_in_forward(tape: tf.GradientTape, value: tf.Tensor,
                        surrogate: tf.Tensor, inputs: list) -> Callable:
  """Differentiates the log-determinant in the forward pass (Eq. 9).

  Requires one cotangent of the log-determinant for the whole batch, and raises
  an error if there are several.
  """
  log_det_gradients = tape.gradient(
      surrogate, inputs, unconnected_gradients='zero')

  def gradients(dg, dlog_det):
    common = tf.reduce_max(dlog_det)
    check = tf.debugging.assert_equal(
        tf.reduce_min(dlog_det), common,
        message='memory=backward_in_forward requires one cotangent of log_det '
        'for all examples (Eq. 9). Use memory=recompute for per-example '
        'weights.')
    with tf.control_dependencies([check]):  # [None] has no effect eagerly.
      common = tf.identity(common)
    return tf.nest.map_structure(
        lambda a, b: a + common * b, tape.gradient(
            value, inputs, dg, unconnected_gradients='zero'),
        log_det_gradients)

  return gradients


def naive(g: residual_function.ResidualFunction, variables: Any, state: Any,
          x: tf.Tensor, draw: estimator_lib.Draw,
          estimator: estimator_lib.SeriesEstimator,
          series: series_lib.LogDetSeries,
          context: Sequence[tf.Tensor] = ()) -> tuple[tf.Tensor, tf.Tensor]:
  """Differentiates the series itself (Eq. 7); can be differentiated twice."""
  value, vjp_fn = differentiation.linearize(
      g.evaluate, g.weights(variables, state), x, *context)
  log_det, _ = series_lib.power_series(
      vjp_fn, draw.probe, estimator.schedule(draw), series)
  return value, log_det
