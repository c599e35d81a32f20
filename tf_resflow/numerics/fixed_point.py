"""Fixed-point solvers for the inverse of a residual block, x = y - g(x).

Both solvers stop every sample on its own residual and return what happened as
data: a sample that did not converge is reported, never passed off as solved.
"""

from collections.abc import Callable
import dataclasses
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tf_resflow.numerics import secants

# Acceptance factor of an accelerated step when no Lipschitz bound is given.
_DEFAULT_RHO = 0.99
_DEFAULT_ATOL = {tf.float32: 1e-6, tf.float64: 1e-10}


class Solution(NamedTuple):
  """What a fixed-point solver returns.

  Attributes:
    x: the solution, shaped and typed like `y`. For a sample that failed it is
      the point at which it failed; for one that ran out of steps, the last
      accepted point.
    num_steps: int32 [B], evaluations of `g` spent on each sample.
    converged: bool [B], whether the residual met the tolerance.
    residual: [B], max|x + g(x) - y| of the returned `x`.
  """

  x: tf.Tensor
  num_steps: tf.Tensor
  converged: tf.Tensor
  residual: tf.Tensor


@dataclasses.dataclass(frozen=True)
class Banach:
  """The plain iteration x <- y - g(x).

  The error shrinks by the Lipschitz constant L of `g` at every step, so about
  log(tolerance) / log(L) evaluations are needed: 680 at L = 0.98 for 1e-6.

  Example:
    >>> solution = numerics.Banach().solve(
    ...     lambda x: 0.5 * tf.tanh(x), tf.ones([2, 3]))
    >>> solution.converged.numpy().tolist()
    [True, True]

  Attributes:
    atol: absolute tolerance; None means 1e-6 in float32, 1e-10 in float64.
    rtol: tolerance relative to max|y| of the sample; None means 4 machine
      epsilons, an allowance for the rounding of x + g(x) - y. For |y| up to 14
      in float32 the two defaults add up to less than 1e-5. A solution many
      times larger than `y` may round worse than that and is then reported as
      not converged: raise `rtol` or use float64. Set `atol=0` and `rtol` for
      systems without a natural scale, such as an adjoint solve.
    max_steps: most evaluations of `g`.

  References:
    Chen et al., 2019, Section 2; Behrmann et al., 2019, Algorithm 1.
  """

  atol: float | None = None
  rtol: float | None = None
  max_steps: int = 2000

  def __post_init__(self):
    _check_options(self)

  def solve(
      self,
      g_fn: Callable[[tf.Tensor], tf.Tensor],
      y: tf.Tensor,
      x_init: tf.Tensor | None = None,
      lipschitz_bound: float | tf.Tensor | None = None,
  ) -> Solution:
    """Solves x + g(x) = y for every sample; see `Anderson.solve`."""
    return _solve(self, 0, g_fn, y, x_init, lipschitz_bound)


@dataclasses.dataclass(frozen=True)
class Anderson:
  """Anderson acceleration of x <- y - g(x), safeguarded by the plain step.

  With f(x) = y - g(x) - x, every iteration knows secants (p_j, q_j), that is,
  combinations of past steps `p_j = dx` and their effects `q_j = df`, kept
  orthonormal in q for each sample (an updated QR factorisation, so no small
  system has to be solved). The least-squares step is

    c = Q^T f,   x_new = (x - P c) + (f - Q c).

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
    L * orthogonal matrix      388 / 380   1183 / 1149 over 2000 both

  The last row is the worst case of every method of this kind: the spectrum
  fills a circle around 1 and there is nothing to exploit.

  Example:
    >>> solution = numerics.Anderson().solve(
    ...     lambda x: 0.5 * tf.tanh(x), tf.ones([2, 3]))
    >>> solution.converged.numpy().tolist()
    [True, True]

  Attributes:
    atol: see `Banach`.
    rtol: see `Banach`.
    history: number of secants kept, at least 1.
    max_steps: most evaluations of `g`.

  References:
    Anderson, 1965; Walker and Ni, 2011 (least-squares form); Eisenstat, Elman
    and Schultz, 1983 (truncated generalised conjugate residuals).
  """

  atol: float | None = None
  rtol: float | None = None
  history: int = 5
  max_steps: int = 500

  def __post_init__(self):
    _check_options(self)
    if self.history < 1:
      raise ValueError(
          f'history must be at least 1, got {self.history}; use Banach for '
          'the plain iteration.'
      )

  def solve(
      self,
      g_fn: Callable[[tf.Tensor], tf.Tensor],
      y: tf.Tensor,
      x_init: tf.Tensor | None = None,
      lipschitz_bound: float | tf.Tensor | None = None,
  ) -> Solution:
    """Solves x + g(x) = y for every sample.

    A sample stops when max|x + g(x) - y| <= atol + rtol * max|y|, and is frozen
    from then on. It fails, and is frozen as not converged, when a plain step
    (or the start) has a residual that is not finite; an accelerated step with
    such a residual is undone first. The loop ends when no sample is left.

    No gradient flows through the result (`tf.stop_gradient`): differentiate
    by the implicit function theorem instead. In eager mode an outer
    `tf.GradientTape` still records every step; call this from inside a
    `tf.custom_gradient` or a `tf.function` to avoid that.

    Args:
      g_fn: maps a tensor like `y` to one like `y`, each sample on its own.
      y: right-hand side, [B, ...], float32 or float64; B may be unknown.
      x_init: where to start, like `y`; None starts from `y`.
      lipschitz_bound: upper bound of the Lipschitz constant of `g`, a number
        in [0, 1) or a scalar tensor. Anderson accepts steps by it; Banach
        takes it for the sake of a common signature.

    Returns:
      A `Solution`. Pass it to `check_converged` to make failure an error.

    Raises:
      TypeError: `y` is neither float32 nor float64.
      ValueError: shapes do not fit, or `lipschitz_bound` is not in [0, 1).
    """
    return _solve(self, self.history, g_fn, y, x_init, lipschitz_bound)


