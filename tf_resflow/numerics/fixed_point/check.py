"""Failure of a solve as an error."""

import tensorflow as tf

from tf_resflow.numerics.fixed_point import solution as solution_lib
from tf_resflow.numerics.fixed_point import solver as solver_lib


def check_converged(
    solution: solution_lib.Solution, name: str,
    solver: solver_lib.Solver | None = None) -> solution_lib.Solution:
  """Raises unless every sample converged, eagerly and in a `tf.function`.

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
  finite = tf.math.is_finite(solution.residual)
  num_missed = tf.math.count_nonzero(~solution.converged)
  num_failed = tf.math.count_nonzero(~finite & ~solution.converged)
  zeros = tf.zeros_like(solution.residual)
  largest = tf.reduce_max(tf.where(finite, solution.residual, zeros))
  settings = ''
  if solver is not None:
    atol, rtol = solver.tolerances(solution.x.dtype)
    settings = (
        f' to {atol:.3g} + {rtol:.3g} * max|y| within max_steps '
        f'{solver.max_steps}')
  assertion = tf.debugging.Assert(tf.reduce_all(solution.converged), [
      f'{name}: expected convergence{settings}. It did not converge for',
      num_missed, 'of', tf.size(solution.converged), 'samples,', num_failed,
      'of them with a residual that is not finite; the largest finite one is',
      largest, 'after at most', tf.reduce_max(solution.num_steps),
      'evaluations of g. Check that g is a contraction (Lipschitz constant '
      'below 1), raise max_steps, loosen atol, or use float64.'])
  with tf.control_dependencies([] if assertion is None else [assertion]):
    return solution._replace(x=tf.identity(solution.x))
