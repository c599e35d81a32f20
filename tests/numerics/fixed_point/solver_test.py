"""Tests of the fixed-point solvers, and of failure as an error.

What they share; tolerances, where the plain iteration meets them exactly; speed
of Anderson acceleration against that, and its safeguard.

Oracles: numpy's float64 solve for linear maps, the residual recomputed in
float64 for nonlinear ones.
"""

from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

from tests import loops
from tests.numerics import cases
from tests.numerics.fixed_point import contractions
from tf_resflow import numerics

_SOLVERS = {
    name: numerics.Solver.get(spec) for name, spec in cases.SOLVERS.items()}
_EACH_SOLVER = pytest.mark.parametrize(
    'solver', _SOLVERS.values(), ids=_SOLVERS)
# One vector back is another history, and no other code.
_BOTH_KINDS = [_SOLVERS[name] for name in ('banach', 'anderson')]


def _half_tanh(x):
  return 0.5 * tf.tanh(x)


def _linear(kind, bound):
  return contractions.linear(contractions.matrix(kind, bound))


def _residual64(g_fn, x, y):
  x, y = tf.cast(x, tf.float64), tf.cast(y, tf.float64)
  return np.abs((x + g_fn(x) - y).numpy()).reshape([y.shape[0], -1]).max(-1)


@loops.each([
    ('banach', 'symmetric'), ('anderson', 'skew'), ('anderson', 'gauss'),
    ('anderson', 'orthogonal'), ('anderson_short', 'symmetric')])
def test_linear_map_matches_direct_solve(name, kind):
  solver = _SOLVERS[name]
  matrix = contractions.matrix(kind, 0.9)
  y = contractions.rhs()
  solution = contractions.solve(solver, contractions.linear(matrix), y)
  expected = np.linalg.solve(np.eye(contractions.DIM) + matrix, y.numpy().T).T
  assert solution.converged.numpy().all()
  # |x - x*| <= |residual|_2 / (1 - L).
  np.testing.assert_allclose(
      solution.x, expected, rtol=0, atol=1e-10 * contractions.DIM**0.5 / 0.1)
  assert solution.num_steps.dtype == tf.int32
  assert solution.x.shape == y.shape


@loops.each(_BOTH_KINDS, [tf.float32, tf.float64])
def test_residual_is_that_of_the_returned_x(solver, dtype):
  y = 4.0 * contractions.rhs(dtype=dtype)

  def g_fn(x):
    return tf.tanh(_linear('gauss', 0.95)(x))

  solution = contractions.solve(solver, g_fn, y)
  assert solution.converged.numpy().all()
  assert 10.0 < np.abs(y).max() < 18.0
  residual = _residual64(g_fn, solution.x, y)
  # The second term is the rounding of the float32 evaluation itself.
  assert (residual <= (1e-5 if dtype == tf.float32 else 1e-9)).all()
  np.testing.assert_allclose(
      solution.residual, residual,
      atol=3e-6 if dtype == tf.float32 else 1e-14)


@_EACH_SOLVER
def test_solutions_may_be_many_times_larger_than_their_right_hand_sides(solver):
  # x is up to 50 y, and x + g(x) - y rounds as x does.
  matrix = -0.96 * np.eye(8) + contractions.matrix('orthogonal', 0.02, dim=8)
  g_fn = contractions.linear(matrix)
  y = contractions.rhs(2000, 8, dtype=tf.float32)
  solution = contractions.solve(solver, g_fn, y)
  size = np.maximum(np.abs(solution.x), np.abs(y)).max(axis=1)
  assert np.median(size) > 20.0 and solution.converged.numpy().all()
  # Half of the allowance again for the rounding of g and of the residual.
  assert np.all(_residual64(g_fn, solution.x, y) <=
                1e-6 + 6 * np.finfo(np.float32).eps * size)


@_EACH_SOLVER
def test_samples_stop_one_by_one_and_ignore_their_batch_mates(solver):
  scales = tf.constant([[0.0], [0.1], [0.5], [0.9]], tf.float64)
  matrix = contractions.matrix('symmetric', 1.0, dim=6)
  y = contractions.rhs(4, 6)
  solve = contractions.traced(lambda y, scales: solver.solve(
      lambda x: scales * tf.sin(contractions.linear(matrix)(x)), y), y, scales)
  together = solve(y, scales)
  num_steps = together.num_steps.numpy()
  assert (np.diff(num_steps) > 0).all()
  assert num_steps[0] == 1  # g = 0: y itself is the solution.
  for i in range(4):
    alone = solve(y[i:i + 1], scales[i:i + 1])
    assert alone.num_steps.numpy()[0] == num_steps[i]
    np.testing.assert_allclose(alone.x[0], together.x[i], atol=1e-13)
    np.testing.assert_allclose(
        alone.residual[0], together.residual[i], atol=1e-14)


