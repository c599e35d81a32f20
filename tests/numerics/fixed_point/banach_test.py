"""Tests of the plain iteration, and of tolerances where it meets them exactly.

What all solvers share is in solver_test.
"""

import numpy as np
import pytest
import tensorflow as tf

from tests.numerics.fixed_point import contractions
from tf_resflow import numerics


def test_plain_iteration_that_blows_up_fails_before_max_steps():
  y = tf.ones([1, 2], tf.float32)
  solution = contractions.solve(numerics.Banach(), lambda x: 3.0 * x, y)
  assert not solution.converged.numpy().any()
  assert solution.num_steps.numpy()[0] < 100
  assert not np.isfinite(solution.residual.numpy()).any()


@pytest.mark.parametrize('bound', [0.3, 0.9])
def test_every_step_multiplies_the_error_by_the_slope(bound):
  y = tf.ones([1, 1], tf.float64)
  solution = contractions.solve(
      numerics.Banach(atol=1e-8, rtol=0.0), lambda x: bound * x, y)
  # The residual of x_k is bound^(k + 1): of y itself it is bound.
  num_steps = np.ceil(np.log(1e-8) / np.log(bound))
  assert solution.num_steps.numpy().tolist() == [num_steps]
  np.testing.assert_allclose(
      solution.residual, [bound**num_steps], rtol=1e-5)


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
