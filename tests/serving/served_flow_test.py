"""Served flows: estimators, limits and conditions.

Replies are those of exported models, to requests as JSON.
"""

import json

import numpy as np
import pytest
import tensorflow as tf

from tests import schemas
from tests.evaluation import conditional_flows
from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow import models
from tf_resflow import numerics
from tf_resflow import serving
from tf_resflow.serving import served_flow
from tf_resflow.serving import signatures

_SAMPLE = {'num_samples': 3, 'seed': [0, 1], 'temperature': 0.8}
_LABELS = np.array([2, 0, 1, 2])
_ROWS, _NUMBERS = conditional_flows.make_vectors(5)


def test_what_no_flow_is_served_with(small_model):
  with pytest.raises(NotImplementedError):
    served_flow.ServedFlow(small_model, numerics.Exact())
  vectors = models.VectorFlowConfig(act_norm=False, num_blocks=1).build()
  for model, make in ((small_model, serving.IntegerFlow),
                      (vectors, serving.VectorSignatures)):
    with pytest.raises(ValueError, match='max_samples=0: expected a number fr'):
      make(model, numerics.Exact(), max_samples=0)
    with pytest.raises(ValueError, match='an estimator with batch_dependent=F'):
      make(model, numerics.AdaptiveRoulette())


def test_estimators_by_default_and_by_their_specs():
  """Estimators are those of evaluations, independent per example."""
  model = models.VectorFlowConfig(
      event_size=65, act_norm=False, num_blocks=1, hidden_units=(2,)).build()
  for given, estimator in (
      (None, numerics.AdaptiveRoulette(0.02, batch_dependent=False)),
      ('fixed:2', numerics.FixedTruncation(2))):
    assert serving.VectorSignatures(model, given).estimator == estimator
  x = tf.random.stateless_normal([3, 65], [0, 1])
  np.testing.assert_allclose(
      serving.VectorSignatures(model, 'exact').log_prob(x)['log_prob'],
      model.log_prob(x, estimator='exact'), rtol=1e-5)


@pytest.fixture(scope='module', name='estimator')
def _estimator():
  return numerics.FixedTruncation(2)


@pytest.fixture(scope='module', name='labelled')
def _labelled():
  return conditional_flows.make_labelled_flow(
      num_levels=17, num_classes=2, head_channels=4)


@pytest.fixture(scope='module', name='vector')
def _vector():
  return conditional_flows.make_vector_flow(
      'float32', ('age', 'condition'), ('size', 'mass kg'))


@pytest.fixture(scope='module', name='images')
def _images():
  return np.random.default_rng(1).integers(0, 17, [4, 4, 4, 1]).astype(np.uint8)


@pytest.fixture(scope='module', name='folders')
def _folders(labelled, vector, estimator, tmp_path_factory):
  folder = tmp_path_factory.mktemp('conditional')
  for name, model, settings in (
      ('images', labelled, estimator), ('vectors', vector, 'exact')):
    serving.export(model, str(folder / name), settings, warmup=False)
  return folder


@pytest.fixture(scope='module', name='replies')
def _replies(ask, folders, images, labelled):
  """Replies by name."""
  pixels = {'images': images}
  likelihood = {**pixels, 'seed': [0, 1]}
  latents = {'latents': labelled.encode((images + 0.5) / 17, condition=_LABELS)}
  columns = {'size': _ROWS[:, 0], 'mass_kg': _ROWS[:, 1]}
  requests = {
      'log_prob': ('log_prob', likelihood, _LABELS),
      'one log_prob': ('log_prob', likelihood, [1]),
      'same log_prob': ('log_prob', likelihood, [1] * 4),
      'sample': ('sample', _SAMPLE, [2, 0, 1]),
      'one sample': ('sample', _SAMPLE, [1]),
      'encode': ('encode', pixels, _LABELS),
      'decode': ('decode', latents, _LABELS),
      'classify': ('classify', pixels, _LABELS),
      'foreign': ('log_prob', likelihood, [0, 1, 3, 0]),
      'too few': ('encode', pixels, [0, 1]),
      'too many': ('sample', _SAMPLE, _LABELS),
      'none': ('decode', latents, []),
      'shape': ('encode', pixels, [[0]] * 4),
      'vector log_prob': ('log_prob', columns, _NUMBERS),
      'vector one': ('log_prob', columns, _NUMBERS[:1]),
      'vector sample': ('sample', _SAMPLE, _NUMBERS[:3]),
      'vector encode': ('encode', columns, _NUMBERS),
      'vector too few': ('log_prob', columns, _NUMBERS[:2]),
      'vector shape': ('log_prob', columns, _NUMBERS[:, :1]),
      'vector nan': ('sample', _SAMPLE, [[0.0, np.nan]])}
  return ask({
      name: (folders / ('vectors' if 'vector' in name else 'images'),
             signature, inputs | {'condition': condition})
      for name, (signature, inputs, condition) in requests.items()})


