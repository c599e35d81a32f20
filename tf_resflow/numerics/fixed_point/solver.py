"""Solvers of the inverse of a residual block, the fixed point `x = y - g(x)`.

The plain iteration, Anderson acceleration, and an assertion of convergence.
"""

from collections.abc import Callable
import dataclasses
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tf_resflow import errors
from tf_resflow import private_apis
from tf_resflow.numerics.fixed_point import secants
from tf_resflow.specs import registries
from tf_resflow.specs import spec

# Acceptance factor of an accelerated step when no Lipschitz bound is given.
_DEFAULT_RHO = 0.99
_DEFAULT_ATOL = {tf.float32: 1e-6, tf.float64: 1e-10}


class Solution(NamedTuple):
  """The result of a fixed-point solver, with diagnostics of every sample.

  Attributes:
    x: the solution, shaped and typed like `y`. For a sample that failed it is
      the point at which it failed; for one that ran out of steps, the last
      accepted point.
    num_steps: int32 `[B]`, evaluations of `g` for each sample.
    converged: bool `[B]`, whether the residual met the tolerance.
    residual: `[B]`, `max|x + g(x) - y|` of the returned `x`.
  """

  x: tf.Tensor
  num_steps: tf.Tensor
  converged: tf.Tensor
  residual: tf.Tensor


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
  history: secants.History


