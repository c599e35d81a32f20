"""Runs whose flows begin as a mixture: from its fit to what is served."""

import dataclasses
import functools
import json
import shutil
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from scipy import special
from scipy import stats
import tensorflow as tf

from tests import replicas
from tests.training import runs
import tf_resflow
from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow import models
from tf_resflow import training
from tf_resflow.columns import mapping
from tf_resflow.training import strategies
from tf_resflow.training import trainer as trainer_lib
from tf_resflow.workflow import trainings

_SHORT = {'num_blocks': 2, 'hidden_units': (8,), 'batch_size': 32,
          'num_steps': 4, 'evaluate_every': 2, 'checkpoint_every': 2,
          'base': 'mixture:3', 'sample_every': 0, 'warmup_steps': 0,
          'refit': False}
_fit = functools.partial(tf_resflow.fit, evaluate_at_end=False)


def _frame(num_rows=240):
  """Two clusters of three columns of all kinds, and what they depend on."""
  rng = np.random.default_rng(0)
  cluster, dose = rng.integers(2, size=num_rows), rng.normal(size=num_rows)
  return pd.DataFrame({
      'height': 170 + 30 * cluster + 4 * dose + rng.normal(0, 3, num_rows),
      'income': np.exp(rng.normal(2 + 3 * cluster, 0.3)),
      'visits': rng.poisson(5 + 40 * cluster), 'dose': dose})


def _log_prob(flow, x):
  """The mixture of mapped, standardised columns, by SciPy."""
  weights, means, factors = (v.numpy() for v in flow.base.variables)
  _, log_det = mapping.mapped(flow.schema.types, x)
  z, log_det_z = flow.bijection.forward_and_log_det(
      tf.constant(x), estimator='exact')
  assert np.ptp(log_det_z - log_det) < 1e-6  # It is linear in mapped columns.
  return special.logsumexp([
      np.log(w) + stats.multivariate_normal(
          m, np.linalg.inv(p @ p.T)).logpdf(z)
      for w, m, p in zip(weights, means, factors, strict=True) if w
  ], axis=0) + log_det_z


@pytest.fixture(scope='module', name='workdir')
def _workdir(tmp_path_factory):
  """A run of four steps on the columns without whole numbers."""
  workdir = tmp_path_factory.mktemp('base') / 'run'
  _fit(_frame()[['height', 'income']], workdir, **_SHORT)
  return workdir


