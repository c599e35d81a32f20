"""Evaluations of p(x|c): every example with its own condition, in batches."""

import numpy as np
import pytest
import tensorflow as tf

from tests import replicas
from tests import splits
from tests import testing
from tests.evaluation import conditional_flows
from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow import evaluation
from tf_resflow import numerics

_NUM_EXAMPLES = 11
_X, _CONDITION = conditional_flows.make_vectors(_NUM_EXAMPLES)


@pytest.fixture(scope='module', name='labelled')
def _labelled():
  return conditional_flows.make_labelled_flow()


@pytest.fixture(scope='module', name='labelled_split')
def _labelled_split():
  return conditional_flows.make_labelled_split(_NUM_EXAMPLES)


@pytest.fixture(scope='module', name='vector')
def _vector():
  return conditional_flows.make_vector_flow()


def _log_prob(model, x, condition):
  """Of the float64 Jacobian."""
  x, condition = tf.constant(x), tf.constant(condition)
  z = model.encode(x, condition=condition)
  jacobian = testing.full_jacobian(
      lambda x: model.encode(x, condition=condition), x)
  return np.linalg.slogdet(jacobian)[1] - 0.5 * np.sum(
      np.square(z) + np.log(2 * np.pi), axis=1)


def _images(split, seed):
  (batch,) = datasets.evaluation_batches(
      split, batch_size=_NUM_EXAMPLES, seed=seed)
  return batch['x']


@pytest.mark.parametrize('batch_size', [4, _NUM_EXAMPLES])
def test_nats_of_vectors(vector, batch_size):
  x, condition = np.float32(_X), np.float32(_CONDITION)
  split = conditional_flows.make_vector_split(x, condition)
  found = evaluation.nll(vector, split, batch_size=batch_size)
  expected = -_log_prob(vector, np.float64(x), np.float64(condition))
  np.testing.assert_allclose(found, [expected], rtol=1e-9)
  # Conditions of others make a difference to every example.
  other = evaluation.nll(vector, conditional_flows.make_vector_split(
      x, np.roll(condition, 1, axis=0)), batch_size=batch_size)
  assert np.abs(found - other).min() > 1e-3


@pytest.mark.parametrize('batch_size', [4, _NUM_EXAMPLES])
def test_bits_of_images(labelled, labelled_split, batch_size):
  labels = np.arange(_NUM_EXAMPLES) % 3
  found = evaluation.nll(
      labelled, labelled_split, batch_size=batch_size, seed=2,
      estimator=numerics.Exact())
  for repeat in (0, 7):
    expected = labelled.bits_per_dim(
        _images(labelled_split, 2 * 1009 + repeat), labels, estimator='exact')
    np.testing.assert_allclose(found[repeat], expected, rtol=1e-5)
  others = conditional_flows.reconditioned(labelled_split, (labels + 1) % 3)
  changed = evaluation.nll(
      labelled, others, batch_size=batch_size, seed=2,
      estimator=numerics.Exact())
  assert np.abs(found - changed).min() > 1e-3


def test_two_devices_agree_with_one(labelled, labelled_split):
  """Batches of 4, 4 and 3: conditions go where their images go."""
  with replicas.two_replicas().scope():
    model = labelled.config.build()
    for target, source in zip(
        model.variables, labelled.variables, strict=True):
      target.assign(source)
  options = dict(batch_size=4, seed=5, estimator=numerics.Exact())
  np.testing.assert_allclose(
      evaluation.nll(model, labelled_split, strategy=replicas.two_replicas(),
                     **options),
      evaluation.nll(labelled, labelled_split, **options), rtol=1e-6)


def test_given_vectors(vector):
  found = evaluation.evaluate_inputs(
      vector, _X, condition=_CONDITION, batch_size=4)
  expected = _log_prob(vector, _X, _CONDITION)
  np.testing.assert_allclose(found['log_prob'], expected, rtol=1e-9)
  np.testing.assert_allclose(
      found['z'], vector.encode(_X, condition=_CONDITION), rtol=1e-12)
  np.testing.assert_allclose(found['nats'], -expected, rtol=1e-9)
  other = evaluation.evaluate_inputs(
      vector, _X, condition=np.roll(_CONDITION, 1, axis=0), batch_size=4)
  assert np.abs(found['log_prob'] - other['log_prob']).min() > 1e-3


