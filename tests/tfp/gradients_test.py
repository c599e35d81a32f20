"""Gradients of the inverse and of its log-determinant, entry by entry.

The oracle are central differences in float64 of the inverse and of the
log-determinant of the full Jacobian, for every entry of `y` and of every
variable. Kernels are larger than their bound, so normalisation is a part of
what is differentiated.
"""

import dataclasses
import functools
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_resflow import bijectors
from tf_resflow import layers
from tf_resflow import numerics
from tf_resflow.specs import registries

_STEP = 1e-5
_TOLERANCE = 1e-4
_QUANTITIES = ('inverse', 'inverse_log_det')
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
    assert layer.converged_norm().norm > 1.1 * layer.coeff
    layer.save_norms()
  return bijectors.ResidualBlock(
      g, estimator=estimator, memory=memory, solver=numerics.Anderson(
          atol=1e-13))


def inputs(kind):
  rng = np.random.default_rng(3)
  return tf.constant(rng.normal(size=[_BATCH, *_EVENT_SHAPES[kind]]))


def per_example(quantity, block, y):
  """One number per example of `y`, `[B]`."""
  if quantity == 'inverse_log_det':
    return block.inverse_log_det_jacobian(y)
  direction = np.random.default_rng(4).normal(size=y.shape[1:])
  axes = list(range(1, y.shape.rank))
  return tf.reduce_sum(direction * block.inverse(y), axes)


@functools.cache
def differences(kind):
  """Derivatives of all quantities by `y` and every variable.

  Returns:
    A dict: per quantity a list of arrays `[..., B]` whose leading axes are
    those of `y` and of the variables.
  """
  block = make_block(kind, numerics.Exact())

  @tf.function(autograph=False)
  def evaluate(y):
    return tf.stack([per_example(name, block, y) for name in _QUANTITIES])

  def difference(assign_fn, start):
    slopes = []
    for index in np.ndindex(*start.shape):
      values = []
      for step in (_STEP, -_STEP):
        moved = np.array(start)
        moved[index] += step
        values.append(assign_fn(moved).numpy())
      slopes.append((values[0] - values[1]) / (2 * _STEP))
    return np.reshape(slopes, [*start.shape, len(_QUANTITIES), _BATCH])

  y = inputs(kind)
  results = [difference(lambda y: evaluate(tf.constant(y)), y.numpy())]
  for variable in block.trainable_variables:

    def assign_and_evaluate(value, variable=variable):
      variable.assign(value)
      return evaluate(y)

    start = variable.numpy()
    results.append(difference(assign_and_evaluate, start))
    variable.assign(start)
  return {name: [r[..., i, :] for r in results]
          for i, name in enumerate(_QUANTITIES)}


def check(kind, quantity, block, weights, copies=1):
  """Compares gradients of a weighted sum over examples with differences."""
  y = inputs(kind)
  variables = block.trainable_variables
  with tf.GradientTape() as tape:
    tape.watch(y)
    values = per_example(quantity, block, tf.repeat(y, copies, axis=0))
    values = tf.reduce_mean(tf.reshape(values, [_BATCH, copies]), axis=1)
    loss = tf.reduce_sum(weights * values)
  gradients = tape.gradient(loss, [y, *variables])
  expected = [d @ weights for d in differences(kind)[quantity]]
  for gradient, slopes in zip(gradients, expected, strict=True):
    np.testing.assert_allclose(
        gradient, slopes, rtol=_TOLERANCE,
        atol=_TOLERANCE * np.abs(slopes).max())
    # No parameter is without an effect, so none passes by being forgotten.
    assert np.abs(slopes).max() > 1e-3


_UNEQUAL = np.array([1.0, -0.4])


_SLOW = pytest.mark.slow


@pytest.mark.parametrize('kind, quantity', [
    ('dense', 'inverse'), ('conv', 'inverse_log_det'),
    pytest.param('conv', 'inverse', marks=_SLOW),
    pytest.param('dense', 'inverse_log_det', marks=_SLOW)])
def test_exact_log_det(kind, quantity):
  check(kind, quantity, make_block(kind, numerics.Exact()), _UNEQUAL)


@pytest.mark.parametrize('kind, memory', [
    pytest.param(kind, memory, marks=[_SLOW] * ((i + j) % 2))
    for i, kind in enumerate(_EVENT_SHAPES)
    for j, memory in enumerate(registries.MEMORY_MODES.names())])
def test_log_det_of_all_probes_in_every_memory_mode(kind, memory):
  block = make_block(kind, AllProbes(), memory)
  # That mode takes one weight for all examples.
  is_common = memory == 'backward_in_forward'
  check(kind, 'inverse_log_det', block, np.ones(2) if is_common else _UNEQUAL,
        copies=math.prod(_EVENT_SHAPES[kind]))
