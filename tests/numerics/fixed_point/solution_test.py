"""Tests of the fields of a solution, which all solvers fill alike."""

import pytest
import tensorflow as tf

from tests.numerics import cases
from tf_resflow import numerics


@pytest.mark.parametrize(
    'spec', cases.SOLVERS.values(), ids=cases.SOLVERS)
@pytest.mark.parametrize('dtype', [tf.float32, tf.float64])
def test_fields(spec, dtype):
  y = tf.ones([3, 2, 5], dtype)
  solution = numerics.Solver.get(spec).solve(lambda x: 0.5 * x, y)
  assert solution._fields == ('x', 'num_steps', 'converged', 'residual')
  assert [(t.shape.as_list(), t.dtype) for t in solution] == [
      ([3, 2, 5], dtype), ([3], tf.int32), ([3], tf.bool), ([3], dtype)]