@dataclasses.dataclass(frozen=True)
class Solver(spec.Specified):
  """A solver of `x + g(x) = y` that reports the convergence of every sample.

  Every sample stops on its own residual; the `Solution` says which of them
  converged.

  Subclasses are frozen dataclasses whose fields are the arguments of their spec
  (`anderson:5,atol=1e-08`). They set `history`, the number of secants that are
  kept; with 0 the loop is the plain iteration. A subclass with another
  iteration overrides `solve`.

  Attributes:
    atol: absolute tolerance; None means 1e-6 in float32, 1e-10 in float64.
    rtol: tolerance relative to the larger of `max|x|` and `max|y|` of the
      sample; None means 4 machine epsilons, an allowance for the rounding of
      `x + g(x) - y`, whose terms may be many times larger than `y`. For numbers
      up to 14 in float32 the two defaults add up to less than 1e-5. Set
      `atol=0` and `rtol` for systems without a natural scale, such as an
      adjoint solve.
    max_steps: largest number of evaluations of `g`.
  """

  registry = registries.SOLVERS
  history = 0

  _: dataclasses.KW_ONLY
  atol: float | None = spec.option(None, 'atol')
  rtol: float | None = spec.option(None, 'rtol')
  max_steps: int = spec.option(2000, 'max_steps')

  def __post_init__(self):
    for name, value in (('atol', self.atol), ('rtol', self.rtol)):
      errors.check(value is None or 0.0 <= value < float('inf'), name, value,
                   'a finite number >= 0')
    errors.check(
        self.max_steps >= 1, 'max_steps', self.max_steps, 'a number >= 1')

  def tolerances(self, dtype: tf.DType) -> tuple[float, float]:
    """Returns the absolute and the relative tolerance for a dtype."""
    return (
        _DEFAULT_ATOL[dtype] if self.atol is None else self.atol,
        4.0 * float(np.finfo(dtype.as_numpy_dtype).eps)
        if self.rtol is None else self.rtol)

  def solve(self, g_fn: Callable[[tf.Tensor], tf.Tensor], y: tf.Tensor,
            lipschitz_bound: float | tf.Tensor | None = None) -> Solution:
    """Solves `x + g(x) = y` for every sample.

    A sample stops, and keeps its `x` from then on, when

      max|x + g(x) - y| <= atol + rtol max(max|x|, max|y|).

    The initial point is `y`. A sample fails, and stops as well, when it or a
    plain step has a residual that is not finite; an accelerated step with such
    a residual is undone first. The loop ends when all samples have stopped.

    No gradient flows through the result (`tf.stop_gradient`): differentiate
    by the implicit function theorem instead. In eager mode an outer
    `tf.GradientTape` still records every step; call this from inside a
    `tf.custom_gradient` or a `tf.function` to avoid that.

    Args:
      g_fn: maps a tensor like `y` to one like `y`, each sample on its own.
      y: right-hand side, `[B, ...]`, float32 or float64; `B` may be unknown.
      lipschitz_bound: upper bound of the Lipschitz constant of `g`, a number
        in [0, 1) or a scalar tensor. It decides whether accelerated steps are
        accepted; the plain iteration does not need it.

    Returns:
      A `Solution`; `check_converged` makes failure an error.

    Raises:
      InvalidValueError: if `y` is neither float32 nor float64, shapes do not
        fit, or `lipschitz_bound` is not in [0, 1).
    """
    y, rho = _checked(y, lipschitz_bound)
    flatten, unflatten = _reshaping(y)
    flat_y = flatten(y)
    atol, rtol = self.tolerances(y.dtype)
    size_y = secants.max_abs(flat_y)

    def defect(trial):
      g = tf.convert_to_tensor(g_fn(unflatten(trial)))
      errors.check(
          g.shape.is_compatible_with(y.shape) and g.dtype == y.dtype,
          'g(x)', f'{g.dtype.name} {g.shape}', f'{y.dtype.name} {y.shape}, '
          'like y')
      return flat_y - tf.reshape(g, tf.shape(trial)) - trial

    def tolerance(trial):
      return atol + rtol * tf.maximum(secants.max_abs(trial), size_y)

    nothing = tf.zeros_like(size_y, tf.bool)
    state = _State(
        trial=flat_y, accelerated=nothing, x=flat_y,
        f=tf.zeros_like(flat_y),
        norm=tf.zeros_like(size_y),
        residual=tf.fill(tf.shape(size_y), tf.constant(float('inf'), y.dtype)),
        active=~nothing, converged=nothing,
        num_steps=tf.zeros_like(size_y, tf.int32),
        history=secants.empty(self.history, flat_y))
    (state,) = tf.while_loop(
        lambda s: tf.reduce_any(s.active),
        lambda s: (self._advanced(s, defect, tolerance, rho),), (state,),
        maximum_iterations=self.max_steps)
    return Solution(tf.stop_gradient(unflatten(state.x)), state.num_steps,
                    state.converged, tf.stop_gradient(state.residual))

  def _advanced(self, s, defect, tolerance, rho):
    """Returns the state after one evaluation of `defect`, `y - g(x) - x`."""
    f = defect(s.trial)
    residual = secants.max_abs(f)
    norm = secants.norm(f, residual)
    finite = tf.math.is_finite(residual)
    solved = finite & (residual <= tolerance(s.trial))
    accept = s.active & (
        ~s.accelerated | solved | (finite & (norm <= rho * s.norm)))
    converged = s.converged | (accept & solved)
    active = s.active & ~(accept & (solved | ~finite))
    history = s.history
    if self.history:
      # The first evaluation has no predecessor, hence no secant.
      is_secant = accept & finite & (s.num_steps > 0)
      df = f - s.f
      history = secants.clear(
          secants.push(history, s.trial - s.x + df, df, is_secant), ~accept)
    x = secants.select(accept, s.trial, s.x)
    f = secants.select(accept, f, s.f)
    trial = x + f
    accelerated = tf.zeros_like(accept)
    if self.history:
      step, accelerated = secants.correction(history, f)
      trial += step
    return _State(
        trial=secants.select(active, trial, x), accelerated=accelerated,
        x=x, f=f, norm=tf.where(accept, norm, s.norm),
        residual=tf.where(accept, residual, s.residual),
        active=active, converged=converged, history=history,
        num_steps=s.num_steps + tf.cast(s.active, tf.int32))


def _checked(y, lipschitz_bound):
  """Returns the arguments of `solve` as tensors, the bound as `rho`."""
  y = tf.stop_gradient(tf.convert_to_tensor(y))
  errors.check(y.dtype in _DEFAULT_ATOL, 'y', y.dtype.name,
               'float32 or float64', 'Cast it first.')
  errors.check(y.shape.rank != 0, 'y', 'a scalar', 'a tensor [B, ...]')
  errors.check(
      lipschitz_bound is None or tf.is_tensor(lipschitz_bound) or
      0.0 <= lipschitz_bound < 1.0, 'lipschitz_bound', lipschitz_bound,
      'a number in [0, 1)', 'Otherwise a fixed point may not exist.')
  return y, (
      tf.constant(_DEFAULT_RHO, y.dtype) if lipschitz_bound is None
      else tf.cast(lipschitz_bound, y.dtype))


