"""What a fixed-point solver returns."""

from typing import NamedTuple

import tensorflow as tf


class Solution(NamedTuple):
  """What a fixed-point solver returns.

  Attributes:
    x: the solution, shaped and typed like `y`. For a sample that failed it is
      the point at which it failed; for one that ran out of steps, the last
      accepted point.
    num_steps: int32 `[B]`, evaluations of `g` spent on each sample.
    converged: bool `[B]`, whether the residual met the tolerance.
    residual: `[B]`, `max|x + g(x) - y|` of the returned `x`.
  """

  x: tf.Tensor
  num_steps: tf.Tensor
  converged: tf.Tensor
  residual: tf.Tensor