def check_converged(
    solution: Solution, name: str, solver: Banach | Anderson | None = None
) -> Solution:
  """Raises unless every sample converged, eagerly and in a `tf.function`.

  Under XLA (`jit_compile=True`) TensorFlow drops assertions: call it outside.

  Args:
    solution: what `solve` returned.
    name: what was being solved, for the message.
    solver: the solver used; its tolerance and `max_steps` join the message.

  Returns:
    `solution`, with `x` depending on the check.

  Raises:
    tf.errors.InvalidArgumentError: some samples did not converge.

  Example:
    >>> solution = numerics.Banach(max_steps=2).solve(
    ...     lambda x: 0.5 * tf.tanh(x), tf.ones([2, 3]))
    >>> numerics.check_converged(solution, 'inverse')
    Traceback (most recent call last):
    tensorflow.python.framework.errors_impl.InvalidArgumentError: ...
  """
  finite = tf.math.is_finite(solution.residual)
  num_missed = tf.math.count_nonzero(~solution.converged)
  num_failed = tf.math.count_nonzero(~finite & ~solution.converged)
  zeros = tf.zeros_like(solution.residual)
  largest = tf.reduce_max(tf.where(finite, solution.residual, zeros))
  settings = ''
  if solver is not None:
    atol, rtol = _tolerances(solver, solution.x.dtype)
    settings = (
        f' (tolerance {atol:.3g} + {rtol:.3g} * max|y|, '
        f'max_steps {solver.max_steps})'
    )
  assertion = tf.debugging.Assert(
      tf.reduce_all(solution.converged),
      [
          f'{name}: the fixed-point iteration{settings} did not converge for',
          num_missed, 'of', tf.size(solution.converged), 'samples;', num_failed,
          'of them met a residual that is not finite; largest finite residual',
          largest, 'after at most', tf.reduce_max(solution.num_steps),
          'evaluations. Check that g is a contraction (Lipschitz constant '
          'below 1), raise max_steps, loosen atol, or use float64.',
      ],
  )
  with tf.control_dependencies([] if assertion is None else [assertion]):
    return solution._replace(x=tf.identity(solution.x))


class _State(NamedTuple):
  """Loop variables; D is the flattened size of a sample, m the history."""

  trial: tf.Tensor  # [B, D], the next point to evaluate
  accelerated: tf.Tensor  # [B], whether `trial` must pass the safeguard
  x: tf.Tensor  # [B, D], last accepted point
  f: tf.Tensor  # [B, D], y - g(x) - x there
  norm: tf.Tensor  # [B], |f|_2
  residual: tf.Tensor  # [B], max|f|
  active: tf.Tensor  # [B]
  converged: tf.Tensor  # [B]
  num_steps: tf.Tensor  # [B]
  p: tf.Tensor  # [B, m, D], steps
  q: tf.Tensor  # [B, m, D], their effects on f, orthonormal or zero


