"""Likelihoods of given images, and what is refused."""

import zipfile

import numpy as np
import pytest
import tensorflow as tf

from tests import flows
from tests import testing
from tf_resflow import evaluation
from tf_resflow import models
from tf_resflow import numerics


@pytest.fixture(scope='module')
def flow():
  model = models.ResidualFlowConfig(
      image_shape=(4, 4, 1), num_levels=16, num_blocks=(1,), hidden_channels=4,
      num_dense_blocks=1, dense_hidden_units=4).build('float64')
  for layer in model.constrained_layers:
    layer.kernel.assign(4.0 * layer.kernel)  # The bound is active.
  model(tf.random.stateless_uniform([8, 4, 4, 1], [0, 1], dtype=tf.float64))
  return model


def images(num_images=5):
  return np.random.default_rng(1).uniform(size=[num_images, 4, 4, 1])


def test_exact_results_are_those_of_the_whole_jacobian(flow):
  x = images()
  results = evaluation.evaluate_inputs(
      flow, x, batch_size=2, estimator=numerics.Exact())
  # In a graph: eager passes take batches of any size in chunks, which
  # `batch_jacobian` cannot vectorise.
  jacobian = testing.full_jacobian(
      tf.function(flow, autograph=False), tf.constant(x))
  log_det = np.linalg.slogdet(jacobian)[1]
  np.testing.assert_allclose(results['log_det'], log_det, rtol=1e-9)
  z = np.asarray(flow(x))
  np.testing.assert_allclose(results['z'], z, rtol=1e-12)
  log_prob = log_det - 0.5 * np.sum(z**2, 1) - 8 * np.log(2 * np.pi)
  np.testing.assert_allclose(results['log_prob'], log_prob, rtol=1e-9)
  np.testing.assert_allclose(
      results['bits_per_dim'], (np.log(16) - log_prob / 16) / np.log(2),
      rtol=1e-9)
  assert results['log_det_repeats'].shape == (1, 5)
  report, _ = evaluation.report_inputs(flow, x, results, batch_size=2)
  assert report['estimator_stderr'] == 0.0
  assert report['num_examples'] == report['num_reconstructions'] == 5
  assert report['reconstruction_error_max'] < 1e-6
  assert report['lipschitz_bound_max'] < 1.0


def test_estimates_average_to_the_exact_value(flow):
  x = images()
  exact = evaluation.evaluate_inputs(flow, x, estimator=numerics.Exact())
  results = evaluation.evaluate_inputs(flow, x, num_repeats=100, seed=3)
  repeats = results['log_det_repeats']
  assert repeats.shape == (100, 5)
  np.testing.assert_allclose(results['log_det'], repeats.mean(0), rtol=1e-12)
  stderr = repeats.std(0, ddof=1) / 10
  assert np.all(stderr > 1e-3)
  assert np.all(np.abs(results['log_det'] - exact['log_det']) < 4 * stderr)
  report, _ = evaluation.report_inputs(flow, x, results, certify=False)
  np.testing.assert_allclose(
      report['estimator_stderr'],
      repeats.mean(1).std(ddof=1) / 10 / 16 / np.log(2), rtol=1e-9)
  again = evaluation.evaluate_inputs(flow, x, num_repeats=100, seed=3)
  np.testing.assert_array_equal(again['log_det_repeats'], repeats)


def test_probes_are_averaged(flow):
  x = images()
  exact = evaluation.evaluate_inputs(flow, x, estimator=numerics.Exact())
  one, four = [
      evaluation.evaluate_inputs(
          flow, x, batch_size=2, num_repeats=30, num_probes=n)
      for n in (1, 4)]
  np.testing.assert_array_equal(one['z'], four['z'])
  errors = [r['log_det_repeats'] - exact['log_det'] for r in (one, four)]
  ratio = np.mean(errors[1]**2) / np.mean(errors[0]**2)
  assert 0.12 < ratio < 0.5  # A quarter, but for chance.
  stderr = errors[1].std(0, ddof=1) / np.sqrt(30)
  assert np.all(np.abs(errors[1].mean(0)) < 4.5 * stderr)


def test_one_image(flow):
  x = images(1)
  results = evaluation.evaluate_inputs(flow, x, estimator=numerics.Exact())
  report, _ = evaluation.report_inputs(flow, x, results, certify=False)
  assert report['bits_per_dim_stderr'] is None
  assert report['lipschitz_bound_max'] is None


