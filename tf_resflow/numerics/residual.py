"""Forward pass, log-determinant and gradients of `f(x) = x + g(x)`.

`g` is a pure function `g_fn(weights, x)` that acts example by example. The
gradient of the log-determinant comes from the Neumann series (Chen et al.,
2019, Theorem 2) through `tf.custom_gradient`, in the memory mode that the
caller names:

  naive                differentiates the power series (Eq. 7)
  neumann              keeps the linearisation of `g` (Eq. 8)
  backward_in_forward  differentiates the log-det term in the forward pass
                       (Eq. 9); needs one cotangent for the whole batch
  recompute            keeps `x, v, w` only and rebuilds `g` and `J v` in the
                       backward pass
"""

import tensorflow as tf

from tf_resflow.numerics import differentiation
from tf_resflow.numerics import estimators
from tf_resflow.numerics import jacobian
from tf_resflow.numerics import series
from tf_resflow.numerics import traces as traces_lib

MEMORY_MODES = ('recompute', 'neumann', 'backward_in_forward', 'naive')

_ZERO = tf.UnconnectedGradients.ZERO


def _naive(g_fn, weights, x, draw, estimator):
  g, vjp_fn = differentiation.linearize(g_fn, weights, x)
  value, _ = series.power_series(vjp_fn, draw, estimator)
  return x + g, value


def _recompute(traces, weights, constants, x, draw, estimator):
  """Keeps `x, v, w`; see the module docstring."""

  @tf.custom_gradient
  def forward(x, *weights):
    # An outer tape records nothing that starts from a stopped gradient.
    x0, *weights0 = [tf.stop_gradient(t) for t in (x, *weights)]
    g, value, w, settled = traces.forward(estimator)(
        weights0, list(constants), x0, draw)

    def backward(dy, dlog_det):
      # Rebuilding waits for the incoming gradient; without that the scheduler
      # runs it early and the memory that it should save stays allocated.
      with tf.control_dependencies([dy, dlog_det]):
        x1, v1, w1 = [tf.identity(t) for t in (x0, draw.probe, w)]
      dx, *dweights = traces.backward()(
          weights0, settled, x1, v1, w1, dy, dlog_det)
      return differentiation.once_differentiable(
          [dy + dx, *dweights], [x, *weights])

    return differentiation.only_custom_gradient(
        [x0 + g, value], [x, *weights[:1]]), backward

  return forward(x, *weights)


def _keep_linearization(
    g_fn, weights, x, draw, estimator, differentiate_in_forward):
  """The modes `neumann` and `backward_in_forward`."""

  @tf.custom_gradient
  def forward(x, *weights):
    inputs = [tf.stop_gradient(t) for t in (x, *weights)]
    with tf.GradientTape(persistent=True) as tape:
      tape.watch(inputs)
      g, vjp_fn = differentiation.linearize(g_fn, inputs[1:], inputs[0])
      with tape.stop_recording():
        value, w = series.power_series(vjp_fn, draw, estimator)
      surrogate = differentiation.sum_per_example(vjp_fn(w) * draw.probe)

    outputs = differentiation.only_custom_gradient(
        [inputs[0] + g, value], [x, *weights[:1]])
    if not differentiate_in_forward:

      def backward(dy, dlog_det):
        dx, *dweights = tape.gradient(
            [g, surrogate], inputs, [dy, dlog_det],
            unconnected_gradients=_ZERO)
        return differentiation.once_differentiable(
            [dy + dx, *dweights], [x, *weights])

      return outputs, backward

    log_det_gradients = tape.gradient(
        surrogate, inputs, unconnected_gradients=_ZERO)

    def backward_common(dy, dlog_det):
      common = tf.reduce_max(dlog_det)
      check = tf.debugging.assert_equal(
          tf.reduce_min(dlog_det), common,
          message="memory='backward_in_forward' needs the same cotangent of "
          'log_det for every example (Eq. 9), but they differ; use '
          "memory='recompute' for per-example weights.")
      with tf.control_dependencies([] if check is None else [check]):
        common = tf.identity(common)
      gradients = tape.gradient(
          g, inputs, dy, unconnected_gradients=_ZERO)
      dx, *dweights = [
          a + common * b
          for a, b in zip(gradients, log_det_gradients, strict=True)
      ]
      return differentiation.once_differentiable(
          [dy + dx, *dweights], [x, *weights])

    return outputs, backward_common

  return forward(x, *weights)


def forward_and_log_det(
    g_fn, weights, x, estimator, draw, memory='recompute', traces=None,
    constants=()):
  """Returns `f(x) = x + g(x)` and an estimate of `log|det df/dx|`.

  Gradients are exact for per-example cotangents of both outputs, with respect
  to `x` and to every tensor of `weights` (`naive` differentiates the value;
  the other modes return the unbiased Neumann estimate at the same draw, and
  agree with each other). Backward may run more than once.

  Args:
    g_fn: `g_fn(weights, x)`, pure, example by example, `Lip(g) < 1`.
    weights: list of floating-point tensors.
    x: `[B, ...]`.
    estimator: one of `estimators.RussianRoulette`, `AdaptiveRoulette`,
      `FixedTruncation`, `Exact`.
    draw: what `estimator.draw(x, seed)` returned, or a forced one.
    memory: one of `MEMORY_MODES`; `Exact` ignores it.
    traces: `BlockTraces` of a `g_fn` of the same structure, whose variables
      `weights` are then; without it `recompute` traces anew at every call.
    constants: tensors that `traces` takes beside.

  Returns:
    `y`: like `x`; `log_det`: `[B]`, nats.

  Raises:
    ValueError: if `memory` is unknown.

  Example:
    >>> x, estimator = tf.ones([5, 2]), numerics.RussianRoulette()
    >>> y, log_det = numerics.forward_and_log_det(
    ...     lambda weights, x: weights[0] * x, [tf.constant(0.5)], x,
    ...     estimator, estimator.draw(x, seed=0))
    >>> log_det.shape
    TensorShape([5])

  References:
    Chen et al., 2019, Theorems 1 and 2, Equations 7 to 9.
  """
  if memory not in MEMORY_MODES:
    raise ValueError(f'memory is {memory!r}; expected one of {MEMORY_MODES}.')
  weights = list(weights)
  traces = traces or traces_lib.BlockTraces(g_fn)
  is_exact = isinstance(estimator, estimators.Exact)
  if memory == 'recompute' and not is_exact:
    return _recompute(traces, weights, constants, x, draw, estimator)
  weights = traces.weights(weights, list(constants))
  if is_exact:
    return x + g_fn(weights, x), jacobian.exact_log_det(
        lambda x: g_fn(weights, x), x)
  if memory == 'naive':
    return _naive(g_fn, weights, x, draw, estimator)
  return _keep_linearization(
      g_fn, weights, x, draw, estimator,
      differentiate_in_forward=memory == 'backward_in_forward')
