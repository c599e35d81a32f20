"""What served flows have in common, conditions among it.

Replies are those of exported models, to requests as JSON.
"""

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tests.serving import client
from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow import models
from tf_resflow import numerics
from tf_resflow import serving
from tf_resflow.numerics import random
from tf_resflow.serving import served_flow

_SAMPLE = {'num_samples': 3, 'seed': [0, 1], 'temperature': 0.8}
_LABELS = np.array([2, 0, 1, 2])
_NUMBERS = np.random.default_rng(2).normal([1.0, -3.0], [0.5, 2.0], [5, 2])
_ROWS = np.random.default_rng(0).normal([3.0, -50.0], [0.5, 7.0], [5, 2])


def test_require():
  function = tf.function(
      lambda x, condition: 2.0 * served_flow.require(
          condition, x, ['x is', x, '; expected another.']), autograph=False)
  np.testing.assert_array_equal(function(tf.ones([2]), tf.constant(True)), 2)
  with pytest.raises(tf.errors.InvalidArgumentError, match='x is'):
    function(tf.ones([2]), tf.constant(False))


def test_what_no_flow_is_served_with(small_model):
  with pytest.raises(NotImplementedError):
    served_flow.ServedFlow(small_model, numerics.Exact())
  vectors = models.VectorFlowConfig(act_norm=False, num_blocks=1).build()
  for model, make in ((small_model, serving.IntegerFlow),
                      (vectors, serving.VectorSignatures)):
    with pytest.raises(ValueError, match='max_samples=0: expected a number fr'):
      make(model, numerics.Exact(), max_samples=0)
    with pytest.raises(ValueError, match='one with batch_dependent=False'):
      make(model, numerics.AdaptiveRoulette())


def _initialized(model, x, condition):
  """Returns a model in which conditions are at work."""
  rng = np.random.default_rng(0)
  for variable in model.trainable_variables:
    noise = 0.3 * rng.normal(size=variable.shape)
    variable.assign(variable.numpy() + noise.astype(variable.dtype))
  model.initialize(tf.constant(x, tf.float32), condition=condition)
  return model


@pytest.fixture(scope='module', name='estimator')
def _estimator():
  return numerics.FixedTruncation(2)


@pytest.fixture(scope='module', name='labelled')
def _labelled():
  return _initialized(models.ResidualFlowConfig(
      image_shape=(4, 4, 1), num_levels=17, num_blocks=(1,),
      hidden_channels=4, kernel_sizes=(3, 3), num_dense_blocks=0,
      num_classes=2, head_channels=4, condition_labels=3, condition_features=4
  ).build(),
                      np.random.default_rng(0).random([9, 4, 4, 1]),
                      np.arange(9) % 3)


@pytest.fixture(scope='module', name='vector')
def _vector():
  return _initialized(models.VectorFlowConfig(
      event_size=2, num_blocks=1, hidden_units=(8,),
      column_names=('size', 'mass kg'), column_mean=(3.0, -50.0),
      column_std=(0.5, 7.0), condition_size=2,
      condition_names=('age', 'condition'), condition_mean=(1.0, -3.0),
      condition_std=(0.5, 2.0), condition_features=4,
      condition_hidden_units=(5,)).build(), _ROWS, _NUMBERS)


@pytest.fixture(scope='module', name='images')
def _images():
  return np.random.default_rng(1).integers(0, 17, [4, 4, 4, 1]).astype(np.uint8)


@pytest.fixture(scope='module', name='folders')
def _folders(labelled, vector, estimator, tmp_path_factory):
  folder = tmp_path_factory.mktemp('conditional')
  serving.export(labelled, str(folder / 'images'), estimator)
  serving.export(vector, str(folder / 'vectors'), numerics.Exact())
  return folder


