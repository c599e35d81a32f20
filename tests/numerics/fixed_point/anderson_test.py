"""Tests of what Anderson acceleration adds to the plain iteration.

Speed against the plain iteration, and the safeguard. What all solvers share is
in solver_test.
"""

import numpy as np
import pytest
import tensorflow as tf

from tests.numerics.fixed_point import contractions
from tf_resflow import numerics


def _linear(kind, bound):
  return contractions.linear(contractions.matrix(kind, bound))


def _tanh_of(g_fn):
  return lambda x: tf.tanh(g_fn(x))


@pytest.mark.parametrize(
    'make_g_fn, most',
    [
        (lambda bound: _linear('symmetric', bound), 60),
        (lambda bound: _linear('skew', bound), 35),
        (lambda bound: lambda x: -bound * tf.tanh(x), 80),
        (lambda bound: _tanh_of(_linear('skew', bound)), 40),
    ],
    ids=['symmetric', 'skew', 'tanh', 'tanh_skew'],
)
@pytest.mark.parametrize('bound', [0.94, 0.98])
def test_anderson_needs_several_times_fewer_steps(make_g_fn, most, bound):
  g_fn, y = make_g_fn(bound), contractions.rhs(8)
  banach = contractions.solve(numerics.Banach(), g_fn, y)
  anderson = contractions.solve(
      numerics.Anderson(), g_fn, y, lipschitz_bound=bound
  )
  assert banach.converged.numpy().all() and anderson.converged.numpy().all()
  num_anderson = anderson.num_steps.numpy().max()
  assert num_anderson <= most
  assert banach.num_steps.numpy().max() >= 3 * num_anderson


@pytest.mark.parametrize('kind', ['orthogonal', 'gauss'])
def test_anderson_keeps_half_of_banachs_guaranteed_rate(kind):
  # A full spectral circle: acceleration has nothing to gain here.
  bound = 0.9
  y = contractions.rhs()
  g_fn = _linear(kind, bound)
  solution = contractions.solve(
      numerics.Anderson(max_steps=2000), g_fn, y, lipschitz_bound=bound
  )
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
          points[k + 1], base + f_fn(base[np.newaxis])[0], atol=1e-12
      )
      k += 1
    assert norms[k] <= bound * best * (1 + 1e-9)
    best = norms[k]
    k += 1
  return num_rejected


def test_safeguard_rejects_steps_that_do_not_reduce_the_residual():
  # Secants of a kinked, oscillating map predict badly, now and then.
  bound = 0.95
  matrix = contractions.matrix('orthogonal', bound, dim=8)
  num_rejected = 0
  for seed in range(1, 9):
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


def test_memory_needs_a_place():
  with pytest.raises(ValueError, match=(
      'history=0: expected a number from 1. Banach is the plain iteration.')):
    numerics.Anderson(history=0)
