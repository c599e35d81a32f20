"""Data become a flow with a run, which is as `tf_resflow train` makes it."""

import dataclasses
import gc
import logging
import os
import re
import shutil
import signal
import threading
from unittest import mock

import numpy as np
import pandas as pd
import pytest

from tests import splits
from tests import testing
from tests.commands import results
from tf_resflow import configuration
from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow import evaluation
from tf_resflow import training
from tf_resflow import workflow
from tf_resflow.columns import column_fits
from tf_resflow.specs import reading
from tf_resflow.training import metrics
from tf_resflow.workflow import fitting

_SHORT = {'num_steps': 2, 'num_blocks': 1, 'hidden_units': (8,),
          'base': 'normal', 'refit': False, 'sample_every': 0}


def _frame(num_rows=60):
  rng = np.random.default_rng(0)
  return pd.DataFrame({
      'height': rng.normal(170, 10, num_rows), 'day': range(num_rows),
      'city': rng.choice(['Oslo', 'Rome'], num_rows),
      'weight': rng.normal(70, 8, num_rows)})


def test_a_frame_becomes_a_flow_and_scores(tmp_path):
  """Given text, too; with the report and the warnings of its end."""
  frame, workdir = _frame(), tmp_path / 'run'
  flow = workflow.fit(
      frame, workdir, drop=['day'], condition_on=['city'], **_SHORT)
  run = flow.run
  assert flow.schema.names == ('height', 'weight')
  assert run.workdir == str(workdir)
  # The settings of the flagfile, but for those that are given.
  assert run.config.optimizer.learning_rate == 5e-3
  assert run.config.optimizer.num_steps == 2
  assert run.summary.startswith('test ') and ' the flow is ' in run.summary
  assert any('test rows are too few to say' in text for text in run.warnings)
  assert run.facts['num_test'] == 12 == run.report['num_examples']
  assert run.facts['columns'] == ['height', 'weight']
  assert {'nats', 'nats_minus_gaussian', 'lipschitz_bound_max'} <= {*run.report}
  assert 'certified by' in run.table
  assert len(run.curves['validation_nats']) == 2
  np.testing.assert_array_equal(
      flow.score_samples(frame), flow.log_prob(frame))
  scores = workflow.score(flow, frame).frame()
  assert list(scores) == [*frame, 'log_prob', 'in_training', 'p_value']
  np.testing.assert_allclose(
      scores['log_prob'].astype(float), flow.log_prob(frame), rtol=1e-4)
  loaded = workflow.load(workdir).run
  assert (loaded.report, loaded.summary, loaded.warnings, loaded.facts) == (
      run.report, run.summary, run.warnings, run.facts)


def test_a_run_that_has_gained_nothing_says_so(caplog):
  caplog.set_level(logging.INFO, 'tf_resflow')
  flow = workflow.fit(
      np.random.default_rng(0).normal(size=[60, 2]), **_SHORT | {
          'base': 'mixture'}, learning_rate=30.0, verbose=False)
  assert flow.run.step == 0 and flow.run.summary.endswith(
      'Step 0 is kept, as training has gained nothing: this is the mixture '
      'itself.')
  assert 'Training has gained nothing: what it began with' in caplog.text


@pytest.mark.slow
def test_a_run_goes_on_with_what_was_fitted_when_it_began(
    tmp_path, monkeypatch):
  """Its flow says so, finished or evaluated anew, where others are fitted."""
  frame, workdir = _frame()[['height', 'weight']], tmp_path / 'run'
  first = workflow.fit(frame, workdir, **_SHORT)
  original = column_fits.fit

  def fit(*args, **kwargs):
    schema, smoothing = original(*args, **kwargs)
    columns = [dataclasses.replace(c, mean=(3.5,)) for c in schema.columns]
    return dataclasses.replace(schema, columns=columns), smoothing

  monkeypatch.setattr(column_fits, 'fit', fit)
  for name in ('', 'report.json'):
    if name:
      (workdir / name).unlink()
    flow = workflow.fit(frame, workdir, **_SHORT)
    assert flow.run.config.model == flow.config == first.config
  other = workflow.fit(frame, **_SHORT)
  assert other.config.schema.columns[0].mean == (3.5,)
  # But not with other rows, columns or types, which are no settings.
  for data, options, message in (
      (frame + 1.0, {}, 'dataset=table has changed since the run began'),
      (frame, {'drop': ['weight']}, 'dataset=table has changed since'),
      (frame, {'column_types': ['height:log']}, f'workdir={workdir}: expected a'
       ' run of this configuration. In that run column_types was height:')):
    with pytest.raises(errors.InvalidValueError, match=re.escape(message)):
      workflow.fit(data, workdir, **_SHORT, **options)
  same = workflow.fit(frame, workdir, **_SHORT, column_types=[
      f'height:{first.schema.columns[0].type}'])
  assert same.config == first.config


