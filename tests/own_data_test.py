"""User-provided data: trained, evaluated, sampled, scored."""

import re
import shlex

import numpy as np
import pandas as pd
import pytest
from sklearn import datasets as sklearn_datasets
import tensorflow as tf

from tests import splits
from tests.commands import results
import tf_resflow
from tf_resflow import configuration
from tf_resflow import serving
from tf_resflow import training
from tf_resflow.datasets import user_files

_SHORT = ['--num_steps=3', '--warmup_steps=0', '--learning_rate=0.01',
          '--batch_size=32', '--sample_every=3', '--log_every=3',
          '--norefit', '--nopage']
_VECTORS = ['--num_blocks=1', '--hidden_units=8']


@pytest.fixture(scope='module', name='wine')
def _wine(tmp_path_factory):
  """The first four columns of scikit-learn's wine, as a file."""
  wine = sklearn_datasets.load_wine()
  path = tmp_path_factory.mktemp('own') / 'wine.csv'
  splits.write_table(
      path, [*wine.feature_names[:3], 'od280/od315 of diluted'],
      np.column_stack([wine.data[:, :3], wine.data[:, 11]]))
  return path


def test_a_table(run_tool, wine, tmp_path):
  workdir = tmp_path / 'run'
  names, rows = results.table(wine)
  trained = results.report(run_tool(
      'train', f'--dataset=table:{wine}', f'--workdir={workdir}', *_SHORT,
      *_VECTORS))
  assert trained['num_examples'] == 36
  assert trained['estimator_stderr'] == 0.0
  assert trained['nats_minus_gaussian_stderr'] > 0.0
  assert trained['lipschitz_bound_max'] < 1.0
  assert trained['reconstruction_error_max'] < 1e-3
  columns = training.read_metrics(workdir)
  assert 'noisy_nats' in columns and 'bits_per_dim' not in columns

  flow = tf_resflow.load(str(workdir))
  scores = tmp_path / 'scores.csv'
  results.report(run_tool(
      'score', f'--workdir={workdir}', f'--inputs={wine}',
      f'--output={scores}'))
  found_names, found = results.table(scores)
  assert found_names == [*names, 'log_prob', 'in_training', 'p_value']
  # 36 of the 178 rows are the test part, 28 more that of validation.
  assert np.sum(found[:, 5] == 0) == 36 + 28
  np.testing.assert_allclose(
      found[:, 4], flow.log_prob(rows), rtol=1e-4, atol=1e-4)

  samples = tmp_path / 'samples.csv'
  results.report(run_tool(
      'sample', f'--workdir={workdir}', f'--output={samples}',
      '--num_samples=50'))
  sampled_names, sampled = results.table(samples)
  assert sampled_names == names and sampled.shape == (50, 4)
  np.testing.assert_allclose(
      sampled, flow.sample(50, seed=0).numpy(), rtol=1e-5)
  # In the units of the data.
  distance = np.abs(sampled.mean(axis=0) - rows.mean(axis=0))
  assert np.all(distance < rows.std(axis=0))


@pytest.mark.slow
def test_a_table_of_percentages(run_tool, tmp_path, caplog):
  """Near their bounds; frames, `evaluate` and served flows have one score."""
  rng, path, workdir = np.random.default_rng(0), tmp_path / 'x.csv', tmp_path
  z = rng.normal(size=[300, 3])
  frame = pd.DataFrame({
      'p': 1 / (1 + np.exp(-3 * z[:, 0])), 'q': 100 / (1 + np.exp(-z[:, 1])),
      'r': np.exp(z[:, 0] + z[:, 2])})
  train, test = user_files.held_out(300).values()
  frame.loc[train[:4], 'p'] = 1 - np.array([1.2e-7, 1e-6, 1e-5, 1e-4])
  frame.loc[test[:3], 'p'] = [1 - 1e-9, 1e-12, 1 - 3e-7]
  frame.loc[test[3:6], 'q'] = [100 - 1e-10, 1e-10, 100 - 1e-5]
  frame.loc[test[6:8], 'r'] = [1e-40, 1e-37]
  frame.to_csv(path, index=False, float_format='%.17g')
  report = results.report(run_tool(
      'train', f'--dataset=table:{path}', f'--workdir={workdir}/run', *_SHORT,
      *_VECTORS, '--input_noise=0.5', '--num_steps=20'))
  assert report['num_without_density'] == 3
  assert 'logit:1.0: p; logit:100.0: q; log: r' in caplog.text
  assert f'between 0 and 1 in line {test[0] + 2} (0.999999999)' in caplog.text
  flow = tf_resflow.load(f'{workdir}/run')
  found = flow.log_prob(frame).numpy()
  assert {*np.flatnonzero(~np.isfinite(found))} == {*test[[0, 3, 6]]}
  assert np.all(found[test[[0, 3, 6]]] == -np.inf)
  results.report(run_tool(
      'score', f'--workdir={workdir}/run', f'--inputs={path}',
      f'--output={tmp_path}/scores.csv'))
  served = serving.VectorSignatures(flow).log_prob(
      *np.float32(frame).T)['log_prob']
  for other in (pd.read_csv(tmp_path / 'scores.csv')['log_prob'], served):
    np.testing.assert_allclose(found, other, rtol=1e-6, atol=1e-4)


