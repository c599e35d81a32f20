"""The subject of a case: built once, for all tests of its properties.

Building and tracing take most of the time of these tests. So the tests of a
case follow one another in one process, whatever their files, and share what is
made for it; of what is traced they keep numbers alone. They leave its variables
as they found them.
"""

from collections.abc import Collection, Iterable
import functools
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import cases

BATCH_SIZE = 4
_NUM_STEPS = 3
_LEARNING_RATE = 0.02


def each(names: Iterable[str], slow: Collection[str] = ()
         ) -> pytest.MarkDecorator:
  """Returns the decorator of a test that takes the `subject` of each case.

  Args:
    names: of the cases.
    slow: those that this test alone takes long for.
  """
  return pytest.mark.parametrize('subject', [
      pytest.param(name, id=name, marks=[
          pytest.mark.xdist_group(name),
          *([pytest.mark.slow] if name in cases.SLOW or name in slow else [])])
      for name in names], indirect=True, scope='session')


class Training(NamedTuple):
  """Results of a few steps of gradient descent on one device, in NumPy.

  Attributes:
    labels: of the trainable variables.
    gradients: of the first step, one for each; None where there is none.
    initial: all variables before it.
    final: all variables in the end.
  """

  labels: list[str]
  gradients: list[np.ndarray | None]
  initial: list[np.ndarray]
  final: list[np.ndarray]


def make_step(case: cases.Case, num_replicas: int) -> tuple:
  """Returns a new subject, and a function that trains it on a replica's batch.

  Args:
    case: whose subject it is.
    num_replicas: that train it together.

  Returns:
    The subject; a function of a batch that returns the gradients.
  """
  subject = case.make()
  optimizer = keras.optimizers.SGD(_LEARNING_RATE)
  variables = cases.layer_of(subject).trainable_variables
  optimizer.build(variables)

  def step(x):
    with tf.GradientTape() as tape:
      y, *others = cases.evaluate(subject, x)
      # Neither even nor linear, so that no gradient vanishes by symmetry.
      loss = tf.reduce_mean(0.1 * y**2 + tf.sin(y + 0.3))
      loss -= 0.1 * sum(tf.reduce_mean(t) for t in others)
    gradients = tape.gradient(loss, [v.value for v in variables])
    # The optimizer sums over replicas.
    optimizer.apply([
        tf.zeros_like(v.value) if g is None else g / num_replicas
        for g, v in zip(gradients, variables, strict=True)], variables)
    return gradients

  return subject, step


def assert_all_close(
    actual: Iterable, expected: Iterable, tolerance: float) -> None:
  """Compares lists of arrays, with the same relative and absolute tolerance."""
  for a, b in zip(actual, expected, strict=True):
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def global_batches(case: cases.Case) -> list[tf.Tensor]:
  """Returns a batch for each step; their halves have different statistics."""
  shift = 0.0 if case.is_pixels else 1.0
  batches = [case.inputs(batch_size=BATCH_SIZE, seed=i)
             for i in range(_NUM_STEPS)]
  return [tf.concat([x[:2], x[2:] * 0.5 + shift], axis=0) for x in batches]


class Subject:
  """The object that a case makes, and its results.

  Attributes:
    name: of the case.
    case: the case.
  """

  def __init__(self, name: str):
    self.name = name
    self.case = cases.everything()[name]
    self._made, self._outputs = {}, {}

  def of(self, dtype: str = 'float64') -> tuple[Any, tf.Tensor]:
    """Returns the subject and a batch, which ActNorms have seen."""
    if dtype not in self._made:
      made = self.case.make(dtype), self.case.inputs(dtype, BATCH_SIZE)
      cases.evaluate(*made)
      self._made[dtype] = made
    return self._made[dtype]

  def outputs(self, dtype: str = 'float64') -> list[np.ndarray]:
    """Returns what `cases.evaluate` does eagerly, of the batch."""
    if dtype not in self._outputs:
      subject, x = self.of(dtype)
      self._outputs[dtype] = [
          t.numpy() for t in cases.evaluate(subject, tf.identity(x))]
    return self._outputs[dtype]

  @functools.cached_property
  def jacobians(self) -> np.ndarray:
    """Jacobians of the forward direction by autodiff, float64 `[B, D, D]`."""
    subject, x = self.of()
    with tf.GradientTape(persistent=True) as tape:
      tape.watch(x)
      y = cases.evaluate(subject, x)[0]
    jacobian = tape.batch_jacobian(y, x, experimental_use_pfor=False)
    size = x.shape[1:].num_elements()
    return np.reshape(jacobian, [BATCH_SIZE, size, size])

  @functools.cached_property
  def training(self) -> Training:
    """Gradient descent from the very first call on, traced, in float32."""
    subject, step = make_step(self.case, num_replicas=1)
    layer = cases.layer_of(subject)
    initial = [v.numpy() for v in layer.variables]
    traced = tf.function(step, autograph=False)
    first, *_ = [traced(x) for x in global_batches(self.case)]
    return Training(
        [v.path for v in layer.trainable_variables],
        [None if g is None else g.numpy() for g in first],
        initial, [v.numpy() for v in layer.variables])

  def forget(self) -> None:
    """Lets go of all that was made; what is asked for later is made again."""
    name = self.name
    vars(self).clear()
    self.__init__(name)
