"""Eager and traced execution, batch shapes, dtypes and gradients."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from tests import cases


@functools.cache
def initialized(name):
  """Returns a subject whose ActNorm has seen data, one for all tests."""
  subject = cases.everything()[name].make()
  cases.evaluate(subject, cases.everything()[name].inputs())
  return subject


def assert_all_close(actual, expected, tolerance=1e-5):
  for a, b in zip(actual, expected, strict=True):
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize('name', cases.everything())
def test_eager_equals_traced_for_an_unknown_batch_size(name):
  case = cases.everything()[name]
  subject = initialized(name)
  x = case.inputs()
  eager = cases.evaluate(subject, x)
  traced = tf.function(
      lambda x: cases.evaluate(subject, x), autograph=False,
      input_signature=[tf.TensorSpec([None, *case.event_shape])])
  assert_all_close(traced(x), eager)
  # A single example, through the same trace.
  single = traced(x[:1])
  np.testing.assert_allclose(single[0], eager[0][:1], rtol=1e-5, atol=1e-5)
  for output in single:
    assert output.shape[0] == 1


@pytest.mark.parametrize('name', cases.invertible())
def test_traced_inverse_for_an_unknown_batch_size(name):
  case = cases.invertible()[name]
  subject = initialized(name)
  x = case.inputs()
  y = cases.evaluate(subject, x)[0]
  inverse = tf.function(
      subject.inverse, autograph=False,
      input_signature=[tf.TensorSpec([None, *y.shape[1:]])])
  np.testing.assert_allclose(inverse(y), x, rtol=0, atol=1e-4)
  np.testing.assert_allclose(inverse(y[:1]), x[:1], rtol=0, atol=1e-4)


@pytest.mark.parametrize('name', [
    name for name, case in (cases.LIPSCHITZ | cases.BIJECTIONS).items()
    if case.compiles])
def test_xla_for_an_unknown_batch_size(name):
  case = cases.everything()[name]
  subject = initialized(name)
  x = case.inputs()
  eager = cases.evaluate(subject, x)

  def evaluate(x):
    outputs = cases.evaluate(subject, x)
    if name in cases.BIJECTIONS:
      # XLA drops assertions: what did not converge would be NaN.
      outputs.append(subject.inverse(outputs[0]))
    return outputs

  compiled = tf.function(
      evaluate, autograph=False, jit_compile=True,
      input_signature=[tf.TensorSpec([None, *case.event_shape])])
  outputs = compiled(x)
  assert_all_close(outputs[:len(eager)], eager, 1e-4)
  if name in cases.BIJECTIONS:
    np.testing.assert_allclose(outputs[-1], x, rtol=0, atol=1e-4)


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('name', cases.everything())
def test_outputs_and_variables_have_the_dtype(name, dtype):
  case = cases.everything()[name]
  subject = case.make(dtype)
  x = case.inputs(dtype, batch_size=2)
  for output in cases.evaluate(subject, x):
    assert output.dtype == dtype
    assert np.all(np.isfinite(output))
  variables = cases.layer_of(subject).trainable_variables
  assert bool(variables) == case.has_variables
  for variable in variables:
    assert variable.dtype == dtype


@pytest.mark.parametrize('name', [
    name for name, case in cases.everything().items() if case.is_random])
def test_seeds(name):
  case = cases.everything()[name]
  subject = initialized(name)
  x = case.inputs()
  # Without a seed, draws follow TensorFlow's own. Several of them, since a
  # diagonal Jacobian leaves only the number of terms to chance.
  tf.random.set_seed(1)
  log_dets = [
      cases.evaluate(subject, tf.identity(x), seed)[1].numpy()
      for seed in (1, 1, 2, *[None] * 5)]
  np.testing.assert_array_equal(log_dets[0], log_dets[1])
  assert not np.array_equal(log_dets[0], log_dets[2])
  assert len(np.unique(log_dets[3:], axis=0)) > 1


@pytest.mark.parametrize('name', cases.trainable())
def test_gradients_reach_every_trainable_variable(name):
  """Also at the very first call, when ActNorm initialises itself."""
  case = cases.trainable()[name]
  subject = case.make()
  x = case.inputs()
  variables = subject.trainable_variables
  assert len(variables) == len(cases.layer_of(subject).trainable_variables)

  @tf.function(autograph=False)
  def gradients(x):
    with tf.GradientTape() as tape:
      y, *others = cases.evaluate(subject, x)
      # Neither even nor linear, so that no gradient vanishes by symmetry.
      loss = tf.reduce_sum(y**2 + tf.sin(y + 0.3))
      loss += sum(tf.reduce_sum(t) for t in others)
    return tape.gradient(loss, [
        v if isinstance(v, tf.Variable) else v.value for v in variables])

  for variable, gradient in zip(variables, gradients(x), strict=True):
    label = getattr(variable, 'path', variable.name)
    assert gradient is not None, f'no gradient for {label}'
    assert np.all(np.isfinite(gradient)), label
    assert np.any(gradient != 0), f'the gradient of {label} vanishes'