@pytest.mark.slow
def test_a_table_of_grids(run_tool, tmp_path, caplog):
  """Samples are on them; a row that is not stands for its cell, and is marked.
  """
  rng, path, run = np.random.default_rng(0), tmp_path / 'x.csv', tmp_path / 'r'
  frame = pd.DataFrame({
      'mass': 25 * np.round(rng.normal(160, 15, 300)).astype(int),
      'price': np.round(rng.normal(0.0, 0.2, 300), 2)})
  frame.to_csv(path, index=False)
  trained = run_tool(
      'train', f'--dataset=table:{path}', f'--workdir={run}', *_SHORT,
      *_VECTORS, '--noevaluate_at_end')
  assert trained.status == 0, trained.stderr
  assert (': signed_integer:25: mass; signed_integer:0.01: price'
         ) in caplog.text
  results.report(run_tool(
      'sample', f'--workdir={run}', f'--output={tmp_path}/s.csv',
      '--num_samples=200'))
  lines = (tmp_path / 's.csv').read_text().splitlines()[1:]
  for line in lines:
    assert re.fullmatch(r'[0-9]+,-?[0-9]\.[0-9]{1,2}', line), line
    assert int(line.split(',')[0]) % 25 == 0
  new = pd.concat([frame[:3]] * 2, ignore_index=True)
  new.loc[3:4, 'mass'] += [10, 24]
  flow = tf_resflow.load(f'{run}')
  scored = tf_resflow.score(flow, new)
  scores = scored.frame()
  assert scores['off_grid'].tolist() == [0, 0, 0, 1, 1, 0]
  assert scored.report()['num_off_grid'] == 2
  assert ('2 of 6 rows have a value between those that its column can take, '
          'and stand for the cell that it is in, from the next lower one on: '
          'mass is not a multiple of 25 in row 3 '
          f'({new["mass"][3]}), row 4') in caplog.text
  np.testing.assert_allclose(scores['log_prob'][3:], scores['log_prob'][:3])
  served = serving.VectorSignatures(flow).log_prob(
      *np.float32(new).T)['log_prob']
  for other in served, flow.log_prob(new):
    np.testing.assert_allclose(scores['log_prob'], other, rtol=1e-5)
  assert 'off_grid' not in tf_resflow.score(flow, frame[:3]).frame()


