"""A run as a value: which report is its own, and what it knows of its data."""

import json
import shutil
import types

import keras
import numpy as np
import pandas as pd

from tests import testing
from tf_resflow import evaluation
from tf_resflow import models
from tf_resflow import workflow
from tf_resflow.workflow import runs


def test_certificates_are_for_embedded_sets():
  """And for user vectors."""
  for certify, dataset, is_image, expected in (
      (None, 'digits', True, True), (None, 'cifar10', True, False),
      (False, 'digits', True, False), (True, 'cifar10', True, True),
      (None, 'images:a', True, False), (None, 'table:a.csv', False, True)):
    config = types.SimpleNamespace(
        data=types.SimpleNamespace(dataset=dataset),
        model=types.SimpleNamespace(is_image=is_image))
    run = workflow.Run(config=config, workdir='', step=0)
    assert run.should_certify(certify) is expected, dataset


def test_only_the_report_of_its_weights_is_taken(table_workdir, tmp_path):
  workdir = shutil.copytree(table_workdir, tmp_path / 'run')
  path = workdir / 'report.json'
  stored = {'report': {'step': 0, 'nats': 2.5}, 'summary': 'good',
            'warnings': ['few rows'], 'facts': {'num_test': 20}, 'table': 'x'}
  for text, is_own in (
      (json.dumps(stored), True), (json.dumps(stored)[:-9], False),
      ('[]', False), (json.dumps({'summary': 'good'}), False),
      (json.dumps(stored | {'report': {'step': 7}}), False)):
    path.write_text(text)
    run = workflow.load(workdir).run
    assert (run.summary, run.report) == (
        ('good', {'step': 0, 'nats': 2.5}) if is_own else ('', {})), text
  path.write_text(json.dumps(stored))
  assert workflow.load(workdir, averaged=False).run.summary == ''
  run = workflow.load(str(workdir)).run
  assert (run.warnings, run.facts, run.step, run.workdir) == (
      ('few rows',), {'num_test': 20}, 0, str(workdir))
  assert run.config.data.condition_on == ('c', 'a')


def test_a_flow_says_what_it_is_and_is_saved_with_its_run(tmp_path):
  """In notebooks escaped."""
  rng = np.random.default_rng(0)
  frame = pd.DataFrame({'<b>y': rng.normal(size=60),
                        'z': rng.normal(size=60), 'c': ['a', 'b'] * 30})
  flow = workflow.fit(
      frame, condition_on='c', num_steps=2, num_blocks=1, hidden_units=(4,),
      refit=False,
      verbose=False)
  text, html = repr(flow), flow._repr_html_()
  assert f'VectorFlow: <b>y, z given c; {flow.num_parameters:,} par' in text
  assert 'trained on: table: 38 examples, 10 to validate, 12 to test\n' in text
  assert f'reached: {flow.run.summary}' in text
  assert '&lt;b&gt;y' in html and '<b>' not in html
  flow.save(tmp_path / 'flow.keras')
  flow.save(tmp_path / 'run')
  loaded = workflow.load(tmp_path / 'run')
  assert repr(loaded).splitlines()[:-1] == text.splitlines()[:-1]
  plain = keras.saving.load_model(tmp_path / 'flow.keras')
  assert plain._repr_html_().startswith('<pre>VectorFlow(')
  for other in loaded, plain:
    np.testing.assert_array_equal(
        other.score_samples(frame), flow.score_samples(frame))
  testing.check_refusals(
      flow.save, [(tmp_path / 'run', f'filepath={tmp_path}/run: expected a ')])


def test_a_flow_without_a_run_has_no_parts():
  flow = models.VectorFlowConfig(event_size=2, num_blocks=1).build()
  for estimator, expected in (('training', 'training'), (None, 'exact')):
    assert runs.header(flow, evaluation.EvaluationSettings.of(
        flow, estimator=estimator)) == {
            'num_devices': 1, 'estimator': expected, 'dtype': 'float32'}
  testing.check_refusals(lambda call: call(flow), [
      (workflow.evaluate, 'flow=vector_flow has no run, of which a part is'),
      (lambda flow: workflow.detect(flow, 'digits'), 'flow=vector_flow has no '
       'run, of which images are compared')])


def test_parts(table_workdir):
  run = workflow.load(table_workdir).run
  assert run.open('train', num_examples=64).num_examples == 64
  testing.check_refusals(lambda count: run.open('test', num_samples=count), [
      (21, 'num_samples=21: expected at most 20. That many examples are in the '
       'test split')])