@pytest.mark.parametrize('one', [_CONDITION[3], _CONDITION[3:4]])
def test_one_condition_for_all_given_vectors(vector, one):
  found = evaluation.evaluate_inputs(vector, _X, condition=one, batch_size=4)
  np.testing.assert_allclose(
      found['log_prob'],
      _log_prob(vector, _X, np.repeat(_CONDITION[3:4], len(_X), axis=0)),
      rtol=1e-9)


@pytest.mark.parametrize('condition, message', [
    (None, 'condition=None: expected numbers'),
    (_CONDITION[:6], 'condition=a batch of 6: expected one of 11'),
    (np.concatenate([_CONDITION, _CONDITION]), 'condition=a batch of 22: exp'),
    (_CONDITION[:, :1], 'condition=a tensor float64 .11, 1.: expected numb')])
def test_given_conditions_that_do_not_suit(vector, condition, message):
  with pytest.raises(errors.InvalidValueError, match=message):
    evaluation.evaluate_inputs(vector, _X, condition=condition, batch_size=5)


def test_report_of_given_vectors(vector):
  results = evaluation.evaluate_inputs(vector, _X, condition=_CONDITION)
  report, bounds = evaluation.report_inputs(
      vector, _X, results, batch_size=4, condition=_CONDITION)
  assert report['nats'] == pytest.approx(results['nats'].mean())
  assert report['num_reconstructions'] == _NUM_EXAMPLES
  assert 0.0 < report['reconstruction_error_max'] < 1e-5
  assert len(bounds) == 2 and report['lipschitz_bound_max'] < 1.0


def test_inverses_of_conditional_flows(labelled, labelled_split):
  report = evaluation.check_inverse(labelled, labelled_split, batch_size=4)
  assert (report.num_examples, report.num_not_converged) == (_NUM_EXAMPLES, 0)
  assert 0.0 < report.residual_max < 1e-3
  assert 0.0 < report.reconstruction_error_max < 1e-3
  # Latents lead elsewhere with another condition, so it was their own.
  x, labels = _images(labelled_split, 0), np.arange(_NUM_EXAMPLES) % 3
  z = labelled.encode(x, condition=labels)
  there = labelled.inverse(z, (labels + 1) % 3)
  assert np.abs(there - x).max(axis=(1, 2, 3)).min() > 1e-2


def test_a_split_without_conditions(labelled):
  split = splits.random_split(5, 16)
  for evaluate in (evaluation.nll, evaluation.check_inverse):
    with pytest.raises(errors.InvalidValueError, match=(
        'condition=None: expected labels .B., whole numbers from 0 to 2')):
      evaluate(labelled, split)


def test_reports_repeat_bit_for_bit(labelled, labelled_split):
  options = dict(batch_size=4, seed=3, num_reconstructions=5)
  first, costs, _ = evaluation.evaluate(labelled, labelled_split, **options)
  again, same, _ = evaluation.evaluate(labelled, labelled_split, **options)
  np.testing.assert_array_equal(costs, same)
  assert first == again


def test_classes_of_hybrids_know_the_condition():
  """As of labels that are given, whatever else is classified."""
  model = conditional_flows.make_labelled_flow(num_classes=2, head_channels=4)
  split = conditional_flows.make_labelled_split(5)
  batches = datasets.evaluation_batches(split, batch_size=2, seed=0)
  found = evaluation.class_log_probs(model, batches)
  x, labels = _images(split, 0), np.arange(5) % 3
  np.testing.assert_allclose(
      found, tf.nn.log_softmax(model.classify(x, labels)), atol=1e-5)
  other = tf.nn.log_softmax(model.classify(x, (labels + 1) % 3))
  assert np.abs(found - other).max() > 1e-4