@pytest.mark.slow
def test_a_table_with_thin_directions(run_tool, tmp_path, caplog):
  """Offsets of 1e6, noise of 0.1 and a grid: all scores are those of float64.
  """
  rng, path, run = np.random.default_rng(0), tmp_path / 'x.csv', tmp_path / 'r'
  a = 1e6 + rng.normal(0.0, 100.0, 300)
  frame = pd.DataFrame({
      'a': a, 'b': a + rng.normal(0.0, 0.1, 300),
      'c': 1e6 + rng.normal(0.0, 0.1, 300),
      'd': np.round(rng.normal(size=300), 1)})
  frame.to_csv(path, index=False)
  report = results.report(run_tool(
      'train', f'--dataset=table:{path}', f'--workdir={run}', *_SHORT,
      *_VECTORS, '--num_steps=20', '--input_noise=0.1'))
  assert 'Rows are float64: float32 would cost digits of ' in caplog.text
  flow, exact = (tf_resflow.load(f'{run}', dtype=dtype)
                 for dtype in ('float32', 'float64'))
  expected = exact.log_prob(frame).numpy()
  scores = tf_resflow.score(flow, frame).frame()
  assert scores['in_training'].sum() == 192
  served = results.report(run_tool(
      'export', f'--workdir={run}', f'--output={tmp_path}/s', '--nowarmup'))
  assert served['dtype'] == 'float64'
  served = tf.saved_model.load(f'{tmp_path}/s').signatures
  for found in (
      flow.log_prob(frame), flow.log_prob(frame.to_numpy().tolist()),
      scores['log_prob'], served['log_prob'](
          **{name: tf.constant(frame[name]) for name in frame})['log_prob']):
    np.testing.assert_allclose(found, expected, atol=1e-4)
  test = flow.run.open('test').arrays['x'].numpy()
  np.testing.assert_allclose(
      report['nats'], -exact.log_prob(test).numpy().mean(), atol=1e-4)
  assert report['reconstruction_error_max'] < 1e-3
  z = flow.draw_latents(200, seed=0)
  x = flow.inverse(z).numpy()
  np.testing.assert_allclose(
      x, exact.inverse(tf.cast(z, tf.float64)), rtol=1e-9, atol=1e-3)
  assert len(np.unique(x[:, 2])) == 200 > len(np.unique(np.float32(x[:, 2])))
  for call in flow.joint_distribution, flow.bijector:
    with pytest.raises(ValueError, match='dtype=float32: expected float64'):
      call()
  assert exact.joint_distribution().dtype == tf.float64


def test_a_table_with_all_problems(run_tool, tmp_path, caplog):
  """The message has the flags with which a run succeeds, in every format."""
  rng, num_rows = np.random.default_rng(0), 80
  frame = pd.DataFrame({
      'date': pd.date_range('2020-01-03', periods=num_rows).astype(str),
      'city of birth': rng.choice(['Oslo', 'Rome'], num_rows),
      'income': rng.lognormal(10.0, 1.0, num_rows),
      'visits': rng.poisson(40.0, num_rows), 'const': 3.0,
      'change': rng.standard_t(2.0, num_rows)})
  frame.loc[[10, 20], 'income'] = np.nan
  frame.to_csv(tmp_path / 'own.csv')
  frame.to_csv(tmp_path / 'own.csv.gz')
  frame.to_parquet(tmp_path / 'own.parquet')
  frame.to_excel(tmp_path / 'own.xlsx')
  for name in ('own.csv', 'own.parquet', 'own.csv.gz', 'own.xlsx'):
    command = ['train', f'--dataset=table:{tmp_path / name}', *_SHORT,
               *_VECTORS, f'--workdir={tmp_path}/run', '--noevaluate_at_end']
    refused = run_tool(*command)
    assert refused.status == 2
    flags = re.search('^Add (.*) to leave', refused.stderr, re.M)[1]
    assert flags == "'--drop=date,city of birth,const' --missing=drop"
  trained = run_tool(*command, *shlex.split(flags))
  assert trained.status == 0, trained.stderr
  assert tf_resflow.load(f'{tmp_path}/run').schema.names == (
      'income', 'visits', 'change')
  assert '2 of 80 rows have an empty cell' in caplog.text


def test_a_run_outlives_its_data_and_notices_other_data(
    run_tool, wine, tmp_path):
  names, rows = results.table(wine)
  path, workdir = tmp_path / 'own.csv', tmp_path / 'run'
  path.write_text(wine.read_text())
  config = configuration.make_config(
      dataset=f'table:{path}', num_blocks=1, hidden_units=(8,))
  model = config.model.build()
  model.initialize(tf.constant(rows, tf.float32))
  training.workdir.create_workdir(str(workdir), config, model)
  splits.write_table(path, names, 2.0 * rows)
  for command in (
      ['train', f'--flagfile={workdir}/run.flags', f'--workdir={workdir}'],
      ['evaluate', f'--workdir={workdir}']):
    refused = run_tool(*command)
    assert refused.status == 2
    assert 'has changed since the run began' in refused.stderr
  path.unlink()
  assert tf_resflow.load(str(workdir)).event_shape == (4,)
  results.report(run_tool(
      'sample', f'--workdir={workdir}', f'--output={tmp_path}/samples.npz'))
  new = tmp_path / 'new.csv'
  splits.write_table(new, names, rows[:5])
  results.report(run_tool(
      'score', f'--workdir={workdir}', f'--inputs={new}'))
  refused = run_tool('evaluate', f'--workdir={workdir}')
  assert refused.status == 2 and 'There is no such file' in refused.stderr
  assert refused.stderr.count('\n') == 1
