"""Frozen bijections and flows: they compute alike, and nothing moves them."""

import contextlib

import numpy as np
import pytest
import tensorflow as tf

from tests import cases
from tests.conformance import subjects
from tf_resflow import numerics


def results(subject, x):
  """Everything that a bijection or a flow computes of `x`."""
  y, log_det = subject.forward_and_log_det(x, seed=3)
  return [y, log_det, subject.inverse(y), subject(x),
          subject.forward_and_log_det(x, estimator=numerics.Exact())[1],
          *([subject.classify(x)] if getattr(
              subject, 'has_classifier', False) else [])]


def operations(concrete_function):
  """Returns the names of all operations, those of inner functions too."""
  graph = concrete_function.graph.as_graph_def()
  return {node.op for nodes in (graph.node, *(
      f.node_def for f in graph.library.function)) for node in nodes}


def trace(subject, event_shape):
  return tf.function(
      lambda x: results(subject, x), autograph=False,
      input_signature=[tf.TensorSpec([None, *event_shape], tf.float64)]
  ).get_concrete_function()


@contextlib.contextmanager
def changed(variables):
  """Other values in all variables, for a while."""
  before = [v.numpy() for v in variables]
  for variable, value in zip(variables, before, strict=True):
    variable.assign(-0.5 * value + 0.1)
  try:
    yield
  finally:
    for variable, value in zip(variables, before, strict=True):
      variable.assign(value)


# Where it takes seconds, with parts that have fast cases, and blocks of other
# memory modes, which concern gradients alone.
_SLOW = (
    'conditional_labels', 'flow_coupling', 'flow_hybrid', 'vector_flow_inverse',
    'vector_flow_conditional_lu', 'inverse_residual', 'residual_neumann',
    'residual_backward_in_forward', 'residual_naive')


@subjects.each(
    [name for name in cases.BIJECTIONS | cases.MODELS
     if name not in cases.SLOW or name in (
         'residual_block_learned', 'flow_moving_mean', 'flow_norms',
         'flow_hybrid_factor_out')], slow=_SLOW)
def test_frozen(subject):
  made, x = subject.of()
  if getattr(made, 'has_classifier', False):
    made.classify(x)
  before = [t.numpy() for t in results(made, x)]
  frozen = made.frozen()
  assert frozen.name == made.name
  traced = trace(frozen, subject.case.event_shape)
  with tf.GradientTape() as tape:
    loss = tf.add_n([tf.reduce_sum(r) for r in results(frozen, x)])
  variables = [v.value for v in made.trainable_variables]
  assert not any(g is not None for g in tape.gradient(loss, variables))
  with changed(made.trainable_variables):
    # Neither eagerly nor in a graph does it follow the variables.
    # What is evaluated may be frozen already.
    for outputs in (results(frozen, x), traced(x), results(frozen.frozen(), x)):
      for a, b in zip(outputs, before, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-9)
    if subject.case.has_variables:
      after = results(made, x)
      assert max(np.abs(a - b).max()
                 for a, b in zip(after, before, strict=True)) > 1e-2
  # Power iteration takes eigenvalues.
  assert not any('Eig' in op for op in operations(traced))


def test_what_is_not_frozen_iterates():
  """The test above looks for the right operation."""
  case = cases.BIJECTIONS['residual_recompute']
  assert 'SelfAdjointEigV2' in operations(
      trace(case.make('float64'), case.event_shape))


@subjects.each(cases.BIJECTIONS)
def test_frozen_bijections_state_what_the_original_does(subject):
  bijection, _ = subject.of('float32')
  frozen = bijection.frozen()
  assert frozen.bi_lipschitz_bounds() == pytest.approx(
      bijection.bi_lipschitz_bounds())
  assert frozen.is_random == bijection.is_random
  assert frozen.is_initialized == bijection.is_initialized
  assert len(frozen.leaves()) == len(bijection.leaves())
  shape = (None, *subject.case.event_shape)
  assert frozen.compute_output_shape(shape) == (
      bijection.compute_output_shape(shape))
