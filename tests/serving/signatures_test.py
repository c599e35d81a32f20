"""Both flows from Python: their definitions and what they refuse."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests import schemas
from tests import testing
from tf_resflow import errors
from tf_resflow import models
from tf_resflow import numerics
from tf_resflow import serving
from tf_resflow.serving import served_flow
from tf_resflow.serving import signatures as signatures_lib

_IMAGES = np.zeros([2, 8, 8, 1], np.uint8)
_SEED = np.array([0, 1], np.int32)
_SAMPLE = {'num_samples': np.int32(1), 'seed': _SEED,
           'temperature': np.float32(1.0)}
_LATENTS = np.zeros([2, 64], np.float32)


def test_models_that_are_refused(small_model, estimator):
  fresh = small_model.config.build()
  vectors = models.VectorFlowConfig(act_norm=False).build()
  for make, model, message in (
      # The first request would change it.
      (serving.IntegerFlow, fresh, 'model=...: expected an initialised model'),
      (serving.IntegerFlow, vectors, 'num_levels=None: ... Flows on vectors'),
      (serving.VectorSignatures, small_model, '...a flow on vectors')):
    testing.check_refusal(
        make, {'model': model, 'estimator': estimator}, message)


def test_bad_requests(signatures):
  """Through the signatures of a loaded SavedModel, as graphs."""
  for name, inputs, said in (
      ('encode', {'images': _IMAGES[:0]}, [
          'images is an empty batch; expected 1 or more']),
      ('encode', {'images': _IMAGES + 1.0}, [
          'input #0(zero-based) was expected to be a uint8 tensor but is a ']),
      ('encode', {'images': _IMAGES + np.uint8(17)}, [
          'images has the level', '[17]', 'expected levels 0 to 16']),
      ('log_prob', {'images': _IMAGES, 'seed': _SEED[:1]}, [
          'tensor seed [1]', 'expected shape [2]']),
      ('sample', _SAMPLE | {'num_samples': np.int32(0)}, [
          'num_samples is', '[0]', 'expected 1 to 4096']),
      ('sample', _SAMPLE | {'num_samples': np.int32(4097)}, [
          'num_samples is', '[4097]', 'expected 1 to 4096']),
      ('sample', _SAMPLE | {'num_samples': np.int32([1])}, [
          'tensor num_samples [1]', 'expected shape []']),
      ('sample', _SAMPLE | {'temperature': np.float32(-0.5)}, [
          'temperature is', '[-0.5]', 'expected a finite number, 0 or more']),
      ('sample', _SAMPLE | {'temperature': np.float32('inf')}, [
          'temperature is', '[inf]', 'expected a finite number, 0 or more']),
      ('decode', {'latents': _LATENTS[:, 1:]}, [
          'tensor latents [2,63]', 'expected shape [?,64]']),
      ('decode', {'latents': _LATENTS + np.float32('nan')}, [
          'latents contains NaN or infinity; expected']),
      ('decode', {'latents': _LATENTS[:0]}, [
          'latents is an empty batch; expected 1 or more'])):
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
      signatures[name](**{k: tf.constant(v) for k, v in inputs.items()})
    message = error.value.message
    assert all(part in message for part in said), (said, message)


@pytest.fixture(scope='module', name='noisy')
def noisy_fixture(small_model):
  """A hybrid flow on images and two channels of noise, in float64."""
  model = dataclasses.replace(
      small_model.config, num_classes=3, noise_channels=2).build('float64')
  model.initialize(tf.random.stateless_uniform(
      [16, 8, 8, 1], [0, 1], dtype=tf.float64), seed=0)
  return model


def test_noise_channels_take_a_seed(noisy, images, estimator):
  flow = serving.IntegerFlow(noisy, estimator)
  inputs = {name: [spec.name for spec in specs]
            for name, (_, specs) in flow.signatures().items()}
  assert inputs['encode'] == inputs['classify'] == ['images', 'seed']
  z, other = [flow.encode(images, seed=seed)['latents']
              for seed in ([0, 1], [0, 2])]
  assert z.shape == [5, 3 * 64] and np.all(z != other)
  for latents in (z, other):
    np.testing.assert_array_equal(flow.decode(latents)['images'], images)
  # What an image draws depends on its place alone.
  np.testing.assert_allclose(
      flow.encode(images[:2], seed=[0, 1])['latents'], z[:2], rtol=1e-9)
  np.testing.assert_allclose(
      flow.classify(images, seed=[0, 1])['logits'],
      noisy.classify((images + 0.5) / 17.0, seed=[0, 1]), rtol=1e-5)
  for method in (flow.encode, flow.classify):
    with pytest.raises(ValueError, match='^seed=None: expected two integers'):
      method(images)


def test_exact_log_dets_of_parts_in_double_precision(
    noisy, images, monkeypatch, expected_log_prob):
  """Noise is not repeated from part to part."""
  monkeypatch.setattr(  # Two images at a time, of 192 dimensions.
      served_flow, '_SHARE_OF_BATCH', 2.5 * 192**2 * 8 / 1e9)
  flow = serving.IntegerFlow(noisy, numerics.Exact())
  log_prob = tf.function(
      lambda images, seed: flow.log_prob(images, seed=seed), autograph=False,
      input_signature=[tf.TensorSpec([None, 8, 8, 1], tf.uint8),
                       tf.TensorSpec([2], tf.int32)])
  same = np.repeat(images[:1], 5, axis=0)
  expected = expected_log_prob(noisy, same, [3, 4], estimator=numerics.Exact())
  assert len(np.unique(expected)) == 5
  for batch_size in (1, 2, 5):
    found = log_prob(same[:batch_size], tf.constant([3, 4]))['log_prob']
    assert found.dtype == tf.float64
    # x is of single precision, rounded otherwise in a graph.
    np.testing.assert_allclose(found, expected[:batch_size], rtol=5e-6)


_ROWS = np.random.default_rng(0).normal(
    [3.0, -50.0], [0.5, 7.0], [9, 2]).astype(np.float32)


def _make_vector_flow(names=()):
  model = models.VectorFlowConfig(
      event_size=2, num_blocks=1, hidden_units=(8,),
      schema=schemas.make_schema(
          *names, mean=(3.0, -50.0), std=(0.5, 7.0))).build()
  model.initialize(tf.constant(_ROWS))
  return model


@pytest.fixture(scope='module', name='served')
def _served():
  return serving.VectorSignatures(
      _make_vector_flow(('size', 'mass kg')), numerics.Exact())


def test_columns_in_and_out(served):
  decoded = served.decode(served.encode(*_ROWS.T)['latents'])
  assert list(decoded) == ['size', 'mass_kg']
  np.testing.assert_allclose(list(decoded.values()), _ROWS.T, rtol=1e-4)


def test_signatures_take_a_seed_where_something_is_drawn(served):
  inputs = {name: [spec.name for spec in specs]
            for name, (_, specs) in served.signatures().items()}
  assert inputs == {
      'log_prob': ['size', 'mass_kg'],
      'sample': ['num_samples', 'seed', 'temperature'],
      'encode': ['size', 'mass_kg'], 'decode': ['latents']}
  estimator = numerics.Estimator.get('roulette:safe,exact=2').per_example()
  drawn = serving.VectorSignatures(served.model, estimator)
  _, specs = drawn.signatures()['log_prob']
  assert [spec.name for spec in specs] == ['size', 'mass_kg', 'seed']
  first, again, other = (
      drawn.log_prob(*_ROWS.T, seed=[0, i])['log_prob'].numpy()
      for i in (1, 1, 2))
  np.testing.assert_array_equal(first, again)
  assert np.any(first != other)


def test_vectors_without_names():
  served = serving.VectorSignatures(_make_vector_flow(), numerics.Exact())
  assert list(served.decode(served.encode(_ROWS)['latents'])) == ['x']
  _, (spec,) = served.signatures()['encode']
  assert spec == tf.TensorSpec([None, 2], tf.float32, 'x')


def test_bad_vectors(served):
  with pytest.raises(
      tf.errors.InvalidArgumentError, match='size is an empty batch'):
    served.encode(_ROWS[:0, 0], _ROWS[:0, 1])
  with pytest.raises(errors.InvalidValueError, match='mass_kg=a tensor int64'):
    served.encode(_ROWS[:, 0], np.zeros([9], np.int64))


@pytest.mark.reliability(promise='served-nan')
def test_a_bad_row_harms_no_other(served):
  """Also where an estimate is drawn."""
  rows = _ROWS.copy()
  rows[1, 0], rows[4, 1] = np.nan, -np.inf
  good = np.isfinite(rows).all(axis=1)
  drawn = serving.VectorSignatures(
      served.model, numerics.Estimator.get('fixed:3'))
  for flow, options in ((served, {}), (drawn, {'seed': [0, 1]})):
    found, expected = (
        {**flow.log_prob(*x.T, **options), **flow.encode(*x.T)}
        for x in (rows, _ROWS))
    for name, value in found.items():
      np.testing.assert_array_equal(value[good], expected[name][good])
      assert np.isnan(value[~good]).all(), name


def test_every_name_becomes_one_of_a_tensor(tmp_path):
  names = ('self', 'class', '_fat', '%', 'x', 'X', 'a b', 'a_b', 'seed',
           'log_prob', '2nd', 'größe')
  tensors = signatures_lib.tensor_names(names)
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


def test_columns_that_cannot_take_zeros(tmp_path):
  """Whole and positive columns, tried out before they are exported."""
  flow = models.VectorFlowConfig(
      event_size=2, num_blocks=1, hidden_units=(4,),
      schema=schemas.make_schema(
          'a', 'b', types=('log', 'integer'), mean=(0.0, 1.0), std=(1.0, 1.0))
  ).build()
  flow.initialize([[1.0, 2.0], [3.0, 9.0]], seed=0)
  served = serving.VectorSignatures(flow, numerics.Exact())
  sample = served.sample(9, seed=_SEED)
  x = np.stack([sample['a'], sample['b']], axis=1)
  assert np.all(x[:, 0] > 0) and np.array_equal(x[:, 1], np.floor(x[:, 1]))
  np.testing.assert_allclose(
      served.log_prob(*x.T)['log_prob'], flow.log_prob(x, estimator='exact'),
      rtol=1e-5)
  x[3] = np.nan
  assert np.flatnonzero(np.isnan(served.log_prob(*x.T)['log_prob'])) == [3]
  assert served.log_prob([0.0], [1.0])['log_prob'] == -np.inf
  serving.export(flow, str(tmp_path / '1'), warmup=False)