@pytest.mark.slow
def test_a_flow_with_a_mixture_as_its_base(tmp_path):
  model = models.VectorFlowConfig(
      event_size=2, num_blocks=1, hidden_units=(4,), base='mixture:3').build()
  rng = np.random.default_rng(0)
  x = np.float32(rng.normal(size=[60, 2]) + 9 * rng.integers(2, size=[60, 1]))
  model.initialize(x)
  model.fit_base(x)
  assert np.count_nonzero(model.base.component_weights.numpy()) > 1
  folder = tmp_path / 'served'
  serving.export(model, str(folder), 'exact', warmup=False)
  served = tf.saved_model.load(str(folder)).signatures
  np.testing.assert_allclose(
      served['log_prob'](x=tf.constant(x))['log_prob'],
      model.log_prob(x, estimator='exact'), rtol=1e-4)
  np.testing.assert_allclose(
      served['sample'](**{
          name: tf.constant(value) for name, value in _SAMPLE.items()})['x'],
      model.sample(3, seed=1, temperature=0.8), rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_log_prob_of_labels(
    labelled, estimator, images, replies, expected_log_prob):
  expected, other, expected_one = (
      expected_log_prob(labelled, images, [0, 1], condition, estimator)
      for condition in (_LABELS, (_LABELS + 1) % 3, [1]))
  np.testing.assert_allclose(
      replies['log_prob']['log_prob'], expected, rtol=1e-5)
  assert np.abs(other - expected).min() > 1e-2
  # One row is that of all.
  one = replies['one log_prob']['log_prob']
  np.testing.assert_allclose(one, expected_one, rtol=1e-5)
  np.testing.assert_allclose(
      one, replies['same log_prob']['log_prob'], rtol=1e-6)


@pytest.mark.slow
def test_samples_of_labels(labelled, replies):
  for name, labels in (('sample', [2, 0, 1]), ('one sample', [1])):
    expected = datasets.quantize(
        labelled.sample(3, labels, seed=[0, 1], temperature=0.8), 17)
    # A level may move where rounding differs.
    assert np.mean(replies[name]['images'] != expected) < 0.05
  # The last one has the same latents and label in both.
  np.testing.assert_array_equal(
      replies['sample']['images'][2], replies['one sample']['images'][2])
  assert np.any(
      replies['sample']['images'][:2] != replies['one sample']['images'][:2])


@pytest.mark.slow
def test_latents_and_classes_of_labels(labelled, images, replies):
  x = (images + np.float32(0.5)) / np.float32(17)
  np.testing.assert_allclose(
      replies['encode']['latents'], labelled.encode(x, condition=_LABELS),
      rtol=1e-4, atol=1e-5)
  np.testing.assert_array_equal(replies['decode']['images'], images)
  logits = labelled.classify(x, _LABELS)
  np.testing.assert_allclose(
      replies['classify']['logits'], logits, rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(
      replies['classify']['probabilities'], tf.nn.softmax(logits), rtol=1e-4)


@pytest.mark.slow
def test_vectors_with_numbers(vector, folders, replies):
  x, condition = np.float32(_ROWS), np.float32(_NUMBERS)
  expected = vector.log_prob(x, condition, estimator='exact')
  np.testing.assert_allclose(
      replies['vector log_prob']['log_prob'], expected, rtol=1e-5)
  one = vector.log_prob(x, condition[:1], estimator='exact')
  np.testing.assert_allclose(replies['vector one']['log_prob'], one, rtol=1e-5)
  assert np.abs(one - expected)[1:].min() > 1e-3
  sampled = vector.sample(
      3, condition[:3], seed=[0, 1], temperature=0.8).numpy()
  for i, name in enumerate(('size', 'mass_kg')):
    np.testing.assert_allclose(
        replies['vector sample'][name], sampled[:, i], rtol=1e-4)
  np.testing.assert_allclose(
      replies['vector encode']['latents'],
      vector.encode(x, condition=condition), rtol=1e-4, atol=1e-5)
  path = folders / 'vectors' / 'assets.extra' / 'columns.json'
  assert json.loads(path.read_text()) == signatures.tensors_of_columns(vector)


@pytest.mark.slow
def test_bad_requests_are_answered_with_the_reason(replies):
  for name, parts in (
      ('foreign', ['condition: expected labels', 'from 0 to 2, not']),
      ('too few', ['condition has', '[2]', 'rows; expected', '[4]',
                   'or 1 for all.']),
      ('too many', ['condition has', '[4]', 'rows; expected', '[3]']),
      ('none', ['condition has', '[0]', 'rows; expected', '[4]']),
      ('shape', ['expected shape [?]']),
      ('vector too few', ['condition has', '[2]', 'rows; expected', '[5]']),
      ('vector shape', ['expected shape [?,2]']),
      ('vector nan', ['condition: expected numbers [B, 2], not'])):
    assert all(part in replies[name] for part in parts), replies[name]


def test_flows_with_and_without_a_condition(labelled, small_model, estimator):
  for model, given, said in (
      (labelled, {}, 'condition=None: expected labels .B., integers from'),
      (small_model, {'condition': [0]}, 'condition cannot be used')):
    served = serving.IntegerFlow(model, estimator)
    with pytest.raises(errors.InvalidValueError, match=said):
      served.encode(np.zeros([1, *model.event_shape], np.uint8), **given)


def test_columns_that_are_conditions(vector):
  assert signatures.tensors_of_columns(vector) == {
      'size': 'size', 'mass kg': 'mass_kg', 'age': 'condition[:, 0]',
      'condition': 'condition[:, 1]'}
  # A column of that name is another tensor.
  vector = conditional_flows.make_vector_flow()
  vector.schema = schemas.make_schema('condition', 'Seed', conditions=['a'])
  served = serving.VectorSignatures(vector, numerics.Exact())
  assert served.names == ('condition_2', 'Seed_2')
