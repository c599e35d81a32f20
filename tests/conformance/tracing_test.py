"""Eager calls with ever new batch sizes trace no more than twice.

A graph for every size would cost time at every call, and memory that is never
freed.
"""

import pytest
import tensorflow as tf
from tensorflow_probability import bijectors as tfb

from tests import cases
from tests import graphs
from tests import networks
from tests.conformance import subjects
from tf_resflow import bijectors
from tf_resflow import numerics

# The second size has the graph that all others share.
_FIRST_SIZES, _OTHER_SIZES = [3, 5], [6, 7, 9]


def calls(subject):
  """All that users ask for, as functions of a batch."""
  if isinstance(subject, tfb.Bijector):
    return [lambda x: subject.forward_log_det_jacobian(x),
            lambda x: subject.inverse(subject.forward(x))]
  if not hasattr(subject, 'forward_and_log_det'):
    return [subject]
  return [
      lambda x: subject.inverse(subject.forward_and_log_det(x)[0]),
      lambda x: subject.transform(x, estimator=numerics.NoLogDet()),
      lambda x: subject.transform(x, estimator=numerics.Exact())]


def backward(subject):
  """A training step without the update, as a function of a batch."""
  variables = cases.layer_of(subject).trainable_variables

  def differentiate(x):
    with tf.GradientTape() as tape:
      loss = tf.add_n([tf.reduce_sum(t) for t in cases.evaluate(subject, x)])
    tape.gradient(loss, [v.value for v in variables])

  return differentiate


def assert_no_more_graphs(function):
  """Checks that a function of a size traces for two of them at most."""
  for size in _FIRST_SIZES:
    function(size)
  with graphs.count_graphs() as made:
    for size in _OTHER_SIZES:
      function(size)
  assert not made


# Where it takes seconds, with parts that have fast cases.
_SLOW = (
    'chain', 'residual_asserted', 'residual_cpila_dense', 'residual_neumann',
    'residual_backward_in_forward', 'residual_conv', 'sequence_mixed',
    'learned_norms', 'bijector_residual', 'conditional_labels', 'flow_coupling',
    'flow_noise', 'vector_flow', 'flow_hybrid', 'vector_flow_conditional_lu',
    'vector_flow_inverse', 'inverse_residual')


@subjects.each(cases.representatives(), slow=_SLOW)
def test_eager_calls_of_all_sizes_share_their_graphs(subject):
  made, _ = subject.of('float32')
  functions = calls(made)
  if subject.case.has_variables:
    functions.append(backward(made))
  for function in functions:
    assert_no_more_graphs(lambda size, function=function: function(
        subject.case.inputs(batch_size=size)))


@pytest.mark.slow
def test_samples_and_densities_of_all_sizes_share_their_graphs():
  case = cases.MODELS['flow_hybrid']
  model = case.make()
  cases.evaluate(model, case.inputs())
  density = model.distribution()

  def use(size):
    x = model.sample(size, seed=size)
    model.bits_per_dim(x)
    model.classify(x)
    density.log_prob(x)
    density.sample(size)

  assert_no_more_graphs(use)


def test_counts_every_graph():
  function = tf.function(lambda x: x + 1.0)
  with graphs.count_graphs() as made:
    for size in (1, 2, 3):
      function(tf.ones([size]))
  assert len(made) == 3


def test_a_chain_of_bijectors_traces_no_more():
  chain = bijectors.Chain([
      bijectors.ResidualBlock(networks.dense_g('float32')),
      bijectors.ActNorm([3])])
  assert_no_more_graphs(
      lambda size: chain.inverse(chain.forward(tf.ones([size, 3]))))
