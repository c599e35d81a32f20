"""One run of a study: its numbers are those of evaluation and its file."""

import numpy as np
import pytest

from tf_resflow import workflow
from tf_resflow.experiments import study as study_lib
from tf_resflow.experiments import trials


def _study(**settings):
  return study_lib.Study(
      title='A question', rates=(0.01, 0.02), metrics=('cross_entropy',),
      cases={'a': {}, 'b': {'activation': 'elu'}}, workloads={
          'digits': study_lib.Workload(
              flagfile='digits_hybrid', num_steps=2, settings={
                  'num_blocks': (1,), 'hidden_channels': 4,
                  'num_dense_blocks': 0, 'head_channels': 4, **settings})})


@pytest.mark.slow
def test_a_finalist_is_evaluated_on_the_test_part(tmp_path):
  study, task = _study(), study_lib.Task('final', 'digits', 'a', 0.01, 1)
  record = trials.run(study, task, {}, str(tmp_path / 'run'))
  flow = workflow.load(tmp_path / 'run')
  assert flow.run.config == study.make_config(task, {})
  report = workflow.evaluate(
      flow, certify=False, num_reconstructions=1).report()
  assert record['num_steps'] == 2
  for name in ('bits_per_dim', 'cross_entropy', 'accuracy'):
    assert record[name] == pytest.approx(report[name], rel=1e-6)
    with np.load(tmp_path / 'run' / trials.ARRAYS) as arrays:
      assert arrays[name].mean() == pytest.approx(record[name], rel=1e-6)
      assert len(arrays[name]) == report['num_examples'] == 360


@pytest.mark.slow
def test_a_run_that_diverges_has_no_figure(tmp_path):
  study = _study(clip_norm=1e30)
  task = study_lib.Task('tune', 'digits', 'a', 1e30)
  assert trials.run(study, task, {}, str(tmp_path / 'run')) == {
      'num_steps': 2, 'problem':
      'the loss or its gradient is not finite at step 2'}