@pytest.fixture(scope='module', name='replies')
def _replies(folders, images, labelled):
  """By names."""
  pixels = {'images': images}
  likelihood = {**pixels, 'seed': [0, 1]}
  latents = {'latents': labelled.encode((images + 0.5) / 17, condition=_LABELS)}
  columns = {'size': _ROWS[:, 0], 'mass_kg': _ROWS[:, 1]}

  loaded = {kind: tf.saved_model.load(str(folders / kind)).signatures
            for kind in ('images', 'vectors')}

  def of_images(name, inputs, condition, kind='images'):
    body = {'signature_name': name, 'inputs': {
        key: np.asarray(value).tolist()
        for key, value in {**inputs, 'condition': condition}.items()}}
    return client.answer(loaded[kind], json.loads(json.dumps(body)))

  def of_vectors(*args):
    return of_images(*args, 'vectors')

  return {
      'log_prob': of_images('log_prob', likelihood, _LABELS),
      'one log_prob': of_images('log_prob', likelihood, [1]),
      'same log_prob': of_images('log_prob', likelihood, [1] * 4),
      'sample': of_images('sample', _SAMPLE, [2, 0, 1]),
      'one sample': of_images('sample', _SAMPLE, [1]),
      'encode': of_images('encode', pixels, _LABELS),
      'decode': of_images('decode', latents, _LABELS),
      'classify': of_images('classify', pixels, _LABELS),
      'foreign': of_images('log_prob', likelihood, [0, 1, 3, 0]),
      'negative': of_images('sample', _SAMPLE, [0, -1, 0]),
      'too few': of_images('encode', pixels, [0, 1]),
      'too many': of_images('sample', _SAMPLE, _LABELS),
      'none': of_images('decode', latents, []),
      'shape': of_images('encode', pixels, [[0]] * 4),
      'vector log_prob': of_vectors('log_prob', columns, _NUMBERS),
      'vector one': of_vectors('log_prob', columns, _NUMBERS[:1]),
      'vector sample': of_vectors('sample', _SAMPLE, _NUMBERS[:3]),
      'vector encode': of_vectors('encode', columns, _NUMBERS),
      'vector too few': of_vectors('log_prob', columns, _NUMBERS[:2]),
      'vector shape': of_vectors('log_prob', columns, _NUMBERS[:, :1]),
      'vector nan': of_vectors('sample', _SAMPLE, [[0.0, np.nan]])}


@pytest.fixture(scope='module', name='outputs')
def _outputs(replies):
  return {name: {key: np.asarray(value) for key, value in
                 reply['outputs'].items()}
          for name, reply in replies.items() if 'outputs' in reply}


def _log_prob(model, images, condition, estimator):
  seed = tf.constant([0, 1])
  noise = tf.random.stateless_uniform(
      images.shape, random.fold_in(seed, 0).values)
  return model.log_prob(
      datasets.dequantize(images, noise, 17), condition,
      random.fold_in(seed, 1), estimator=estimator).numpy()


def test_log_prob_of_labels(labelled, estimator, images, outputs):
  expected = _log_prob(labelled, images, _LABELS, estimator)
  np.testing.assert_allclose(
      outputs['log_prob']['log_prob'], expected, rtol=1e-5)
  other = _log_prob(labelled, images, (_LABELS + 1) % 3, estimator)
  assert np.abs(other - expected).min() > 1e-2
  # One row is that of all.
  one = outputs['one log_prob']['log_prob']
  np.testing.assert_allclose(
      one, _log_prob(labelled, images, [1], estimator), rtol=1e-5)
  np.testing.assert_allclose(
      one, outputs['same log_prob']['log_prob'], rtol=1e-6)


def test_samples_of_labels(labelled, outputs):
  for name, labels in (('sample', [2, 0, 1]), ('one sample', [1])):
    expected = datasets.quantize(
        labelled.sample(3, tf.constant([0, 1]), 0.8, labels), 17)
    # A level may move where rounding differs.
    assert np.mean(outputs[name]['images'] != expected) < 0.05
  # The last one has the same latents and label in both.
  np.testing.assert_array_equal(
      outputs['sample']['images'][2], outputs['one sample']['images'][2])
  assert np.any(
      outputs['sample']['images'][:2] != outputs['one sample']['images'][:2])


