"""The flow on vectors, from Python: its definitions and what it refuses."""

import numpy as np
import pytest
import tensorflow as tf

from tf_resflow import errors
from tf_resflow import models
from tf_resflow import numerics
from tf_resflow import serving
from tf_resflow.serving import vector_signatures

_ROWS = np.random.default_rng(0).normal(
    [3.0, -50.0], [0.5, 7.0], [9, 2]).astype(np.float32)


def _make_model(names=(), **changes):
  model = models.VectorFlowConfig(
      event_size=2, num_blocks=2, hidden_units=(8,), column_names=names,
      column_mean=(3.0, -50.0), column_std=(0.5, 7.0), **changes).build()
  model.initialize(tf.constant(_ROWS))
  return model


@pytest.fixture(scope='module', name='model')
def _model():
  return _make_model(('size', 'mass kg'))


@pytest.fixture(scope='module', name='served')
def _served(model):
  return serving.VectorSignatures(model, numerics.Exact())


def test_columns_in_and_out(served, model):
  x = tf.constant(_ROWS)
  found = served.log_prob(_ROWS[:, 0], _ROWS[:, 1])['log_prob']
  np.testing.assert_allclose(
      found, model.log_prob(x, estimator=numerics.Exact()).numpy(), rtol=1e-5)
  latents = served.encode(*_ROWS.T)['latents']
  np.testing.assert_allclose(latents, model.encode(x).numpy(), rtol=1e-5)
  decoded = served.decode(latents)
  assert list(decoded) == ['size', 'mass_kg']
  np.testing.assert_allclose(decoded['size'], _ROWS[:, 0], rtol=1e-4)
  np.testing.assert_allclose(decoded['mass_kg'], _ROWS[:, 1], rtol=1e-4)
  drawn = served.sample(4, [0, 1], 0.5)
  expected = model.sample(4, [0, 1], 0.5).numpy()
  np.testing.assert_allclose(drawn['mass_kg'], expected[:, 1], rtol=1e-5)


def test_signatures_take_a_seed_where_something_is_drawn(served, model):
  inputs = {name: [spec.name for spec in specs]
            for name, (_, specs) in served.signatures().items()}
  assert inputs == {
      'log_prob': ['size', 'mass_kg'],
      'sample': ['num_samples', 'seed', 'temperature'],
      'encode': ['size', 'mass_kg'], 'decode': ['latents']}
  drawn = serving.VectorSignatures(
      model, numerics.Estimator.get('roulette:safe,exact=2').per_example())
  _, specs = drawn.signatures()['log_prob']
  assert [spec.name for spec in specs] == ['size', 'mass_kg', 'seed']
  first, again, other = (
      drawn.log_prob(*_ROWS.T, [0, i])['log_prob'].numpy() for i in (1, 1, 2))
  np.testing.assert_array_equal(first, again)
  assert np.any(first != other)


def test_vectors_without_names():
  served = serving.VectorSignatures(_make_model(), numerics.Exact())
  assert list(served.decode(served.encode(_ROWS)['latents'])) == ['x']
  _, (spec,) = served.signatures()['encode']
  assert spec == tf.TensorSpec([None, 2], tf.float32, 'x')


@pytest.mark.parametrize('columns, message', [
    ((_ROWS[:, 0], _ROWS[:3, 1]), 'hape'),
    ((_ROWS[:0, 0], _ROWS[:0, 1]), 'size is an empty batch; expected 1'),
    ((_ROWS[:, 0], np.full([9], np.nan, np.float32)), 'that are not finite')])
def test_bad_requests(served, columns, message):
  with pytest.raises(tf.errors.InvalidArgumentError, match=message):
    served.encode(*columns)


def test_another_dtype(served):
  with pytest.raises(errors.InvalidValueError, match='mass_kg=a tensor int64'):
    served.encode(_ROWS[:, 0], np.zeros([9], np.int64))


def test_every_name_becomes_one_of_a_tensor(tmp_path):
  names = ('self', 'class', '_fat', '%', 'x', 'X', 'a b', 'a_b', 'seed',
           'log_prob', '2nd', 'größe')
  tensors = vector_signatures.tensor_names(names)
  assert len({name.lower() for name in tensors}) == len(names)
  assert tensors[4:8] == ('x', 'X_2', 'a_b', 'a_b_2')
  specs = [tf.TensorSpec([None], tf.float32, name) for name in tensors]
  function = tf.function(
      lambda *columns: dict(zip(tensors, columns, strict=True)),
      input_signature=specs, autograph=False).get_concrete_function()
  tf.saved_model.save(tf.Module(), str(tmp_path), signatures={'f': function})
  loaded = tf.saved_model.load(str(tmp_path)).signatures['f']
  outputs = loaded(**{
      name: tf.fill([2], float(i)) for i, name in enumerate(tensors)})
  assert {name: float(value[0]) for name, value in outputs.items()} == {
      name: float(i) for i, name in enumerate(tensors)}


def test_images_are_refused(make_small_model, estimator):
  with pytest.raises(errors.InvalidValueError, match='a flow on vectors'):
    serving.VectorSignatures(make_small_model(), estimator)
