"""Operation counts, and the speed of the machine they are compared with."""

import math
import time

import numpy as np
import tensorflow as tf

from tf_resflow import layers


def count_evaluation(model):
  """Returns the operations of one evaluation of every `g` on one image.

  Multiplications and additions of the linear layers, zero padding included;
  activations and everything else are left out.

  Args:
    model: a `models.Flow`.
  """
  total = 0
  for layer in model.spectral_layers:
    positions = 1
    if isinstance(layer, layers.SpectralConv2D):
      positions = math.prod(layer.spatial_shape)
    total += 2 * positions * math.prod(layer.kernel.shape)
  return total


def count_training_step(model, batch_size, num_terms):
  """Returns the operations of a training step in the mode `recompute`.

  In units of `count_evaluation`, `n + 7` per image: forward `g` and `n`
  vector-Jacobian products; backward once more `g` and one product `J^T w`, and
  from each of the two the gradient in its input and in the kernels.

  Args:
    model: a `models.Flow`.
    batch_size: images per step.
    num_terms: `n`, terms of the log-determinant.
  """
  return batch_size * (num_terms + 7) * count_evaluation(model)


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