def test_latents_and_classes_of_labels(labelled, images, outputs):
  x = (images + np.float32(0.5)) / np.float32(17)
  np.testing.assert_allclose(
      outputs['encode']['latents'], labelled.encode(x, condition=_LABELS),
      rtol=1e-4, atol=1e-5)
  np.testing.assert_array_equal(outputs['decode']['images'], images)
  np.testing.assert_allclose(
      outputs['classify']['logits'], labelled.classify(x, _LABELS),
      rtol=1e-4, atol=1e-5)


def test_vectors_with_numbers(vector, outputs):
  x, condition = np.float32(_ROWS), np.float32(_NUMBERS)
  expected = vector.log_prob(x, condition, estimator='exact')
  np.testing.assert_allclose(
      outputs['vector log_prob']['log_prob'], expected, rtol=1e-5)
  one = vector.log_prob(x, condition[:1], estimator='exact')
  np.testing.assert_allclose(
      outputs['vector one']['log_prob'], one, rtol=1e-5)
  assert np.abs(one - expected)[1:].min() > 1e-3
  sampled = vector.sample(3, tf.constant([0, 1]), 0.8, condition[:3]).numpy()
  for i, name in enumerate(('size', 'mass_kg')):
    np.testing.assert_allclose(
        outputs['vector sample'][name], sampled[:, i], rtol=1e-4)
  np.testing.assert_allclose(
      outputs['vector encode']['latents'],
      vector.encode(x, condition=condition), rtol=1e-4, atol=1e-5)


def test_bad_requests_are_answered_with_the_reason(replies):
  wrong = []
  for name, parts in (
      ('foreign', ['condition is', '; expected labels 0 to 2.']),
      ('negative', ['condition is', '; expected labels 0 to 2.']),
      ('too few', ['condition has', '[2]', 'rows; expected', '[4]',
                   'or 1 for all.']),
      ('too many', ['condition has', '[4]', 'rows; expected', '[3]']),
      ('none', ['condition has', '[0]', 'rows; expected', '[4]']),
      ('shape', ['expected shape [?]']),
      ('vector too few', ['condition has', '[2]', 'rows; expected', '[5]']),
      ('vector shape', ['expected shape [?,2]']),
      ('vector nan', ['condition has numbers that are not finite.'])):
    wrong += [(name, part, replies[name]) for part in parts
              if part not in replies[name].get('error', '')]
  assert not wrong


def test_a_request_without_condition(folders, labelled, estimator, images):
  signature = tf.saved_model.load(str(folders / 'images')).signatures['encode']
  with pytest.raises(TypeError, match='condition'):
    signature(images=tf.constant(images))
  served = serving.IntegerFlow(labelled, estimator)
  with pytest.raises(errors.InvalidValueError, match=(
      'condition=None: expected labels .B., whole numbers from 0 to 2')):
    served.encode(images)


def test_a_condition_of_a_flow_without(small_model, estimator):
  served = serving.IntegerFlow(small_model, estimator)
  with pytest.raises(errors.InvalidValueError, match='condition=given: expect'):
    served.encode(np.zeros([1, 8, 8, 1], np.uint8), condition=[0])


def test_conditions_are_the_last_input(labelled, vector, estimator):
  specs = {
      name: [(spec.name, spec.dtype) for spec in specs] for name, (_, specs)
      in serving.IntegerFlow(labelled, estimator).signatures().items()}
  for inputs in specs.values():
    assert inputs[-1] == ('condition', tf.int32)
  assert [name for name, _ in specs['log_prob']] == [
      'images', 'seed', 'condition']
  (_, specs) = serving.VectorSignatures(
      vector, numerics.Exact()).signatures()['log_prob']
  assert specs[-1] == tf.TensorSpec([None, 2], tf.float32, 'condition')


def test_columns_that_are_conditions(folders):
  path = pathlib.Path(folders, 'vectors', 'assets.extra', 'columns.json')
  assert json.loads(path.read_text()) == {
      'size': 'size', 'mass kg': 'mass_kg', 'age': 'condition[:, 0]',
      'condition': 'condition[:, 1]'}


def test_a_column_of_that_name_is_another_tensor(vector):
  served = serving.VectorSignatures(
      vector, numerics.Exact(), names=('condition', 'Seed'))
  assert served.names == ('condition_2', 'Seed_2')