@_EACH_SOLVER
def test_failed_batch_does_not_burn_steps(solver):
  g_fn = mock.Mock(side_effect=lambda x: x * np.nan)
  solution = solver.solve(g_fn, contractions.rhs(2, 3))
  assert not solution.converged.numpy().any()
  g_fn.assert_called_once()


@loops.each(_BOTH_KINDS, [[0, 4], [3], [2, 1]])
def test_degenerate_shapes(solver, shape):
  y = tf.ones(shape, tf.float64)
  solution = contractions.solve(solver, lambda x: 0.5 * x, y)
  assert solution.x.shape == shape
  assert solution.num_steps.shape == shape[:1]
  np.testing.assert_allclose(solution.x, np.full(shape, 2 / 3), atol=1e-9)


def test_no_gradient_flows_through_the_solution():
  y = contractions.rhs(2, 3)
  with tf.GradientTape() as tape:
    tape.watch(y)
    solution = _SOLVERS['anderson'].solve(_half_tanh, y)
    loss = tf.reduce_sum(solution.x) + tf.reduce_sum(solution.residual)
  assert tape.gradient(loss, y) is None


@loops.each([
    (lambda: numerics.Banach(atol=-1.0), 'atol=-1.0: expected a finite'),
    (lambda: numerics.Banach(rtol=float('nan')), 'rtol=nan: expected'),
    (lambda: numerics.Anderson(history=0), (
        'history=0: expected a number >= 1. Use Banach for the plain iter')),
    (lambda: numerics.Banach(max_steps=0), 'max_steps=0: expected a number'),
    (lambda: numerics.Banach().solve(abs, tf.ones([2], tf.float16)),
     'y=float16: expected float32 or float64'),
    (lambda: numerics.Banach().solve(abs, tf.ones([])),
     'y=a scalar: expected a tensor'),
    (lambda: numerics.Anderson().solve(lambda x: x[:, :1], tf.ones([2, 3])),
     r'g\(x\)=float32 \(2, 1\): expected float32 \(2, 3\), like y'),
    (lambda: numerics.Anderson().solve(
        abs, tf.ones([2, 3]), lipschitz_bound=1.0),
     r'lipschitz_bound=1.0: expected a number in \[0, 1\)'),
])
def test_bad_input_is_refused(call, match):
  with pytest.raises(ValueError, match=match):
    call()


def test_plain_iteration_that_blows_up_fails_before_max_steps():
  y = tf.ones([1, 2], tf.float32)
  solution = contractions.solve(numerics.Banach(), lambda x: 3.0 * x, y)
  assert not solution.converged.numpy().any()
  assert solution.num_steps.numpy()[0] < 100
  assert not np.isfinite(solution.residual.numpy()).any()


@loops.each([0.3, 0.9])
def test_every_step_multiplies_the_error_by_the_slope(bound):
  y = tf.ones([1, 1], tf.float64)
  solution = contractions.solve(
      numerics.Banach(atol=1e-8, rtol=0.0), lambda x: bound * x, y)
  # The residual of x_k is bound^(k + 1): of y itself it is bound.
  num_steps = np.ceil(np.log(1e-8) / np.log(bound))
  assert solution.num_steps.numpy().tolist() == [num_steps]
  np.testing.assert_allclose(solution.residual, [bound**num_steps], rtol=1e-5)


def test_default_tolerance_in_float32_stays_below_1e_5():
  # g = -1e-5 leaves a first residual of 1e-5; g = -9e-7 is within the default.
  y = tf.constant([[14.0], [0.0], [0.0]])
  shift = tf.constant([[1e-5], [9e-7], [1.1e-6]])
  solution = contractions.solve(numerics.Banach(), lambda x: -shift, y)
  assert solution.converged.numpy().all()
  np.testing.assert_array_equal(solution.num_steps, [2, 1, 2])


