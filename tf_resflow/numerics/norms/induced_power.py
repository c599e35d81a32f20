"""The nonlinear power method for induced norms `|A|_p->q`."""

import tensorflow as tf

from tf_resflow.numerics.norms import operators
from tf_resflow.numerics.norms import orders


def power_method(
    operator: operators.LayerOperator, x: tf.Tensor, tolerance: float = 1e-3,
    max_steps: int = 200, min_steps: int | tf.Tensor = 0,
) -> operators.ConvergedNorm:
  """Finds critical points of `|A x|_q / |x|_p` from several initial vectors.

    u <- dual vector of A x in l_q,   x <- dual vector of A^T u in l_p*

  No step decreases it: for `u` of a step, `|A x|_q = <u, A x> <= |A^T u|_p*` by
  Hoelder's inequality, and the next `x` has `<u, A x> = |A^T u|_p*`, which is
  at most `|A x|_q` there. For `p = q = 2` it is the power iteration of `A^T A`.

  If `A` has positive entries only and `p >= q`, there is one critical point
  without a negative entry, to which every positive vector converges, and it is
  the maximum. In general the maximum is NP-hard to find, and the result is a
  lower bound of the norm.

  Not differentiable: use `induced_norm`.

  Args:
    operator: `A`, with `p` and `q`.
    x: `[k, n]`, the initial vectors.
    tolerance: bound of the gap of the best row.
    max_steps: see `power_iteration.power_iteration`, as `min_steps`.

  Returns:
    Rows with `|x|_p = 1`, and the largest `|A x|_q`, a lower bound of the norm.
    The residual is the gap `|A^T u|_p* / |A x|_q - 1 >= 0` of the first row,
    with `u` the dual vector of `A x`: 0 if and only if `x` is a critical point,
    which may not be the maximum.

  References:
    Boyd, 1974, The Power Method for l^p Norms; Bhaskara and Vijayaraghavan,
    2011, Approximating Matrix p-norms (nonnegative matrices, p >= q);
    Steinberg, 2005, Computation of Matrix Norms with Applications to Robust
    Optimization (hardness).
  """
  domain, codomain = [tf.stop_gradient(o) if tf.is_tensor(o) else o
                      for o in (operator.domain, operator.codomain)]
  dual_domain = orders.dual(domain)

  def climb(x):
    """Returns the rows after a step, `|A x|_q` before it, and the gaps."""
    image = operator.apply(x)
    norms = orders.vector_norms(image, codomain)
    back = operator.apply(orders.dual_vectors(image, codomain), transpose=True)
    above = orders.vector_norms(back, dual_domain)
    gaps = tf.where(
        norms > 0.0, above / tf.where(norms > 0.0, norms, 1.0) - 1.0, 0.0)
    climbed = orders.dual_vectors(back, dual_domain)
    # Starts in the kernel of A stay where they are.
    moved = tf.where((above > 0.0)[:, tf.newaxis], climbed, x)
    return moved, norms, gaps

  def gap_of_best(norms, gaps):
    return gaps[tf.argmax(norms)]

  def body(num_steps, x, moved, norms, gaps):
    return (num_steps + 1, moved, *climb(moved))

  x = tf.stop_gradient(x)
  size = orders.vector_norms(x, domain, keepdims=True)
  x = x / tf.where(size > 0.0, size, tf.ones_like(size))
  num_steps, x, _, norms, gaps = tf.while_loop(
      lambda num_steps, x, moved, norms, gaps: (num_steps < max_steps) & (
          (gap_of_best(norms, gaps) > tolerance) | (num_steps < min_steps)),
      body, (tf.constant(0), x, *climb(x)), parallel_iterations=1,
      name='induced_power_iteration')
  order = tf.argsort(norms, direction='DESCENDING', stable=True)
  return operators.ConvergedNorm(
      tf.gather(x, order), tf.reduce_max(norms), num_steps,
      gap_of_best(norms, gaps))


def induced_norm(operator: operators.LayerOperator, x: tf.Tensor) -> tf.Tensor:
  """Returns `|A x_0|_q / |x_0|_p`, differentiable in the kernel and the orders.

  `x` are the rows that `power_method` returned. At a maximiser the derivatives
  are those of the norm: that of the quotient with respect to x is zero there
  (envelope theorem).
  """
  first = tf.stop_gradient(x[:1])
  return (orders.vector_norms(operator.apply(first), operator.codomain) /
          orders.vector_norms(first, operator.domain))[0]
