"""Anderson acceleration of the fixed-point iteration."""

import dataclasses

from tf_resflow import errors
from tf_resflow.configuration import spec
from tf_resflow.numerics.fixed_point import solver


@dataclasses.dataclass(frozen=True)
class Anderson(solver.Solver):
  """Anderson acceleration of `x <- y - g(x)`, safeguarded by the plain step.

  With `f(x) = y - g(x) - x` the plain step leads from `x` to `x + f`, and is at
  its end where `f = 0`. What past steps changed, `s` in `x + f` and `q` in `f`,
  predicts what a step would change: of every sample the last pairs `(s_j, q_j)`
  are kept, the secants, combined so that the `q_j` are orthonormal. The columns
  of `S` and `Q` are the `s_j` and `q_j`. The accelerated step is to where the
  secants predict the least `|f|_2`,

    c = Q^T f,   x_new = (x + f) - S c.

  A new secant is projected on the complement of the last `history` ones before
  it is stored, which makes the method on linear problems a truncated
  generalised conjugate residual method: for symmetric and for skew-symmetric
  `g` a short history is as good as a full one.

  An accelerated point is kept only if `|f|_2` fell by the factor `rho` (the
  Lipschitz bound if given, else 0.99). Otherwise the secants are dropped and
  the next evaluation is a plain step from the last accepted point. So if `g`
  has the Lipschitz constant `L <= rho` in l2, two evaluations reduce `|f|_2` by
  `rho` at least. One evaluation of `g` per iteration; memory for
  `2 * history * B * D` numbers.

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

  Args:
    history: number of secants kept, at least 1.
    atol: see `Solver`, like the others.
    rtol: relative tolerance.
    max_steps: most evaluations of `g`.

  Example:
    >>> solution = numerics.Anderson().solve(
    ...     lambda x: 0.5 * tf.tanh(x), tf.ones([2, 3]))
    >>> solution.converged.numpy().tolist()
    [True, True]

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
