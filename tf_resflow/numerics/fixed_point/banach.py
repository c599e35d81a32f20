"""The plain fixed-point iteration."""

import dataclasses

from tf_resflow.numerics.fixed_point import solver


@dataclasses.dataclass(frozen=True)
class Banach(solver.Solver):
  """The plain iteration `x <- y - g(x)`.

  The error shrinks by the Lipschitz constant `L` of `g` at every step, so about
  `log(tolerance) / log(L)` evaluations are needed: 680 at `L = 0.98` for 1e-6.

  Example:
    >>> solution = numerics.Banach().solve(
    ...     lambda x: 0.5 * tf.tanh(x), tf.ones([2, 3]))
    >>> solution.converged.numpy().tolist()
    [True, True]

  References:
    Chen et al., 2019, Section 2; Behrmann et al., 2019, Algorithm 1.
  """