def _reshaping(y):
  """Returns functions from tensors like `y` to `[B, D]`, and back."""
  shape = tf.shape(y)
  # Not -1: an empty batch would make it ambiguous. Static where possible, or
  # the loop variables would lose their shapes.
  size = y.shape[1:].num_elements()
  flat_shape = [
      shape[0] if y.shape[0] is None else y.shape[0],
      tf.reduce_prod(shape[1:]) if size is None else size]

  def unflatten(flat):
    # From its own batch size: XLA takes no size from outside of a loop.
    batch_size = tf.shape(flat)[0] if y.shape[0] is None else y.shape[0]
    return tf.ensure_shape(tf.reshape(flat, tf.concat(
        [[batch_size], shape[1:] if size is None else y.shape[1:]],
        axis=0)), y.shape)

  return lambda x: tf.reshape(x, flat_shape), unflatten


@dataclasses.dataclass(frozen=True)
class Banach(Solver):
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


@dataclasses.dataclass(frozen=True)
class Anderson(Solver):
  """Anderson acceleration of `x <- y - g(x)`, safeguarded by the plain step.

  With `f(x) = y - g(x) - x` the plain step leads from `x` to `x + f`, and
  `f = 0` at the solution. The changes by past steps, `s` of `x + f` and `q` of
  `f`, predict those by the next: for every sample the last pairs `(s_j, q_j)`
  are kept, the secants, combined so that the `q_j` are orthonormal. The columns
  of `S` and `Q` are the `s_j` and `q_j`. The accelerated step leads to the
  point for which the secants predict the least `|f|_2`,

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

  The last row is the worst case for all such methods: the spectrum fills a
  circle around 1, with no structure to exploit.

  Args:
    history: number of secants kept, at least 1.

  References:
    Anderson, 1965; Walker and Ni, 2011 (least-squares form); Eisenstat, Elman
    and Schultz, 1983 (truncated generalised conjugate residuals).
  """

  history: int = 5
  _: dataclasses.KW_ONLY
  max_steps: int = spec.option(500, 'max_steps')

  def __post_init__(self):
    super().__post_init__()
    errors.check(self.history >= 1, 'history', self.history,
                 'a number >= 1', 'Use Banach for the plain iteration.')


def check_converged(
    solution: Solution, name: str, solver: Solver | None = None) -> Solution:
  """Raises an error unless every sample converged, also in a `tf.function`.

  Under XLA (`jit_compile=True`) TensorFlow drops assertions: call it outside.

  Args:
    solution: what `solve` returned.
    name: what was being solved, for the message.
    solver: the solver used; its tolerance and `max_steps` join the message.

  Returns:
    `solution`, with `x` depending on the check.

  Raises:
    tf.errors.InvalidArgumentError: if some samples did not converge.

  Example:
    >>> solution = numerics.Banach(max_steps=2).solve(
    ...     lambda x: 0.5 * tf.tanh(x), tf.ones([2, 3]))
    >>> numerics.check_converged(solution, 'inverse')
    Traceback (most recent call last):
    tensorflow.python.framework.errors_impl.InvalidArgumentError: ...
  """
  failed = ~solution.converged
  if tf.executing_eagerly() and not tf.reduce_any(failed):
    return solution
  finite = tf.math.is_finite(solution.residual)
  settings = ''
  if solver is not None:
    atol, rtol = solver.tolerances(solution.x.dtype)
    settings = (
        f' to {atol:.3g} + {rtol:.3g} * max(max|x|, max|y|) within '
        f'max_steps {solver.max_steps}')
  message = [
      f'{name}: expected convergence{settings}. It did not converge for',
      tf.math.count_nonzero(failed), 'of', tf.size(failed), 'samples,',
      tf.math.count_nonzero(~finite & failed),
      'of them with a residual that is not finite; the largest finite one is',
      tf.reduce_max(tf.where(finite, solution.residual, 0.0)),
      'after at most', tf.reduce_max(solution.num_steps),
      'evaluations of g. Where it is not finite, check the input; else check '
      'that g is a contraction (Lipschitz constant below 1), raise max_steps, '
      'loosen atol, or use float64.']
  with tf.control_dependencies(private_apis.assertions(
      tf.reduce_all(solution.converged), message)):
    return solution._replace(x=tf.identity(solution.x))
