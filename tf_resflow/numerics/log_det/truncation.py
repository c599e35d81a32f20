"""Estimators with a fixed number of series terms, or with none."""

from collections.abc import Sequence
import dataclasses
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from tf_resflow import errors
from tf_resflow.numerics import random
from tf_resflow.numerics import residual_function
from tf_resflow.numerics.log_det import estimator
from tf_resflow.numerics.log_det import series as series_lib


@dataclasses.dataclass(frozen=True)
class FixedTruncation(estimator.SeriesEstimator):
  """The biased estimator of i-ResNets: the first `num_terms` terms.

  `c_k = 1`; the gradient vector sums `k = 0, ..., n - 1`, which is the
  gradient of the n-term value.

  Its bias is that of the omitted terms, for an eigenvalue `a` of the Jacobian
  `sum_{k > n} (-1)^k a^k / k`: a real `a > 0` makes the value too large for odd
  `n` and too small for even `n`, `a < 0` too large for every `n`. Training
  favours Jacobians whose value is too large.

  Args:
    num_terms: `n >= 1`.
    probe: see `SeriesEstimator`.

  Example:
    >>> g = numerics.ResidualFunction(lambda weights, x: 0.5 * x)
    >>> estimator = numerics.FixedTruncation(10)
    >>> y, log_det = numerics.forward_and_log_det(
    ...     g, [], tf.ones([5, 2]), estimator, seed=0)
    >>> np.allclose(log_det, 2 * np.log(1.5), atol=1e-3)
    True

  References:
    Behrmann et al., 2019, Invertible Residual Networks, Algorithm 2.
  """

  is_biased: ClassVar[bool] = True

  num_terms: int = 10

  def __post_init__(self):
    super().__post_init__()
    errors.check(
        self.num_terms >= 1, 'num_terms', self.num_terms, 'a number >= 1')

  def draw_stop(self, seed: random.Seed) -> tf.Tensor:
    # Not a constant: TensorFlow compiles a function anew for every call with
    # one. Seeds are never negative, so this adds nothing.
    return self.num_terms + tf.minimum(seed.values[0], 0)

  def schedule(self, draw: estimator.Draw) -> series_lib.TabulatedSchedule:
    weights = np.ones(self.num_terms + 1)
    # The gradient of the n-term value ends with u_(n-1).
    return series_lib.TabulatedSchedule(
        draw.stop, weights, np.append(weights[1:], 0.0), draw.probe.dtype)


@dataclasses.dataclass(frozen=True)
class NoLogDet(estimator.Estimator):
  """No log-determinant: returns `g(x)` and NaN, for latents or features only.
  """

  is_random: ClassVar[bool] = False
  is_skipped: ClassVar[bool] = True

  def evaluate(
      self, g: residual_function.ResidualFunction, variables: Any, state: Any,
      x: tf.Tensor, draw: None, *, context: Sequence[tf.Tensor] = (),
      **unused: Any) -> tuple[tf.Tensor, tf.Tensor]:
    return (
        g.traced(residual_function.evaluate)(variables, state, x, *context),
        tf.fill([tf.shape(x)[0]], tf.constant(float('nan'), x.dtype)))
