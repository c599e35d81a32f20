"""Tests of failure as an error."""

import numpy as np
import pytest
import tensorflow as tf

from tf_resflow import numerics


def _kinked(x):
  # x + g(x) = 1 + |x| reaches no y below 1.
  return 1.0 + tf.abs(x) - x


def _solve_and_check(y):
  solver = numerics.Anderson(atol=1e-7, max_steps=30)
  solution = solver.solve(_kinked, y, x_init=tf.ones_like(y))
  return numerics.check_converged(solution, 'block_3', solver).x


@pytest.mark.parametrize('wrap', [lambda fn: fn, tf.function])
def test_check_converged_raises_one_clear_message(wrap):
  y = tf.constant([[2.0], [0.0], [np.nan]], tf.float64)
  with pytest.raises(tf.errors.InvalidArgumentError) as info:
    wrap(_solve_and_check)(y)
  message = str(info.value)
  for part in ('block_3', '1e-07', 'max_steps 30', 'raise max_steps'):
    assert part in message


@pytest.mark.parametrize('wrap', [lambda fn: fn, tf.function])
def test_check_converged_passes_the_solution_on(wrap):
  y = tf.constant([[2.0], [3.0]], tf.float64)
  np.testing.assert_allclose(wrap(_solve_and_check)(y), y - 1.0, atol=1e-6)


def test_the_message_counts_and_advises():
  solution = numerics.Solution(
      tf.zeros([3, 2]), tf.constant([4, 7, 1]),
      tf.constant([True, False, False]),
      tf.constant([0.0, 0.25, float('nan')]))
  with pytest.raises(tf.errors.InvalidArgumentError) as info:
    numerics.check_converged(solution, 'inverse')
  words = str(info.value).split('Summarized data: ')[1]
  words = ' '.join(line.removeprefix("b'").removesuffix("'")
                   for line in words.splitlines())
  assert words.startswith(
      'inverse: expected convergence. It did not converge for 2 of 3 samples, '
      '1 of them with a residual that is not finite; the largest finite one is '
      '0.25 after at most 7 evaluations of g. Check that g is a contraction')
