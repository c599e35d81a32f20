"""Anderson acceleration of the fixed-point iteration."""

import dataclasses

from tf_resflow import errors
from tf_resflow.configuration import spec
from tf_resflow.numerics.fixed_point import solver


@dataclasses.dataclass(frozen=True)
class Anderson(solver.Solver):
  """Anderson acceleration of x <- y - g(x), safeguarded by the plain step.

  With f(x) = y - g(x) - x, every iteration knows secants (s_j, q_j), that is,
  combinations of past changes `s_j = d(x + f)` and `q_j = df`, kept orthonormal
  in q for each sample (an updated QR factorisation, so no small system has to
  be solved). The least-squares step is

    c = Q^T f,   x_new = (x + f) - S c.

  A new secant is projected on the complement of the last `history` ones before
  it is stored, which makes the method on linear problems a truncated
  generalised conjugate residual method: for symmetric and for skew-symmetric
  `g` a short history is as good as a full one.

  An accelerated point is kept only if |f|_2 fell by the factor rho (the
  Lipschitz bound if given, else 0.99). Otherwise the history is cleared and
  the next evaluation is a plain step from the last accepted point. So if `g`
  has Lipschitz constant L <= rho in l2, two evaluations reduce |f|_2 at least
  by rho. One evaluation of `g` per iteration; memory 2 * history * B * D.

  Evaluations of `g` to the default tolerance in float64, 60 dimensions,
  Banach / Anderson (asserted loosely in the test):

    g (Lipschitz constant)     0.94        0.98        0.99
    linear, symmetric          363 / 44    1112 / 49   over 2000 / 50
    linear, skew-symmetric     364 / 26    1114 / 27   over 2000 / 27
    -L tanh(x)                 266 / 46     719 / 56   1396 / 61
    tanh(S x), S skew          159 / 31     228 / 32    255 / 32
    L * orthogonal matrix      388 / 380   1183 / 1148 over 2000 both

  The last row is the worst case of every method of this kind: the spectrum
  fills a circle around 1 and there is nothing to exploit.

  Example:
    >>> solution = numerics.Anderson().solve(
    ...     lambda x: 0.5 * tf.tanh(x), tf.ones([2, 3]))
    >>> solution.converged.numpy().tolist()
    [True, True]

  Attributes:
    history: number of secants kept, at least 1. The others: see `Solver`.

  References:
    Anderson, 1965; Walker and Ni, 2011 (least-squares form); Eisenstat, Elman
    and Schultz, 1983 (truncated generalised conjugate residuals).
  """

  history: int = 5
  max_steps: int = spec.option(500, 'max_steps')

  def __post_init__(self):
    super().__post_init__()
    errors.check(self.history >= 1, 'history', self.history,
                 'a number from 1', 'Banach is the plain iteration.')