@pytest.mark.slow
def test_a_run_of_other_rows_goes_on_as_by_the_command(
    run_tool, tmp_path, monkeypatch):
  """It began with other types, rows and noise than are chosen now."""
  frame = (_frame()[['height', 'weight']] + 3e4).round(1)
  path = tmp_path / 'x.csv'
  frame.to_csv(path, index=False)
  original, settings = column_fits.fit, _SHORT | {
      'num_steps': 4, 'checkpoint_every': 2, 'sample_every': 3,
      'keep_best': False, 'patience': 0, 'evaluate_at_end': False}

  def fit(*args, **kwargs):
    schema, smoothing = original(*args, **kwargs)
    columns = [dataclasses.replace(
        c, type='log', mean=(10.31,), std=(1e-3,)) for c in schema.columns]
    return dataclasses.replace(
        schema, columns=columns, dtype='float64'), smoothing + 0.1

  with monkeypatch.context() as patch:
    patch.setattr(column_fits, 'fit', fit)
    patch.setattr(evaluation, 'density_picture', None)
    with pytest.raises(TypeError):  # In step 3.
      workflow.fit(path, tmp_path / 'run', **settings)
  shutil.copytree(tmp_path / 'run', tmp_path / 'other')
  flow = workflow.fit(path, tmp_path / 'run', **settings)
  done = run_tool('train', f'--flagfile={tmp_path}/other/run.flags',
                  f'--workdir={tmp_path}/other', '--noevaluate_at_end')
  assert done.status == 0, done.stderr
  other = workflow.load(tmp_path / 'other')
  assert flow.schema.types == ('log', 'log') and flow.schema.dtype == 'float64'
  for found, expected in zip(
      flow.get_weights(), other.get_weights(), strict=True):
    np.testing.assert_array_equal(found, expected)
  assert flow.run.step == other.run.step == 4
  assert workflow.score(flow, frame).frame()['in_training'].sum() == (
      flow.run.facts['num_train'])


@pytest.mark.slow
def test_it_is_the_run_of_the_command_and_prints_it(
    run_tool, tmp_path, capsys):
  """Losses of ten steps, and the figure of the test part; by the seed."""
  frame, path = _frame()[['height', 'weight']].round(3), tmp_path / 'x.csv'
  frame.to_csv(path, index=False)
  settings = _SHORT | {'num_steps': 10, 'log_every': 1, 'seed': 3}
  done = run_tool(
      'train', '--flagfile=table', f'--dataset=table:{path}',
      f'--workdir={tmp_path}/run', '--num_steps=10', '--num_blocks=1',
      '--hidden_units=8', '--log_every=1', '--seed=3', '--base=normal',
      '--norefit')
  expected = results.report(done)
  logging.getLogger('tf_resflow').setLevel(logging.WARNING)  # As in a script.
  flow = workflow.fit(frame, **settings)
  for name, values in workflow.load(tmp_path / 'run').run.curves.items():
    if name != 'examples_per_second':
      np.testing.assert_allclose(
          flow.run.curves[name], values, atol=1e-4, err_msg=name)
  assert flow.run.report['nats'] == pytest.approx(expected['nats'], abs=1e-4)
  printed = capsys.readouterr().out
  for text in ('training examples; flow with', '10/10 - noisy_nats: ',
               'Evaluating the weights of step ', flow.run.table,
               flow.run.summary, 'warning: 12 test rows are too few'):
    assert text in printed
  workflow.fit(frame, verbose=False, **settings)
  assert not capsys.readouterr().out


def test_without_a_test_part_the_figure_is_that_of_validation():
  """And is called so; it is compared with nothing."""
  frame = _frame()[['height', 'weight']]
  settings = _SHORT | {'test_rows': 'none', 'verbose': False}
  flow = workflow.fit(frame, **settings)
  nats = workflow.evaluate(flow).numbers['nats']
  assert flow.run.report['nats'] == pytest.approx(nats, abs=1e-5)
  assert flow.run.summary.startswith(
      f'validation, chosen on these rows: {nats:.3f} +- ')
  assert (flow.run.report['split'], flow.run.facts['num_train'],
          flow.run.facts['num_test']) == ('validation', 48, 0)
  scores = workflow.score(flow, frame)
  assert scores.frame()['in_training'].sum() == 48
  assert any('no p_value: the test part' in note for note in scores.notes)
  testing.check_refusals(lambda call: call(), [
      (lambda: workflow.evaluate(flow, 'test'),
       'split=test is empty. All rows train '),
      (lambda: workflow.fit(frame, num_validation=0, **settings),
       'num_validation=0: expected some. There is no other part to')])


