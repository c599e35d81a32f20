"""Operation counts, and the speed of the machine they are compared with."""

import math
import time
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tf_resflow import configuration
from tf_resflow import layers
from tf_resflow import numerics


class StepWork(NamedTuple):
  """What a training step in the mode `recompute` has to do.

  In units of one evaluation of every `g` that is `n + 7` per image: forward `g`
  and `n` vector-Jacobian products; backward once more `g` and one product
  `J^T w`, and from each of the two the gradient in its input and in the
  kernels.

  Attributes:
    operations: multiplications and additions of the linear layers, zero padding
      included; activations and everything else are left out.
    hidden_entries: entries of the hidden layers of all these evaluations.
    block_evaluations: their number over the blocks, whatever the batch.
  """

  operations: int
  hidden_entries: int
  block_evaluations: int


def _num_positions(layer):
  """Places that a layer is applied at."""
  if isinstance(layer, layers.SpectralConv2D):
    return math.prod(layer.spatial_shape)
  return 1


def step_work(model, batch_size, num_terms):
  """Returns the `StepWork` of a training step.

  Args:
    model: a `models.Flow`.
    batch_size: images per step.
    num_terms: `n`, terms of the log-determinant.
  """
  evaluations = num_terms + 7
  operations, hidden = 0, 0
  for block in model.residual_blocks:
    linear = [layer for layer in block.g.layers
              if isinstance(layer, layers.SpectralLayer)]
    for layer in linear:
      operations += 2 * _num_positions(layer) * math.prod(layer.kernel.shape)
    for layer in linear[:-1]:
      hidden += _num_positions(layer) * layer.kernel.shape[-1]
  return StepWork(
      operations * batch_size * evaluations, hidden * batch_size * evaluations,
      len(model.residual_blocks) * evaluations)


def num_exact_terms(estimator: numerics.Estimator) -> int:
  """Returns how many terms of the series an estimator always computes."""
  return getattr(estimator, 'num_exact_terms', 0)


def is_counted(config: configuration.Config) -> bool:
  """Whether `step_work` counts the step of a run.

  Other modes of the gradient, and classifiers, have other counts.
  """
  return config.model.memory == 'recompute' and not config.objective.hybrid


def matmul_rate(size=2048, num_repeats=15):
  """Returns the speed of plain matrix products, operations per second.

  The ceiling of this machine for a float32 product of two square matrices, the
  best of several, in the library that the flow uses as well.

  Args:
    size: of the matrices.
    num_repeats: products that are timed.
  """
  rng = np.random.default_rng(0)
  a, b = [tf.constant(rng.normal(size=[size, size]), tf.float32)
          for _ in range(2)]
  product = tf.function(lambda: tf.reduce_sum(tf.matmul(a, b)),
                        autograph=False)
  seconds = []
  for _ in range(num_repeats):
    start = time.perf_counter()
    product().numpy()
    seconds.append(time.perf_counter() - start)
  return 2.0 * size**3 / min(seconds)
