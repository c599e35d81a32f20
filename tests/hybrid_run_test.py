"""A hybrid model from its flagfile to the exported classifier."""

import csv
import math

import numpy as np
import pytest
import tensorflow as tf

from tests.commands import results
from tf_resflow import datasets
from tf_resflow import training

_SMALL = [
    '--num_blocks=1,1', '--hidden_channels=4', '--num_dense_blocks=0',
    '--head_channels=8', '--batch_size=32', '--num_steps=4', '--log_every=1',
    '--warmup_steps=0', '--sample_every=0', '--num_validation=64',
    '--evaluate_every=4', '--crop_padding=1', '--nocertify']


@pytest.fixture
def run(run_tool):
  """Returns a function that runs a tool and returns its JSON."""
  return lambda *arguments: results.report(run_tool(*arguments))


@pytest.mark.slow
def test_from_flags_to_the_exported_classifier(run, tmp_path, data_dir):
  workdir, served = tmp_path / 'run', tmp_path / 'served'
  report = run(
      'train', '--flagfile=digits_hybrid', f'--workdir={workdir}',
      f'--data_dir={data_dir}', *_SMALL, '--nll_weight=1/D')
  text = (workdir / 'run.flags').read_text()
  assert '--nll_weight=1/D\n' in text
  assert '--crop_padding=1\n' in text

  with open(workdir / 'metrics.csv', newline='', encoding='utf-8') as file:
    rows = list(csv.DictReader(file))
  assert len(rows) == 4 and 'bits_per_dim' in rows[0]
  for row in rows:
    assert math.isfinite(float(row['cross_entropy']))
    assert 0.0 <= float(row['accuracy']) <= 1.0
  assert 0.0 <= float(rows[-1]['validation_accuracy']) <= 1.0
  assert math.isfinite(float(rows[-1]['validation_bits_per_dim']))

  again = run('evaluate', f'--workdir={workdir}', '--nocertify')
  for name in ('accuracy', 'accuracy_stderr', 'bits_per_dim'):
    assert again[name] == pytest.approx(report[name], rel=1e-6)
  p = report['accuracy']
  assert report['accuracy_stderr'] == pytest.approx(
      math.sqrt(p * (1.0 - p) / 359))

  exported = run(
      'export', f'--workdir={workdir}', f'--output={served}', '--nowarmup')
  assert exported['signatures'][-1] == 'classify'
  images = datasets.load('digits', 'test', data_dir=data_dir).arrays['x']
  found = tf.saved_model.load(str(served)).signatures['classify'](
      images=images[:5])
  model, _ = training.workdir.load_model(str(workdir))
  logits = model.classify((tf.cast(images[:5], tf.float32) + 0.5) / 17.0)
  np.testing.assert_allclose(found['logits'], logits, rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(
      found['probabilities'], tf.nn.softmax(logits), rtol=1e-4)
