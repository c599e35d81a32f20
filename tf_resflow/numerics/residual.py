"""The residual map `f(x) = x + g(x)` and its log-determinant."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tf_resflow.numerics import random
from tf_resflow.numerics import residual_function
from tf_resflow.numerics.log_det import estimator as estimator_lib


def forward_and_log_det(
    g: residual_function.ResidualFunction, variables: Any, x: tf.Tensor,
    estimator: estimator_lib.Estimator, *, state: Sequence[Any] = (),
    seed: random.SeedLike = None, draw: Any = None, memory: str = 'recompute',
) -> tuple[tf.Tensor, tf.Tensor]:
  """Returns `f(x) = x + g(x)` and an estimate of `log|det df/dx|`.

  Gradients are exact for per-example cotangents of both outputs, with respect
  to `x` and to `variables` (`memory='naive'` differentiates the value; the
  other modes return the unbiased Neumann estimate at the same draw, and agree
  with each other). Backward may run more than once.

  Args:
    g: acts example by example, `Lip(g) < 1`.
    variables: of `g`, a nested list of floating-point tensors.
    x: `[B, ...]`.
    estimator: of the log-determinant.
    state: the state of the norms of `g`.
    seed: see `random.as_seed`.
    draw: a forced draw, in place of `estimator.draw(x, seed)`.
    memory: one of `registries.MEMORY_MODES`, for estimators with a series.

  Returns:
    `y`: like `x`; `log_det`: `[B]`, nats.

  Example:
    >>> g = numerics.ResidualFunction(lambda weights, x: weights[0] * x)
    >>> y, log_det = numerics.forward_and_log_det(
    ...     g, [tf.constant(0.5)], tf.ones([5, 2]), numerics.RussianRoulette())
    >>> log_det.shape
    TensorShape([5])

  References:
    Chen et al., 2019, Theorems 1 and 2, Equations 7 to 9.
  """
  if draw is None:
    draw = estimator.draw(x, seed)
  value, log_det = estimator.evaluate(
      g, variables, list(state), x, draw, memory=memory)
  return x + value, log_det
