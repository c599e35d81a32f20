"""Eager and traced execution, batch shapes, dtypes, seeds and gradients."""

import numpy as np
import pytest
import tensorflow as tf

from tests import cases
from tests.conformance import subjects


def traced(function, event_shape, **kwargs):
  """A function of batches of unknown size."""
  return tf.function(
      function, autograph=False, **kwargs,
      input_signature=[tf.TensorSpec([None, *event_shape])])


@subjects.each(cases.everything())
def test_eager_equals_traced_for_an_unknown_batch_size(subject):
  made, x = subject.of('float32')
  eager = subject.outputs('float32')
  evaluate = traced(lambda x: cases.evaluate(made, x), subject.case.event_shape)
  subjects.assert_all_close(evaluate(x), eager, 1e-5)
  # A single example, through the same trace.
  single = evaluate(x[:1])
  np.testing.assert_allclose(single[0], eager[0][:1], rtol=1e-5, atol=1e-5)
  for output in single:
    assert output.shape[0] == 1


@subjects.each(cases.invertible())
def test_traced_inverse_for_an_unknown_batch_size(subject):
  made, x = subject.of('float32')
  y = tf.constant(subject.outputs('float32')[0])
  inverse = traced(made.inverse, y.shape[1:])
  np.testing.assert_allclose(inverse(y), x, rtol=0, atol=1e-4)
  np.testing.assert_allclose(inverse(y[:1]), x[:1], rtol=0, atol=1e-4)


# Where XLA takes seconds, with parts that have fast cases.
_COMPILES_LONG = (
    'chain', 'residual_conv', 'residual_block_learned', 'conditional_labels',
    'residual_naive', 'residual_neumann', 'residual_backward_in_forward',
    'residual_cpila_dense', 'residual_conditional_dense', 'inverse_residual',
    'sequence_conv', 'sequence_mixed', 'induced_conv_upper', 'learned_norms')


@subjects.each(
    [name for name in cases.LIPSCHITZ | cases.BIJECTIONS
     if name not in cases.SLOW or name in (
         'residual_block_learned', 'residual_conditional_exact',
         'invertible_conv_free', 'invertible_linear_lu')],
    slow=_COMPILES_LONG)
def test_xla_for_an_unknown_batch_size(subject):
  made, x = subject.of('float32')
  is_bijection = subject.name in cases.BIJECTIONS

  def evaluate(x):
    outputs = cases.evaluate(made, x)
    if is_bijection:
      # XLA drops assertions: what did not converge would be NaN.
      outputs.append(made.inverse(outputs[0]))
    return outputs

  expected = [*subject.outputs('float32'), *([x] if is_bijection else [])]
  compiled = traced(evaluate, subject.case.event_shape, jit_compile=True)
  subjects.assert_all_close(compiled(x), expected, 1e-4)


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@subjects.each(cases.everything())
def test_outputs_and_variables_have_the_dtype(subject, dtype):
  for output in subject.outputs(dtype):
    assert output.dtype == dtype
    assert np.all(np.isfinite(output))
  variables = cases.layer_of(subject.of(dtype)[0]).trainable_variables
  assert bool(variables) == subject.case.has_variables
  assert {v.dtype for v in variables} <= {dtype}


@subjects.each(
    name for name, case in cases.everything().items() if case.is_random)
def test_seeds(subject):
  made, x = subject.of('float32')
  # Without a seed, draws follow TensorFlow's own. Several of them, since a
  # diagonal Jacobian leaves only the number of terms to chance.
  tf.random.set_seed(1)
  log_dets = [
      cases.evaluate(made, tf.identity(x), seed)[1].numpy()
      for seed in (1, 1, 2, *[None] * 5)]
  np.testing.assert_array_equal(log_dets[0], log_dets[1])
  assert not np.array_equal(log_dets[0], log_dets[2])
  assert len(np.unique(log_dets[3:], axis=0)) > 1


@subjects.each(cases.trainable())
def test_gradients_reach_every_trainable_variable(subject):
  """Gradients of the first call as well, when ActNorm initialises itself."""
  trained = subject.training
  made = subject.of('float32')[0]
  assert len(trained.labels) == len(made.trainable_variables)
  for label, gradient in zip(trained.labels, trained.gradients, strict=True):
    assert gradient is not None, f'no gradient for {label}'
    assert np.all(np.isfinite(gradient)), label
    assert np.any(gradient != 0), f'the gradient of {label} vanishes'
