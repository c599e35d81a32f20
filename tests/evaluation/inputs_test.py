"""What a flow takes of a batch: every example with its own condition."""

import numpy as np
import pytest
import tensorflow as tf

from tests import flows
from tests import splits
from tests import testing
from tests.evaluation import conditional_flows
from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow import evaluation
from tf_resflow import numerics
from tf_resflow.evaluation import inputs

_NUM_EXAMPLES = 11
_X, _CONDITION = conditional_flows.make_vectors(_NUM_EXAMPLES)


@pytest.fixture(scope='module', name='labelled')
def _labelled():
  return conditional_flows.make_labelled_flow()


@pytest.fixture(scope='module', name='vector')
def _vector():
  return conditional_flows.make_vector_flow('float32')


@pytest.mark.parametrize('batch, expected', [
    ({'x': 1, 'label': 2, 'index': 3}, (1,)),
    ({'label': 2, 'condition': 4, 'x': 1}, (1, 4)),
    ((1,), (1,)), ((1, 4), (1, 4)), (1, (1,))])
def test_inputs_of_batches(batch, expected):
  assert inputs.inputs_of(batch) == expected


@pytest.mark.parametrize('batch_size, sizes', [
    (3, [3, 3, 1]), (7, [7]), (10, [7])])
def test_slices_keep_rows_together(labelled, batch_size, sizes):
  x, c = np.arange(14).reshape([7, 2]), np.arange(7) % 3
  parts = inputs.slices(labelled, x, c, batch_size)
  assert [len(part[0]) for part in parts] == sizes
  for i, whole in enumerate((x, c)):
    np.testing.assert_array_equal(
        np.concatenate([part[i] for part in parts]), whole)
  plain = flows.make_flow_without_blocks()
  assert all(len(part) == 1 for part in inputs.slices(plain, x, None, 2))


def test_no_conditions_of_a_flow_without():
  plain = flows.make_flow_without_blocks()
  assert inputs.conditions_for(plain, None, 3) is None
  with pytest.raises(errors.InvalidValueError, match='condition=given: expe'):
    inputs.conditions_for(plain, [1, 2, 0], 3)


@pytest.mark.parametrize('given', [
    2, [2], np.int64(2), tf.constant([2], tf.int64)])
def test_one_label_for_all(labelled, given):
  found = inputs.conditions_for(labelled, given, 4)
  assert found.dtype == np.int32
  np.testing.assert_array_equal(found, [2, 2, 2, 2])


def test_conditions_of_every_example(labelled, vector):
  np.testing.assert_array_equal(
      inputs.conditions_for(labelled, [2, 0, 1], 3), [2, 0, 1])
  numbers = np.arange(6).reshape([3, 2])
  found = inputs.conditions_for(vector, numbers, 3)
  assert found.dtype == np.float32
  np.testing.assert_array_equal(found, numbers)
  np.testing.assert_array_equal(
      inputs.conditions_for(vector, [5.0, 6.0], 3), [[5.0, 6.0]] * 3)


@pytest.mark.parametrize('num_given', [2, 3, 5, 6, 8])
def test_as_many_conditions_as_examples(labelled, num_given):
  """Batches of 2 would not notice: [0, 1], [2] is one for each, one for all."""
  with pytest.raises(errors.InvalidValueError, match=(
      f'condition=a batch of {num_given}: expected one of 4, or of 1 for all')):
    inputs.conditions_for(labelled, np.zeros(num_given, int), 4)


@pytest.fixture(scope='module', name='vector64')
def _vector64():
  return conditional_flows.make_vector_flow()


@pytest.fixture(scope='module', name='labelled_split')
def _labelled_split():
  return conditional_flows.make_labelled_split(_NUM_EXAMPLES)


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
def test_nats_of_vectors(vector64, batch_size):
  x, condition = np.float32(_X), np.float32(_CONDITION)
  split = conditional_flows.make_vector_split(x, condition)
  found = evaluation.nll(vector64, split, batch_size=batch_size)
  expected = -_log_prob(vector64, np.float64(x), np.float64(condition))
  np.testing.assert_allclose(found, [expected], rtol=1e-9)
  # Conditions of others make a difference to every example.
  other = evaluation.nll(vector64, conditional_flows.make_vector_split(
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


def test_given_vectors(vector64):
  found = evaluation.evaluate_inputs(
      vector64, _X, condition=_CONDITION, batch_size=4)
  expected = _log_prob(vector64, _X, _CONDITION)
  np.testing.assert_allclose(found['log_prob'], expected, rtol=1e-9)
  np.testing.assert_allclose(
      found['z'], vector64.encode(_X, condition=_CONDITION), rtol=1e-12)
  np.testing.assert_allclose(found['nats'], -expected, rtol=1e-9)
  other = evaluation.evaluate_inputs(
      vector64, _X, condition=np.roll(_CONDITION, 1, axis=0), batch_size=4)
  assert np.abs(found['log_prob'] - other['log_prob']).min() > 1e-3


@pytest.mark.parametrize('one', [_CONDITION[3], _CONDITION[3:4]])
def test_one_condition_for_all_given_vectors(vector64, one):
  found = evaluation.evaluate_inputs(vector64, _X, condition=one, batch_size=4)
  np.testing.assert_allclose(
      found['log_prob'],
      _log_prob(vector64, _X, np.repeat(_CONDITION[3:4], len(_X), axis=0)),
      rtol=1e-9)


@pytest.mark.parametrize('condition, message', [
    (None, 'condition=None: expected numbers'),
    (_CONDITION[:6], 'condition=a batch of 6: expected one of 11'),
    (np.concatenate([_CONDITION, _CONDITION]), 'condition=a batch of 22: exp'),
    (_CONDITION[:, :1], 'condition=a tensor float64 .11, 1.: expected numb')])
def test_given_conditions_that_do_not_suit(vector64, condition, message):
  with pytest.raises(errors.InvalidValueError, match=message):
    evaluation.evaluate_inputs(vector64, _X, condition=condition, batch_size=5)


def test_report_of_given_vectors(vector64):
  results = evaluation.evaluate_inputs(vector64, _X, condition=_CONDITION)
  report, bounds = evaluation.report_inputs(
      vector64, _X, results, batch_size=4, condition=_CONDITION)
  assert report['nats'] == pytest.approx(results['nats'].mean())
  assert report['num_reconstructions'] == _NUM_EXAMPLES
  assert 0.0 < report['reconstruction_error_max'] < 1e-5
  assert len(bounds) == 2 and report['lipschitz_bound_max'] < 1.0


def test_inverses_of_conditional_flows(labelled, labelled_split):
  report = evaluation.check_inverse(labelled, labelled_split, batch_size=4)
  assert report.num_reconstructions == _NUM_EXAMPLES
  assert report.inverse_num_not_converged == 0
  assert 0.0 < report.inverse_residual_max < 1e-3
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
