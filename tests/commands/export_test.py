"""bin/export writes the checkpoint's model, or one clear line."""

import shutil

import tensorflow as tf

from tests.commands import results
from tf_resflow import numerics
from tf_resflow import serving


def test_exports_the_latest_checkpoint(run_tool, table_workdir, tmp_path):
  """Of a table; the columns and the tensors are those of the data."""
  output = tmp_path / 'table' / '1'
  report = results.report(run_tool(
      'export', f'--workdir={table_workdir}', f'--output={output}'))
  assert (report['output'], report['step']) == (str(output), 0)
  assert report['signatures'] == ['log_prob', 'sample', 'encode', 'decode']
  assert report['columns'] == {
      'b': 'b', 'd': 'd', 'c': 'condition[:, 0]', 'a': 'condition[:, 1]'}
  assert (output / 'assets.extra' / 'tf_serving_warmup_requests').exists()
  assert {*tf.saved_model.load(str(output)).signatures} >= {
      *report['signatures']}


def test_flags_reach_the_export(
    run_tool, digits_workdir, tmp_path, monkeypatch):
  """By default the estimator is an adaptive one per image."""
  seen = []

  def export(model, path, estimator, **settings):
    seen.append((path, estimator, settings))
    return []

  monkeypatch.setattr(serving, 'export', export)
  command = ['export', f'--workdir={digits_workdir}', f'--output={tmp_path}/1']
  for flags in ([], ['--estimator=roulette:safe,exact=3', '--nowarmup'],
                ['--estimator=adaptive:0.3', '--max_samples=7']):
    report = results.report(run_tool(*command, *flags))
    assert report['estimator'] == seen[-1][1].spec()
    assert (report['event_shape'], report['num_levels']) == ([8, 8, 1], 17)
  assert seen == [
      (f'{tmp_path}/1', numerics.AdaptiveRoulette(0.02, batch_dependent=False),
       {'warmup': True, 'max_samples': 4096}),
      (f'{tmp_path}/1', numerics.Estimator.get('roulette:safe,exact=3'),
       {'warmup': False, 'max_samples': 4096}),
      (f'{tmp_path}/1', numerics.AdaptiveRoulette(0.3, batch_dependent=False),
       {'warmup': True, 'max_samples': 7})]


def test_bad_input(run_tool, digits_workdir, tmp_path):
  copy = shutil.copytree(digits_workdir, tmp_path / 'copy')
  shutil.rmtree(copy / 'checkpoints')
  old, output = tmp_path / 'old', tmp_path / 'new'
  (old / '1').mkdir(parents=True)
  before = sorted(tmp_path.rglob('*'))
  results.check_errors(run_tool, 'export', [
      ([f'--workdir={copy}'], f'--workdir={copy}: expected '),
      ([f'--output={old}'], f'--output={old}: expected a new or empty folder'),
  ], f'--workdir={digits_workdir}', f'--output={output}')
  assert sorted(tmp_path.rglob('*')) == before