def test_rounding_allowance_can_be_switched_off():
  y = tf.constant([[1024.0]])

  def g_fn(x):
    return tf.fill(tf.shape(x), 2e-4)

  loose = numerics.Banach(max_steps=5).solve(g_fn, y)
  exact = numerics.Banach(rtol=0.0, max_steps=5).solve(g_fn, y)
  assert loose.num_steps.numpy()[0] == 1
  assert exact.num_steps.numpy()[0] > 1


@loops.each([
    (_linear('symmetric', 0.98), 60, 0.98), (_linear('skew', 0.98), 35, 0.98),
    (lambda x: -0.98 * tf.tanh(x), 80, 0.98),
    (lambda x: tf.tanh(_linear('skew', 0.94)(x)), 40, 0.94)])
def test_anderson_needs_several_times_fewer_steps(g_fn, most, bound):
  y = contractions.rhs(8)
  banach = contractions.solve(numerics.Banach(), g_fn, y)
  anderson = contractions.solve(
      numerics.Anderson(), g_fn, y, lipschitz_bound=bound)
  assert banach.converged.numpy().all() and anderson.converged.numpy().all()
  num_anderson = anderson.num_steps.numpy().max()
  assert num_anderson <= min(most, banach.num_steps.numpy().max() / 3)


@loops.each(['orthogonal', 'gauss'])
def test_anderson_keeps_half_of_banachs_guaranteed_rate(kind):
  # A full spectral circle: acceleration has nothing to gain here.
  bound = 0.9
  y, g_fn = contractions.rhs(), _linear(kind, bound)
  solution = contractions.solve(
      numerics.Anderson(max_steps=2000), g_fn, y, lipschitz_bound=bound)
  start = np.linalg.norm(g_fn(y).numpy(), axis=-1).max()
  guaranteed = 2 * np.ceil(np.log(1e-10 / start) / np.log(bound)) + 2
  assert solution.converged.numpy().all()
  assert solution.num_steps.numpy().max() <= guaranteed


def _check_safeguard(points, f_fn, bound):
  """Checks every step of a run; returns how many were rejected."""
  norms = np.linalg.norm(f_fn(points), axis=-1)
  best, num_rejected, k = norms[0], 0, 1
  while k < len(norms):
    if norms[k] > bound * best * (1 + 1e-9) and k + 1 < len(norms):
      # The next point is a plain step from the best one.
      num_rejected += 1
      base = points[int(np.argmin(norms[:k]))]
      np.testing.assert_allclose(
          points[k + 1], base + f_fn(base[np.newaxis])[0], atol=1e-12)
      k += 1
    assert norms[k] <= bound * best * (1 + 1e-9)
    best = norms[k]
    k += 1
  return num_rejected


def test_safeguard_rejects_steps_that_do_not_reduce_the_residual():
  # Secants of a kinked, oscillating map predict badly, now and then.
  bound, num_rejected = 0.95, 0
  matrix = contractions.matrix('orthogonal', bound, dim=8)
  for seed in range(1, 5):
    points = []

    def g_fn(x, points=points):
      points.append(x.numpy())
      return tf.abs(contractions.linear(matrix)(tf.sin(3.0 * x) / 3.0))

    y = contractions.rhs(1, 8, seed=seed)
    solution = numerics.Anderson().solve(g_fn, y, lipschitz_bound=bound)
    assert solution.converged.numpy().all()
    num_rejected += _check_safeguard(
        np.concatenate(points),
        lambda x, y=y: y.numpy() - np.abs(np.sin(3 * x) / 3 @ matrix.T) - x,
        bound)
  assert num_rejected > 0


def _check_converged(converged):
  solution = numerics.Solution(
      tf.ones([3, 2]), tf.constant([4, 7, 1]), converged,
      tf.constant([0.0, 0.25, float('nan')]))
  return numerics.check_converged(
      solution, 'block_3', numerics.Anderson(atol=1e-7, max_steps=30)).x


def test_check_converged_raises_or_passes_the_solution_on():
  failed = tf.constant([True, False, False])
  for check in (tf.function(_check_converged), _check_converged):
    np.testing.assert_array_equal(
        check(tf.constant([True] * 3)), np.ones([3, 2]))
    with pytest.raises(
        tf.errors.InvalidArgumentError, match='block_3: expected') as info:
      check(failed)
  # It counts.
  assert str(info.value).startswith(
      'block_3: expected convergence to 1e-07 + 4.77e-07 * max(max|x|, max|y|) '
      'within max_steps 30. It did not converge for 2 of 3 samples, 1 of them '
      'with a residual that is not finite; the largest finite one is 0.25 '
      'after at most 7 evaluations of g.')
