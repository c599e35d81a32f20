"""Shared oracles and the small contractive functions they are applied to.

Oracles are slow, plain and in float64: the whole Jacobian, the materialised
matrix of a linear map, central differences.
"""

import re

import numpy as np
import tensorflow as tf

from tests import splits


def make_block(kind, dtype=tf.float64, scale=0.6, batch=3, seed=0):
  """Makes a small contractive `g`, its weights and an input.

  Args:
    kind: 'dense', events [4], or 'conv', events [3, 3, 2].
    dtype: of the weights and of the input.
    scale: norm of each weight as a flattened matrix.
    batch: number of examples.
    seed: of the weights and of the input.

  Returns:
    `g_fn(weights, x)`, a list of weights, and `x`.
  """
  rng = np.random.default_rng(seed)

  def weight(*shape):
    kernel = rng.normal(size=shape)
    flat = kernel.reshape([-1, shape[-1]])
    return tf.constant(scale * kernel / np.linalg.norm(flat, 2), dtype)

  def bias(size):
    return tf.constant(0.3 * rng.normal(size=size), dtype)

  if kind == 'dense':
    weights = [weight(4, 5), bias(5), weight(5, 4), bias(4)]
    apply, event = tf.linalg.matmul, [4]
  else:
    weights = [weight(3, 3, 2, 3), bias(3), weight(3, 3, 3, 2), bias(2)]
    event = [3, 3, 2]

    def apply(x, kernel):
      return tf.nn.conv2d(x, kernel, strides=1, padding='SAME')

  def g_fn(weights, x):
    kernel_1, bias_1, kernel_2, bias_2 = weights
    return apply(tf.tanh(apply(x, kernel_1) + bias_1), kernel_2) + bias_2

  return g_fn, weights, tf.constant(rng.normal(size=[batch, *event]), dtype)


def full_jacobian(fn, x):
  """Jacobian `[B, D, D]` of an example-by-example `fn`; differentiable."""
  with tf.GradientTape() as tape:
    tape.watch(x)
    y = fn(x)
  size = x.shape[1:].num_elements()
  return tf.reshape(tape.batch_jacobian(y, x), [-1, size, size])


def full_log_det(g_fn, weights, x):
  """`log|det(I + dg/dx)|`, `[B]`, of the full Jacobian; differentiable."""
  jacobian = full_jacobian(lambda x: g_fn(weights, x), x)
  return tf.linalg.slogdet(
      tf.eye(jacobian.shape[-1], dtype=x.dtype) + jacobian)[1]


def gradients(fn, weights, x, cotangents):
  """Pulls cotangents of the outputs of `fn(weights, x)` back, as a list.

  Returns:
    The gradients with respect to `x` and to every tensor of `weights`.
  """
  with tf.GradientTape() as tape:
    tape.watch([x, *weights])
    outputs = fn(weights, x)
  return tape.gradient(
      outputs, [x, *weights], cotangents,
      unconnected_gradients=tf.UnconnectedGradients.ZERO)


def central_difference(fn, x, direction, step=1e-5):
  """Derivative of the scalar `fn` at `x` along `direction`, in float64."""
  x, direction = np.asarray(x), np.asarray(direction)
  upper, lower = fn(x + step * direction), fn(x - step * direction)
  return (float(upper) - float(lower)) / (2.0 * step)


def materialize(fn, size):
  """Matrix `[size, M]` of a linear map `[k, size] -> [k, M]`, in float64."""
  return np.asarray(fn(tf.eye(size, dtype=tf.float64)))


def relative_error(actual, expected):
  """`max|actual - expected| / max|expected|` over a list of tensors."""
  pairs = list(zip(actual, expected, strict=True))
  scale = max(np.abs(b).max() for _, b in pairs)
  return max(np.abs(np.subtract(a, b)).max() for a, b in pairs) / scale


def check_refusal(make_fn, values, message):
  """Checks that values are refused in one line that begins with a message."""
  check_refusals(lambda values: make_fn(**values), [(values, message)])


def check_refusals(call, cases):
  """Checks what is said of values, one line each, and names all that differ.

  Args:
    call: of one value, which refuses it.
    cases: pairs of a value and the beginning of the message, in which `...`
      stands for any text.
  """
  wrong = []
  for value, expected in cases:
    text = splits.refusal(call, value)
    pattern = '.*'.join(map(re.escape, expected.split('...')))
    if not re.match(pattern, text, re.DOTALL) or len(text) > 1000:
      wrong.append(f'{value!r:.200}:\n{text:.1000}\nnot: {expected}')
  assert not wrong, '\n\n'.join(wrong)
