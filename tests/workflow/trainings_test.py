"""Which weights the trainings of a run end with."""

import shutil
from unittest import mock

import numpy as np
import pandas as pd
import pytest

from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow import training
from tf_resflow import workflow
from tf_resflow.columns import column_fits

_SHORT = {'num_steps': 2, 'num_blocks': 1, 'hidden_units': (8,),
          'base': 'normal', 'refit': False, 'sample_every': 0}


def _frame(num_rows=60):
  rng = np.random.default_rng(0)
  return pd.DataFrame({'height': rng.normal(170, 10, num_rows),
                       'weight': rng.normal(70, 8, num_rows)})


def test_the_weights_are_those_that_tools_load(tmp_path):
  """Also if a run keeps no best ones from some step on."""
  settings = _SHORT | {'num_steps': 4, 'evaluate_every': 1, 'patience': 0,
                       'schedule': 'constant', 'input_noise': 0.0}
  frame = _frame()
  workflow.fit(frame, tmp_path / 'run', **settings)
  flow = workflow.fit(frame, tmp_path / 'run', **settings | {
      'num_steps': 5, 'keep_best': False, 'evaluate_every': 0})
  loaded = workflow.load(tmp_path / 'run').run
  assert loaded.step == flow.run.step and loaded.report == flow.run.report


@pytest.mark.slow
@pytest.mark.parametrize('base', ['normal', 'mixture'])
def test_a_refit_is_a_run_of_all_rows_but_those_of_the_test(tmp_path, base):
  """Of the steps that validation has chosen; also where it was killed."""
  frame, workdir = _frame(90), tmp_path / 'run'
  settings = _SHORT | {
      'num_steps': 6, 'evaluate_every': 2, 'schedule': 'cosine', 'base': base}
  best = workflow.fit(frame, workdir, **settings)
  assert workflow.fit(frame, workdir, **settings).run.report == best.run.report
  settings['refit'] = True
  flow = workflow.fit(frame, workdir, **settings)
  steps = best.run.step
  assert (flow.run.is_refit, flow.run.step) == (True, steps)
  assert (steps == 0) == ('Step 0 is kept' in flow.run.summary)
  with pytest.raises(errors.InvalidValueError, match='--checkpoint=best'):
    workflow.evaluate(flow, 'validation')
  counts = [flow.run.facts[f'num_{part}'] for part in (
      'train', 'validation', 'test')]
  assert counts == [72, 0, 18]
  assert workflow.score(flow, frame).frame()['in_training'].sum() == 72
  # As the same run that knows types and moments of columns.
  schema, original = flow.schema, column_fits.fit
  with mock.patch.object(column_fits, 'fit', lambda *args, **kwargs: (
      schema, original(*args, **kwargs)[1])):
    other = workflow.fit(frame, **settings | {
        'num_validation': 0, 'num_steps': max(steps, 1), 'decay_steps': 6,
        'evaluate_every': 0, 'refit': False,
        **({} if steps else {'learning_rate': 1e-12}),
        'input_noise': flow.run.config.optimizer.input_noise})
  (folder,) = workdir.glob('refit-*')
  shutil.rmtree(folder)
  again = workflow.fit(frame, workdir, **settings)
  expected = flow.score_samples(frame)
  for each in other, again, workflow.load(workdir):
    np.testing.assert_allclose(each.score_samples(frame), expected, atol=1e-5)
  assert abs(best.score_samples(frame) - expected).max() > 1e-3
  loaded = workflow.load(workdir)
  assert loaded.run.report == flow.run.report != best.run.report
  # Its configuration is that of the run, with which it is found, or repeated.
  config = loaded.run.config.replace(dataset=datasets.table(frame))
  found = workflow.fit(config, workdir)
  repeated = workflow.fit(config)
  assert repeated.run.is_refit and found.run.report == repeated.run.report
  # A damaged one is not replaced by an earlier one in silence, but made again.
  (data,) = (folder / 'checkpoints').glob(f'ckpt-{steps}.data*')
  data.write_bytes(data.read_bytes()[:-40] + bytes(40))
  with pytest.raises(errors.InvalidValueError, match='damaged'):
    workflow.load(workdir)
  np.testing.assert_allclose(workflow.fit(
      frame, workdir, **settings).score_samples(frame), expected, atol=1e-5)
  # The flow of the best step is still there.
  former = workflow.load(workdir, checkpoint='best')
  assert not former.run.is_refit and not former.run.report
  with pytest.raises(errors.InvalidValueError, match='requires a test part'):
    workflow.fit(frame, test_rows='none', **settings)


@pytest.mark.slow
def test_flows_with_weights_of_others_are_not_refitted(tmp_path):
  """Nor does a refit prevent that an endless schedule goes on."""
  frame, settings = _frame(), _SHORT | {
      'refit': True, 'schedule': 'constant', 'input_noise': 0.0,
      'learning_rate': 30.0}  # Step 0 is the best.
  for num_steps in 2, 3:
    flow = workflow.fit(
        frame, tmp_path / 'run', **settings | {'num_steps': num_steps})
    assert (flow.run.is_refit, flow.run.step) == (True, 0)
  config = workflow.load(tmp_path / 'run', checkpoint='best').run.config
  training.workdir.create_workdir(
      str(tmp_path / 'tuned'), config.replace(dataset=datasets.table(frame)),
      flow)
  tuned = workflow.fit(frame, tmp_path / 'tuned', **settings)
  assert not tuned.run.is_refit and not tuned.run.config.run.refit


def test_a_schedule_may_be_longer_than_a_run(tmp_path):
  """Rates and noise are those of the longer run, whose first steps it takes."""
  rows = np.random.default_rng(0).normal(size=[50, 2])
  settings = _SHORT | {
      'schedule': 'cosine', 'warmup_steps': 1, 'input_noise': 0.5,
      'num_validation': 0, 'checkpoint_every': 2, 'evaluate_at_end': False}
  workflow.fit(rows, tmp_path / 'long', **settings | {'num_steps': 4})
  for path in (tmp_path / 'long' / 'checkpoints').glob('ckpt-4*'):
    path.unlink()
  long = workflow.load(tmp_path / 'long', averaged=False)
  flow = workflow.fit(
      rows, tmp_path / 'short', **settings, decay_steps=4)
  short = workflow.load(tmp_path / 'short', averaged=False)
  assert long.run.step == flow.run.step == 2
  for found, expected in zip(
      short.get_weights(), long.get_weights(), strict=True):
    np.testing.assert_array_equal(found, expected)
  with pytest.raises(errors.InvalidValueError, match='^decay_steps=1: expected '
                     '0, or at least num_steps=2'):
    workflow.fit(rows, **settings, decay_steps=1)
