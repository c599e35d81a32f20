"""Tools take the averaged weights of a run, or the others where asked to."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_resflow import datasets
from tf_resflow import evaluation
from tf_resflow import training


@pytest.fixture(scope='module')
def latents(trained_workdir):
  """Those of one image by the averaged weights, and by the others."""
  image = np.full([1, 8, 8, 1], 0.25, np.float32)
  found = [
      training.load_model(str(trained_workdir), averaged=averaged)[0](image)
      for averaged in (True, False)]
  assert np.abs(found[0] - found[1]).max() > 1e-2
  return found


def test_sample(run_tool, trained_workdir, latents, tmp_path):
  for flag, averaged in (('--averaged', True), ('--noaveraged', False)):
    output = tmp_path / f'{averaged}.npz'
    result = run_tool('sample', f'--workdir={trained_workdir}', flag,
                      '--num_samples=2', f'--output={output}')
    assert result.status == 0, result.stderr
    model, _ = training.load_model(str(trained_workdir), averaged=averaged)
    with np.load(output) as stored:
      np.testing.assert_allclose(model(stored['x']), stored['z'], atol=1e-3)


def test_export(run_tool, trained_workdir, latents, tmp_path):
  images = tf.constant(np.full([1, 8, 8, 1], 4, np.uint8))
  for flag, averaged in (('--averaged', True), ('--noaveraged', False)):
    output = tmp_path / f'{averaged}'
    result = run_tool('export', f'--workdir={trained_workdir}', flag,
                      f'--output={output}', '--nowarmup')
    assert result.status == 0, result.stderr
    found = tf.saved_model.load(str(output)).signatures['encode'](images=images)
    model, _ = training.load_model(str(trained_workdir), averaged=averaged)
    np.testing.assert_allclose(
        found['latents'], model(tf.fill([1, 8, 8, 1], 4.5 / 17)), rtol=1e-4,
        atol=1e-5)


def test_fid(run_tool, trained_workdir, data_dir, latents, tmp_path):
  network = tmp_path / 'network.keras'
  keras.Sequential([
      keras.Input((8, 8, 1)), keras.layers.AveragePooling2D(4),
      keras.layers.Flatten()]).save(network)
  extract = evaluation.load_feature_extractor(network)
  split = datasets.load_split(
      training.load_config(str(trained_workdir)).data, 'test')
  images = evaluation.levels_to_bytes(
      split.arrays['image'][:40], split.num_levels)
  for flag, averaged in (('--averaged', True), ('--noaveraged', False)):
    result = run_tool(
        'fid', f'--workdir={trained_workdir}', flag, f'--inception={network}',
        '--split=test', '--num_images=40')
    assert result.status == 0, result.stderr
    model, _ = training.load_model(str(trained_workdir), averaged=averaged)
    x = evaluation.decode(model, model.draw_latents(40, seed=0)).x
    levels = np.clip(np.floor(x * 17), 0, 16).astype(np.uint8)
    moments = []
    for batch in (images, evaluation.levels_to_bytes(levels, 17)):
      features = extract(batch)
      moments += [features.mean(axis=0), np.cov(features, rowvar=False)]
    report = json.loads(result.stdout.splitlines()[-1])
    np.testing.assert_allclose(
        report['fid'], evaluation.frechet_distance(*moments), rtol=1e-3)
