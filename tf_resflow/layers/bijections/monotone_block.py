"""The monotone block."""

import math

import tensorflow as tf

from tf_resflow import numerics
from tf_resflow.layers import base_layer
from tf_resflow.layers.bijections import residual_block
from tf_resflow.layers.bijections.bijection import BiLipschitzBounds
from tf_resflow.layers.bijections.bijection import PassResult
from tf_resflow.layers.bijections.bijection import PassSettings


@base_layer.configured
class MonotoneBlock(residual_block.ResidualBlock):
  """`x = (w + g(w)) / sqrt(2)`, `y = (w - g(w)) / sqrt(2)`, with `Lip(g) < 1`.

  Either direction is a solve for `w`, by which with `J = dg/dw`

    dy/dx = (I - J) (I + J)^-1,
    log det = -2 sum_{k>=1} tr(J^(2k-1)) / (2k-1).

  Slopes reach from `(1 - L) / (1 + L)` to `(1 + L) / (1 - L)`, `L = Lip(g)`: to
  99 at `L = 0.98`, where those of a residual block reach 1.98. An estimator's
  number of terms counts the odd powers, each of which takes two products with
  `J^T`. Gradients take one further solve, with the same solver.

  Args:
    g: as that of a `ResidualBlock`; with a condition likewise.
    estimator: of the log-determinant, see `ResidualBlock`.
    solver: of both directions and of gradients, a `numerics.Solver` or its
      spec; `Anderson()` by default. An example that does not converge is an
      error, or NaN under XLA; `transform` and `solve_inverse` report it.
    memory: how gradients of the log-determinant are computed, one of
      `registries.MEMORY_MODES`.
    lipschitz_bound: asserts `Lip(g) <= lipschitz_bound` in l_2 for a `g` whose
      bound is not known from its layers.
    uncertified: accepts a `g` whose norms do not make it a contraction.

  Raises:
    InvalidValueError: as a `ResidualBlock` does.

  Example:
    >>> g = keras.Sequential([
    ...     layers.SpectralDense(32), layers.LipSwish(),
    ...     layers.SpectralDense(2)])
    >>> block = layers.MonotoneBlock(g)
    >>> y, log_det = block.forward_and_log_det(tf.ones([5, 2]))
    >>> np.allclose(block.inverse(y), 1.0, atol=1e-4)
    True

  References:
    Ahn, Kim, Hong and Ko, 2022, Invertible Monotone Operators for Normalizing
    Flows, Section 4.
  """

  num_solves = 1, 1
  series = numerics.OddSeries()

  def _solved(self, inputs, settings, sign):
    root = math.sqrt(2.0)
    solve, log_det = self.solve(root * inputs, settings, sign)
    return PassResult(
        root * solve.solution.x - inputs, sign * log_det, (solve,))

  def forward_pass(self, x: tf.Tensor, settings: PassSettings) -> PassResult:
    return self._solved(x, settings, 1)

  def inverse_pass(self, y: tf.Tensor, settings: PassSettings) -> PassResult:
    return self._solved(y, settings, -1)

  def bi_lipschitz_bounds(self) -> BiLipschitzBounds:
    """Returns the slopes of the certified `Lip(g)`.

    Near 1 a relative excess of 1e-3, to which layers keep to their bounds,
    makes a difference. So this takes as long as `certificate`. A frozen copy,
    which has none, states those of `lipschitz_bound`.
    """
    bounds = super().bi_lipschitz_bounds()
    certified = self.certificate(self.lipschitz_bound).bound or 0.0
    lower = min(bounds.lower, 1.0 - certified)
    upper = max(bounds.upper, 1.0 + certified)
    if lower <= 0.0:  # Nothing is proven.
      return bounds._replace(lower=0.0, upper=math.inf)
    return bounds._replace(lower=lower / upper, upper=upper / lower)
