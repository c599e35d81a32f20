"""Gradients of the inverse and of its log-determinant, variable by variable.

The oracle are central differences in float64 of the inverse and of the
log-determinant of the full Jacobian, for `y` and every variable, along a random
direction. Kernels are larger than their bound, so normalisation is a part of
what is differentiated.
"""

import dataclasses
import functools
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import testing
from tf_resflow import bijectors
from tf_resflow import layers
from tf_resflow import numerics
from tf_resflow.specs import registries

_EVENT_SHAPES = {'dense': (3,), 'conv': (3, 2, 2)}
_BATCH = 2


@dataclasses.dataclass(frozen=True)
class AllProbes(numerics.FixedTruncation):
  """Probes `sqrt(D) e_i`, one after another, for `D` copies of an example.

  Their mean is the log-determinant without its terms beyond `num_terms`, and
  that of the gradients its gradient, in every memory mode.
  """

  num_terms: int = 60

  def draw(self, x, seed):
    size = math.prod(x.shape[1:])
    probes = tf.tile(
        math.sqrt(size) * tf.eye(size, dtype=x.dtype), [len(x) // size, 1])
    return super().draw(x, seed)._replace(probe=tf.reshape(probes, x.shape))


def make_block(kind, estimator, memory='recompute'):
  """A block of contraction 0.64 in float64, the same for every estimator."""
  make_linear = {
      'dense': layers.SpectralDense,
      'conv': functools.partial(layers.SpectralConv2D, kernel_size=3)}[kind]

  def linear(units, seed):
    # Differences would show the tolerance of the norms.
    return make_linear(
        units, coeff=0.8, tolerance=1e-8, seed=seed, dtype='float64')

  event_shape = _EVENT_SHAPES[kind]
  g = keras.Sequential([
      keras.Input(event_shape), linear(3, 1), layers.LipSwish(dtype='float64'),
      linear(event_shape[-1], 5)])
  rng = np.random.default_rng(0)
  for variable in g.trainable_variables:
    noise = 0.5 * rng.normal(size=variable.shape)
    variable.assign(variable.numpy() + noise)
  for layer in (g.layers[0], g.layers[2]):
    assert layer.norm() > 1.1 * layer.coeff
    layer.save_norms()
  return bijectors.ResidualBlock(
      g, estimator=estimator, memory=memory, solver=numerics.Anderson(
          atol=1e-13))


def loss_fn(kind, quantity, block, weights, copies=1):
  """Returns a function of `y`: the weighted sum over examples."""

  def loss(y):
    y = tf.repeat(y, copies, axis=0)
    if quantity == 'inverse':
      direction = np.random.default_rng(4).normal(size=_EVENT_SHAPES[kind])
      values = tf.tensordot(block.inverse(y), direction, len(direction.shape))
    else:
      values = block.inverse_log_det_jacobian(y)
    return tf.tensordot(np.array(weights), tf.reduce_mean(
        tf.reshape(values, [_BATCH, copies]), axis=1), 1)

  return loss


def inputs(kind):
  rng = np.random.default_rng(3)
  return tf.constant(rng.normal(size=[_BATCH, *_EVENT_SHAPES[kind]]))


@functools.cache
def differences(kind, quantity, *weights):
  """Directions for `y` and every variable, and derivatives along them."""
  block, y = make_block(kind, numerics.Exact()), tf.Variable(inputs(kind))
  loss = tf.function(loss_fn(kind, quantity, block, weights), autograph=False)
  rng = np.random.default_rng(5)

  def difference(variable):
    direction, before = rng.normal(size=variable.shape), variable.numpy()

    def moved(value):
      variable.assign(value)
      return loss(y.value())

    expected = testing.central_difference(moved, before, direction)
    variable.assign(before)
    return direction, expected

  return [difference(variable) for variable in (y, *block.trainable_variables)]


def check(kind, quantity, estimator, memory='recompute', copies=1):
  """Compares gradients with differences of the loss with an exact block."""
  # One of the modes takes one weight for all examples.
  weights = (1.0, 1.0 if memory == 'backward_in_forward' else -0.4)
  block, y = make_block(kind, estimator, memory), inputs(kind)
  with tf.GradientTape() as tape:
    tape.watch(y)
    loss = loss_fn(kind, quantity, block, weights, copies)(y)
  gradients = tape.gradient(loss, [y, *block.trainable_variables])
  for gradient, (direction, expected) in zip(
      gradients, differences(kind, quantity, *weights), strict=True):
    assert np.sum(gradient * direction) == pytest.approx(expected, rel=1e-4)
    # No parameter is without an effect, so none passes by being forgotten.
    assert abs(expected) > 1e-3


_SLOW = pytest.mark.slow


@pytest.mark.parametrize('kind, quantity', [
    ('dense', 'inverse'), ('conv', 'inverse_log_det'),
    pytest.param('conv', 'inverse', marks=_SLOW),
    pytest.param('dense', 'inverse_log_det', marks=_SLOW)])
def test_exact_log_det(kind, quantity):
  check(kind, quantity, numerics.Exact())


@pytest.mark.parametrize('kind, memory', [
    pytest.param(kind, memory, marks=[_SLOW] * ((i + j) % 2))
    for i, kind in enumerate(_EVENT_SHAPES)
    for j, memory in enumerate(registries.MEMORY_MODES.names())])
def test_log_det_of_all_probes_in_every_memory_mode(kind, memory):
  check(kind, 'inverse_log_det', AllProbes(), memory,
        copies=math.prod(_EVENT_SHAPES[kind]))
