"""Properties of every solver of `x + g(x) = y`.

The functions take a spec, so that user-defined solvers can be tested by them as
well. Oracle: the implicit function theorem with the full float64 Jacobian. More
properties of all solvers, such as the solutions of linear systems, are in
tests/numerics/fixed_point.
"""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests import testing
from tests.numerics import averages
from tests.numerics import cases
from tests.numerics.fixed_point import contractions
from tf_resflow import numerics

_EACH_SOLVER = pytest.mark.parametrize(
    'spec', cases.SOLVERS.values(), ids=cases.SOLVERS)


def _inverse_and_gradients(g, weights, y, solver, cotangent):
  """Returns `x`, its convergence, and the gradients of `<x, cotangent>`."""
  with tf.GradientTape() as tape:
    tape.watch([y, *weights])
    solution, _ = numerics.invert_residual(
        g, weights, y, solver, lipschitz_bound=cases.LIPSCHITZ_BOUND)
  gradients = tape.gradient(solution.x, [y, *weights], cotangent)
  return [solution.x, *gradients], solution.converged


def _oracle(g_fn, weights, y, x, cotangent):
  """`(I + J)^-T dx` and `-(that)^T dg/dweights`, at the solution `x`."""
  jacobian = testing.full_jacobian(lambda x: g_fn(weights, x), x)
  identity = tf.eye(jacobian.shape[-1], dtype=y.dtype)
  dy = tf.linalg.solve(
      tf.linalg.matrix_transpose(identity + jacobian),
      tf.reshape(cotangent, [y.shape[0], -1, 1]))
  dy = tf.reshape(dy, y.shape)
  return [dy, *testing.gradients(g_fn, weights, x, -dy)[1:]]


@_EACH_SOLVER
@pytest.mark.parametrize('kind, mode, dtype', [
    ('dense', 'eager', 'float64'), ('dense', 'graph', 'float32'),
    ('dense', 'xla', 'float64'), ('conv', 'eager', 'float32'),
    ('conv', 'graph', 'float64')])
def test_inverse_and_its_gradient(spec, kind, mode, dtype):
  """Traced with an unknown batch size."""
  dtype = tf.as_dtype(dtype)
  solver = numerics.Solver.get(spec)
  if dtype == tf.float64:
    solver = dataclasses.replace(solver, atol=1e-12, rtol=0.0)
  g_fn, weights, y = testing.make_block(kind)
  g = numerics.ResidualFunction(g_fn)
  cotangent = averages.cotangents(y)[0]
  cast = [tf.cast(t, dtype) for t in (y, cotangent, *weights)]

  def run(y, cotangent):
    return _inverse_and_gradients(g, cast[2:], y, solver, cotangent)

  if mode != 'eager':
    run = tf.function(
        run, autograph=False, jit_compile=mode == 'xla',
        input_signature=[tf.TensorSpec([None, *y.shape[1:]], dtype)] * 2)
  (x, *gradients), converged = run(*cast[:2])
  assert converged.numpy().all()
  assert {t.dtype for t in (x, *gradients)} == {dtype}
  tolerance = 1e-5 if dtype == tf.float32 else 1e-10
  assert testing.relative_error(
      [x + tf.cast(g_fn(weights, tf.cast(x, tf.float64)), dtype)],
      [y]) < tolerance
  expected = _oracle(g_fn, weights, y, tf.cast(x, tf.float64), cotangent)
  assert testing.relative_error(gradients, expected) < 2 * tolerance
  # The gradient that ignores the block, x = y, is another one.
  assert testing.relative_error(gradients[:1], [cotangent]) > 0.05


@_EACH_SOLVER
def test_spec_round_trip(spec):
  solver = numerics.Solver.get(spec)
  assert numerics.Solver.get(solver.spec()) == solver
  assert numerics.Solver.get(solver) is solver
  changed = dataclasses.replace(solver, atol=1e-07, rtol=0.0, max_steps=7)
  assert numerics.Solver.get(changed.spec()) == changed
  assert hash(numerics.Solver.get(changed.spec())) == hash(changed)
  assert changed != solver


@_EACH_SOLVER
def test_failure_is_reported_and_its_examples_alone(spec):
  solver = dataclasses.replace(numerics.Solver.get(spec), max_steps=40)
  # x + g(x) = 1 + |x| reaches no y below 1.
  y = tf.constant([[0.0], [2.0], [float('nan')]], tf.float64)
  solution = contractions.solve(
      solver, lambda x: 1.0 + tf.abs(x) - x, y)
  np.testing.assert_array_equal(solution.converged, [False, True, False])
  np.testing.assert_allclose(solution.x[1], [1.0], atol=1e-9)
  with pytest.raises(tf.errors.InvalidArgumentError, match='did not converge'):
    numerics.check_converged(solution, 'inverse', solver)