def test_step_0_is_the_mixture(workdir):
  """In float64, as stored; it is validated, so that no kept step is worse."""
  initial = shutil.copytree(workdir, workdir.with_name('initial'))
  shutil.rmtree(initial / 'best')
  for step in (2, 4):
    (initial / 'checkpoints' / f'ckpt-{step}.index').unlink()
  flow, step = training.workdir.restore_model(str(initial), dtype='float64')
  assert step == 0 and flow.base.num_components == 3
  assert np.count_nonzero(flow.base.component_weights.numpy()) > 1
  x = np.float64(_frame()[['height', 'income']])
  np.testing.assert_allclose(flow.log_prob(x), _log_prob(flow, x), rtol=1e-8)
  losses = [float(row['validation_loss']) for row in runs.rows(workdir)
            if row['validation_loss']]
  assert len(losses) == 3
  best = tf_resflow.load(workdir).run.step
  assert min(losses) == losses[best // 2]


def test_a_run_goes_on_bit_for_bit(workdir, tmp_path):
  resumed = tmp_path / 'run'
  shutil.copytree(workdir, resumed)
  (resumed / 'checkpoints' / 'ckpt-4.index').unlink()
  _fit(_frame()[['height', 'income']], resumed, **_SHORT)
  whole, other = (runs.tensors(folder / 'checkpoints' / 'ckpt-4')
                  for folder in (workdir, resumed))
  assert not runs.different(whole, other)
  assert any('means' in name for name in whole)


def test_the_distribution_of_tfp(workdir):
  flow = tf_resflow.load(workdir, dtype='float64')
  x = np.float64(_frame(20)[['height', 'income']])
  density = flow.distribution()
  # TFP divides the weights, which are float32, by their sum.
  np.testing.assert_allclose(density.log_prob(x), flow.log_prob(x), rtol=1e-7)
  drawn, log_prob = density.experimental_sample_and_log_prob(2000, seed=1)
  np.testing.assert_allclose(log_prob, flow.log_prob(drawn), rtol=1e-5)
  share = np.mean(drawn[:, 0] < 185)  # Of one of the two clusters.
  assert share == pytest.approx(np.mean(_frame()['height'] < 185), abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize('columns', [
    {'columns': ['height', 'income', 'dose'], 'condition_on': ['dose']},
    {'columns': ['visits', 'height']}], ids=['condition', 'whole numbers'])
def test_conditions_and_whole_numbers(columns, tmp_path):
  """Means follow a condition from step 0 on; probabilities add up to 1."""
  flow = _fit(_frame(), tmp_path / 'run', **_SHORT | columns | {
      'learning_rate': 1e-9})
  assert flow.run.curves['validation_loss'].max() < 11
  assert np.count_nonzero(flow.base.component_weights.numpy()) > 1
  if 'condition_on' in columns:
    heights = [flow.sample(2000, [dose], seed=0, temperature=0.0)[:, 0]
               for dose in (-1.0, 1.0)]
    # The slope is 4 a dose.
    assert np.mean(heights[1]) - np.mean(heights[0]) == pytest.approx(8, abs=3)
    axes = np.linspace(130, 250, 81), np.exp(np.linspace(0, 8, 81))
    log_weight = np.log(1.5 * 0.1) + np.log(axes[1])[:, np.newaxis]
    condition = [[0.7]]
  else:
    axes, condition = (np.arange(90), np.linspace(130, 250, 41)), None
    log_weight = np.log(3.0)
  grid = np.stack(np.meshgrid(*axes), axis=-1)
  log_prob = np.reshape(flow.log_prob(
      grid.reshape([-1, 2]), condition, estimator='exact'), grid.shape[:2])
  assert np.exp(log_prob + log_weight).sum() == pytest.approx(1.0, abs=5e-3)


@pytest.mark.slow
def test_replicas_hold_the_same_mixture(tmp_path, monkeypatch):
  """That of the chief."""
  own = []

  def gather(unused_strategy, value):
    if isinstance(value, int):
      return [value]
    own.append(value)
    return [np.array(1.0001 * value, value.dtype)]

  monkeypatch.setattr(strategies, 'gather', gather)
  config = tf_resflow.configuration.make_config(
      dataset=datasets.table(_frame()[['height', 'income']]),
      **_SHORT | {'num_steps': 2})
  trainer = trainer_lib.Trainer(
      config, str(tmp_path / 'run'), replicas.two_replicas())
  trainer.restore_or_initialize()
  variables = [v.value for v in trainer.model.base.variables]
  values = [replicas.local_values(v) for v in variables]
  for pair in values:
    np.testing.assert_array_equal(*pair)
  for before, after in zip(own, trainer.model.get_weights(), strict=True):
    np.testing.assert_allclose(
        after, np.array(1.0001 * before, before.dtype), rtol=1e-6)
  next(iter(trainer.steps()))
  for before, v in zip(values, variables, strict=True):
    for after in replicas.local_values(v):
      np.testing.assert_array_equal(after, before[0])


def test_what_no_mixture_is_the_base_of():
  with pytest.raises(errors.InvalidValueError, match=(
      'base is not a field of model=image. It belongs to model=vector')):
    tf_resflow.configuration.make_config(dataset='digits', base='mixture')
  with pytest.raises(errors.InvalidValueError, match='^base=mixed: expected one'
                     ' of normal, mixture, or auto. Did you mean mixture'):
    models.VectorFlowConfig(base='mixed')
  config = models.VectorFlowConfig(base='mixture:4')
  assert json.loads(config.to_json())['base'] == 'mixture:4'
  assert dataclasses.replace(config, base='normal').base == 'normal'


@pytest.mark.slow
def test_auto_takes_the_mixture_where_it_alone_is_better(tmp_path):
  """Two clusters, which two steps from a normal do not find."""
  frame, workdir = _frame()[['height', 'income']], tmp_path / 'run'
  settings = _SHORT | {
      'base': 'auto', 'num_steps': 2, 'schedule': 'constant',
      'input_noise': 0.0}
  flow = tf_resflow.fit(frame, workdir, **settings)
  assert flow.base.is_data_dependent and flow.run.workdir == str(workdir)
  normal, mixture = (
      np.nanmin(training.read_metrics(str(folder))['validation_nats'])
      for folder in (workdir, workdir / 'mixture_base'))
  assert mixture < normal - 0.3
  np.testing.assert_array_equal(
      flow.run.curves['validation_nats'], training.read_metrics(
          str(workdir / 'mixture_base'))['validation_nats'])
  report = json.loads((workdir / 'report.json').read_text())['report']
  for again in (tf_resflow.load(workdir), _fit(frame, workdir, **settings)):
    np.testing.assert_allclose(
        again.score_samples(frame), flow.score_samples(frame), rtol=1e-6)
    assert again.run.report == flow.run.report == report
  # Killed before the second run was done, it goes on there.
  shutil.rmtree(workdir / 'mixture_base' / 'best')
  for step in (2,):
    (workdir / 'mixture_base' / 'checkpoints' / f'ckpt-{step}.index').unlink()
  (workdir / 'report.json').unlink()
  again = tf_resflow.fit(frame, workdir, **settings)
  np.testing.assert_allclose(
      again.score_samples(frame), flow.score_samples(frame), rtol=1e-5)
  assert again.run.report['nats'] == pytest.approx(report['nats'], rel=1e-5)
  # Further steps are those of both.
  _fit(frame, workdir, **settings | {'num_steps': 4})
  for folder in (workdir, workdir / 'mixture_base'):
    assert training.read_metrics(str(folder))['step'][-1] == 4


def test_auto_keeps_a_flow_that_is_as_good(tmp_path):
  frame = _frame()[['height', 'income']]
  with mock.patch.object(
      trainings, '_validation_fn',
      lambda *unused_args: lambda model: {'validation_nats': 2.0}):
    flow = _fit(frame, tmp_path / 'run', **_SHORT | {'base': 'auto'})
  assert not flow.base.is_data_dependent
  assert not (tmp_path / 'run' / 'mixture_base').exists()