def test_too_few_repeats(flow):
  with pytest.raises(ValueError, match='num_repeats=7: expected a number from'):
    evaluation.evaluate_inputs(flow, images(), num_repeats=7)


@pytest.mark.parametrize('dtype', [np.float16, np.float32, np.float64])
def test_reads(flow, tmp_path, dtype):
  x = images().astype(dtype)
  np.savez(tmp_path / 'x.npz', x=x)
  found = evaluation.read_inputs(tmp_path / 'x.npz', flow.event_shape)
  assert found.dtype == np.float64
  np.testing.assert_array_equal(found, x)


@pytest.mark.parametrize('arrays, message', [
    ({'images': images()}, 'Its arrays are images.'),
    ({}, 'Its arrays are none.'),
    ({'x': np.zeros([2, 4, 4, 1], np.uint8)}, 'has the dtype uint8: dequant'),
    ({'x': images()[..., 0]}, r'Its x has the shape \(5, 4, 4\).'),
    ({'x': images(0)}, r'Its x has the shape \(0, 4, 4, 1\).'),
    ({'x': 255 * images()}, r'Its x lies in \[.*, 2\d\d\.\d+\].'),
    ({'x': images() - 0.5}, r'Its x lies in \[-0.4.*\].'),
    ({'x': np.full([1, 4, 4, 1], np.nan)}, r'Its x lies in \[nan, nan\].'),
    ({'x': np.array([{}])}, 'It cannot be read: Object arrays'),
])
def test_bad_arrays(flow, tmp_path, arrays, message):
  path = tmp_path / 'x.npz'
  np.savez(path, **arrays)
  with pytest.raises(ValueError, match=message) as error:
    evaluation.read_inputs(path, flow.event_shape)
  assert str(error.value).startswith(f'inputs={path}: expected an .npz file')


@pytest.mark.parametrize('content', [b'', b'text', b'PK\x03\x04cut'])
def test_bad_files(flow, tmp_path, content):
  path = tmp_path / 'x.npz'
  path.write_bytes(content)
  with pytest.raises(ValueError, match='expected an .npz file'):
    evaluation.read_inputs(path, flow.event_shape)
  # One array alone is no archive.
  np.save(tmp_path / 'x.npy', images())
  with pytest.raises(ValueError, match='expected an .npz file'):
    evaluation.read_inputs(tmp_path / 'x.npy', flow.event_shape)
  with pytest.raises(ValueError, match='It does not exist'):
    evaluation.read_inputs(tmp_path / 'none.npz', flow.event_shape)


def test_damaged_bytes(flow, tmp_path):
  path = tmp_path / 'x.npz'
  np.savez_compressed(path, x=images())
  data = bytearray(path.read_bytes())
  data[100:140] = bytes(255 - b for b in data[100:140])
  path.write_bytes(data)
  with pytest.raises(ValueError, match='expected an .npz file'):
    evaluation.read_inputs(path, flow.event_shape)
  with zipfile.ZipFile(path, 'w') as archive:
    archive.writestr('x', b'no array')
  with pytest.raises(ValueError, match='Its x is not an array'):
    evaluation.read_inputs(path, flow.event_shape)


def test_size_of_batches(flow):
  assert evaluation.fitting_batch_size(
      flow, evaluation.default_estimator(), largest=100) == 100
  largest = int(1e9 // (16 * 16 * 8))
  for limit, expected in ((100, 100), (10**9, largest)):
    assert evaluation.fitting_batch_size(
        flow, numerics.Exact(), limit) == expected

  class Large:
    event_size = 3 * 256 * 256
    compute_dtype = 'float32'

  with pytest.raises(ValueError, match='196608 dimensions takes 155 GB per ex'):
    evaluation.fitting_batch_size(Large(), numerics.Exact())


def test_a_flow_without_blocks():
  """Nothing is drawn, so all repeats agree, with the whole Jacobian."""
  model = flows.make_flow_without_blocks(dtype='float64')
  x = images()
  results = evaluation.evaluate_inputs(model, x, batch_size=2)
  log_det = np.linalg.slogdet(testing.full_jacobian(model, tf.constant(x)))[1]
  np.testing.assert_allclose(
      results['log_det_repeats'], np.tile(log_det, [8, 1]), rtol=1e-9)
  report, bounds = evaluation.report_inputs(model, x, results, batch_size=2)
  assert report['estimator_stderr'] == 0.0
  assert report['reconstruction_error_max'] < 1e-12
  assert bounds == []