def _solve(solver, history, g_fn, y, x_init, lipschitz_bound):
  """The loop behind both solvers; `history` 0 is the plain iteration."""
  y = tf.stop_gradient(tf.convert_to_tensor(y))
  if y.dtype not in _DEFAULT_ATOL:
    raise TypeError(
        f'y must be float32 or float64, got {y.dtype.name}; cast it first.'
    )
  if y.shape.rank == 0:
    raise ValueError('y must have a batch axis, got a scalar; add an axis.')
  if x_init is None:
    x_init = y
  x_init = tf.stop_gradient(tf.convert_to_tensor(x_init, y.dtype))
  _check_like(x_init, y, 'x_init')
  rho = _acceptance_factor(lipschitz_bound, y.dtype)
  shape = tf.shape(y)
  # Not -1: an empty batch would make it ambiguous. Static where possible, or
  # the loop variables would lose their shapes.
  size = y.shape[1:].num_elements()
  flat_shape = [
      shape[0] if y.shape[0] is None else y.shape[0],
      tf.reduce_prod(shape[1:]) if size is None else size,
  ]
  flat_y = tf.reshape(y, flat_shape)
  atol, rtol = _tolerances(solver, y.dtype)
  tolerance = atol + rtol * secants.max_abs(flat_y)
  select = secants.select

  def step_fn(s):
    x_in = tf.ensure_shape(tf.reshape(s.trial, shape), y.shape)
    g = tf.convert_to_tensor(g_fn(x_in))
    _check_like(g, y, 'g(x)')
    f = flat_y - tf.reshape(g, flat_shape) - s.trial
    residual = secants.max_abs(f)
    norm = secants.norm(f)
    finite = tf.math.is_finite(residual)
    solved = residual <= tolerance
    accept = s.active & (
        ~s.accelerated | solved | (finite & (norm <= rho * s.norm))
    )
    converged = s.converged | (accept & solved)
    active = s.active & ~(accept & (solved | ~finite))
    p, q = s.p, s.q
    if history:
      # The first evaluation has no predecessor, hence no secant.
      is_secant = accept & finite & (s.num_steps > 0)
      p, q = secants.push(p, q, s.trial - s.x, f - s.f, is_secant)
      p, q = select(accept, p, 0.0), select(accept, q, 0.0)
    x = select(accept, s.trial, s.x)
    f = select(accept, f, s.f)
    trial = x + f
    accelerated = tf.zeros_like(accept)
    if history:
      step, accelerated = secants.correction(p, q, f)
      trial += step
    return _State(
        trial=select(active, trial, x),
        accelerated=accelerated,
        x=x,
        f=f,
        norm=tf.where(accept, norm, s.norm),
        residual=tf.where(accept, residual, s.residual),
        active=active,
        converged=converged,
        num_steps=s.num_steps + tf.cast(s.active, tf.int32),
        p=p,
        q=q,
    )

  zeros = tf.zeros_like(flat_y)
  nothing = tf.zeros_like(tolerance, tf.bool)
  history_zeros = tf.tile(zeros[:, tf.newaxis], [1, history, 1])
  start = tf.reshape(x_init, flat_shape)
  state = _State(
      trial=start,
      accelerated=nothing,
      x=start,
      f=zeros,
      norm=tf.zeros_like(tolerance),
      residual=tf.fill(tf.shape(tolerance), tf.constant(float('inf'), y.dtype)),
      active=~nothing,
      converged=nothing,
      num_steps=tf.zeros_like(tolerance, tf.int32),
      p=history_zeros,
      q=history_zeros,
  )
  (state,) = tf.while_loop(
      lambda s: tf.reduce_any(s.active),
      lambda s: (step_fn(s),),
      (state,),
      maximum_iterations=solver.max_steps,
  )
  return Solution(
      x=tf.stop_gradient(
          tf.ensure_shape(tf.reshape(state.x, shape), y.shape)
      ),
      num_steps=state.num_steps,
      converged=state.converged,
      residual=tf.stop_gradient(state.residual),
  )


def _tolerances(solver, dtype):
  atol = _DEFAULT_ATOL[dtype] if solver.atol is None else solver.atol
  eps = float(np.finfo(dtype.as_numpy_dtype).eps)
  return atol, 4.0 * eps if solver.rtol is None else solver.rtol


def _acceptance_factor(lipschitz_bound, dtype):
  if lipschitz_bound is None:
    return tf.constant(_DEFAULT_RHO, dtype)
  if not tf.is_tensor(lipschitz_bound) and not 0.0 <= lipschitz_bound < 1.0:
    raise ValueError(
        f'lipschitz_bound must be in [0, 1), got {lipschitz_bound}; the '
        'fixed point need not exist otherwise.'
    )
  return tf.cast(lipschitz_bound, dtype)


def _check_like(tensor, y, name):
  if not tensor.shape.is_compatible_with(y.shape) or tensor.dtype != y.dtype:
    raise ValueError(
        f'{name} must be like y, {y.dtype.name} {y.shape}, got '
        f'{tensor.dtype.name} {tensor.shape}.'
    )


def _check_options(solver):
  for name in ('atol', 'rtol'):
    value = getattr(solver, name)
    if value is not None and not 0.0 <= value < float('inf'):
      raise ValueError(f'{name} must be finite and at least 0, got {value}.')
  if solver.max_steps < 1:
    raise ValueError(f'max_steps must be at least 1, got {solver.max_steps}.')