@pytest.mark.slow
def test_an_interrupt_returns_the_best_flow_so_far(tmp_path, monkeypatch):
  """In training and in the evaluation; other signals end the program."""
  frame, save = _frame()[['height', 'weight']], training.Trainer.save
  settings = _SHORT | {'num_steps': 4, 'evaluate_every': 1, 'patience': 0}
  number = signal.SIGINT

  def signalled_save(trainer):
    save(trainer)
    if trainer.step == 2:
      os.kill(os.getpid(), number)

  workdir, settings['checkpoint_every'] = tmp_path / 'run', 1
  with monkeypatch.context() as patch:
    patch.setattr(training.Trainer, 'save', signalled_save)
    flow = workflow.fit(frame, workdir, **settings)
    number = signal.SIGTERM
    with pytest.raises(training.TrainingInterruptedError, match='SIGTERM'):
      workflow.fit(frame, **settings)
  assert not flow.run.report and flow.run.summary.startswith(
      f'Interrupted: this is the flow of step {flow.run.step} of 4, the best ')
  assert flow.run.step == workflow.load(workdir).run.step <= 2
  assert len(flow.run.curves['step']) < 4
  assert workflow.evaluate(flow).numbers['num_examples'] == 12
  with monkeypatch.context() as patch:
    patch.setattr(fitting.evaluating, 'evaluate', mock.Mock(
        side_effect=KeyboardInterrupt))
    flow = workflow.fit(frame, workdir, **settings)
  assert flow.run.summary.startswith('Interrupted: ')
  assert workflow.fit(frame, workdir, **settings).run.report


@pytest.mark.parametrize('rows, seconds', [
    ([], 0.0),
    # Of the first process, then of one that began at 6; 8 was validated alone.
    ([(4, {'examples_per_second': 16.0}), (8, {'nats': 1.0}),
      (9, {'examples_per_second': 80.0})], 2.0 + 0.5)])
def test_mixtures_have_the_time_of_all_processes(tmp_path, rows, seconds):
  with metrics.MetricsWriter(tmp_path) as writer:
    for row in rows:
      writer.write(*row)
  config = configuration.make_config(dataset='2d/moons', batch_size=8)

  def found():
    return fitting._training_seconds(workflow.Run(
        config=config, workdir=str(tmp_path), step=9))

  assert found() == seconds
  with (tmp_path / training.metrics.CSV).open('a') as file:
    file.write('rubbish\n10,1,2\n')
  assert found() == 0.0


def test_it_works_off_the_main_thread():
  """Which alone may handle signals."""
  flows = []
  thread = threading.Thread(target=lambda: flows.append(workflow.fit(
      _frame()[['height', 'weight']], evaluate_at_end=False, **_SHORT)))
  thread.start()
  thread.join()
  assert flows[0].run.curves['step'][-1] == 2


def test_a_folder_of_another_model_is_refused(tmp_path):
  """Also one whose run has no weights yet."""
  config = configuration.make_config(dataset='2d/moons')
  training.workdir.write_settings(str(tmp_path), config)
  assert splits.refusal(
      workflow.fit, 'digits', tmp_path, num_steps=2).startswith(
          f'workdir={tmp_path}: expected a run of this configuration. In that '
          'run --model was vector and is image, --dataset was 2d/moons and is')


def test_a_temporary_folder_is_kept_as_long_as_the_flow():
  flow = workflow.fit(
      _frame()[['height', 'weight']], evaluate_at_end=False, **_SHORT)
  workdir = flow.run.workdir
  assert os.path.exists(f'{workdir}/run.flags') and not flow.run.report
  assert workflow.evaluate(flow, 'validation').report()['split'] == 'validation'
  del flow
  gc.collect()
  assert not os.path.exists(workdir)


@pytest.mark.reliability(promise='memory-growth')
def test_data_are_opened_and_graphs_traced_once(tmp_path, monkeypatch):
  """Of each TensorFlow keeps memory, which would grow in a long run."""
  opened, traced = [], []
  open_part, trace = datasets.DrawnInfo.open, evaluation.plots.traced_log_prob
  monkeypatch.setattr(datasets.DrawnInfo, 'open', lambda info, name, *rest: (
      opened.append(name), open_part(info, name, *rest))[1])
  monkeypatch.setattr(evaluation.plots, 'traced_log_prob', lambda model: (
      traced.append(model), trace(model))[1])
  workflow.fit(
      '2d/moons', tmp_path / 'run', num_validation=20, evaluate_every=1,
      evaluate_at_end=False, warmup_steps=0,
      **_SHORT | {'num_steps': 2, 'sample_every': 1})
  assert len(list((tmp_path / 'run' / 'samples').iterdir())) == 2
  assert sorted(opened) == ['train', 'validation']
  assert len(traced) == 1


def test_an_array_is_opened_once(tmp_path, monkeypatch):
  """By a run whose defaults depend on what it holds; of each part, too."""
  path, opened = tmp_path / 'own.npz', []
  np.savez(path, x=np.random.default_rng(0).normal(size=[40, 3]))
  read, open_part = reading.read_arrays, datasets.VectorInfo.open
  monkeypatch.setattr(reading, 'read_arrays', lambda path: (
      opened.append(path), read(path))[1])
  monkeypatch.setattr(datasets.VectorInfo, 'open', lambda info, name, *rest: (
      opened.append(name), open_part(info, name, *rest))[1])
  flow = workflow.fit(path, tmp_path / 'run', column_types=['none'], **_SHORT)
  assert sorted(opened) == [str(path), 'test', 'train', 'validation']
  assert flow.run.config.data.column_types == ('none',)
