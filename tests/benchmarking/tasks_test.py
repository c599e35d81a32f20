"""Measurements of a tiny flow: what they report, not how long it took."""

import itertools
import os

import numpy as np
import pytest
import tensorflow as tf

from tests import replicas
from tests import splits
from tf_resflow import configuration
from tf_resflow import models
from tf_resflow import numerics
from tf_resflow.benchmarking import tasks
from tf_resflow.specs import machine
from tf_resflow.training import learner as learner_lib
from tf_resflow.training import strategies

_IMAGES = configuration.make_config(
    dataset='digits', num_blocks=(1,), hidden_channels=4, num_dense_blocks=0,
    batch_size=4)
_RUN = configuration.make_config(
    dataset='2d/moons', num_blocks=1, hidden_units=(4,), batch_size=8)
_PLANE = _RUN.replace(batch_size=4, estimator='fixed:4')


def _settings(config=_PLANE, **changes):
  return tasks.Settings(config, **{'num_repeats': 3, **changes})


def test_training(set_seconds, monkeypatch):
  """Two steps warm up after the first; the median of the others counts."""
  taken = set_seconds([10.0, 50.0, 50.0, 3.0, 1.0, 8.0])
  monkeypatch.setattr(tasks, 'matmul_rate', lambda: 2e3)
  values = tasks.measure_training(
      _settings(_PLANE.replace(accumulation_steps=3)), -5.0)
  assert taken == [(step, 12) for step in range(6)]
  assert values['first_step_s'] == 15.0
  assert values['first_metrics'] == {'gradient_norm': 2.5}
  assert (values['train_step_s'], values['train_step_mean_s']) == (3.0, 4.0)
  assert values['num_steps_measured'] == 3
  assert values['images_per_second'] == 4.0
  assert 0.1 < values['peak_memory_gb'] < 100.0
  assert values['matmul_gflops'] == 2e-6
  # Of 2 (2 * 4 + 4 * 2) operations, each 4 + 7 times.
  assert values['ceiling_fraction'] == pytest.approx(12 * 11 * 32 / 2e3 / 3.0)


def test_what_is_not_reported(set_seconds):
  """Without repeats no times; with random numbers of terms no ceiling."""
  set_seconds([10.0])
  values = tasks.measure_training(_settings(num_repeats=0), 0.0)
  assert set(values) == {
      'num_parameters', 'first_step_s', 'first_metrics', 'peak_memory_gb'}
  set_seconds([1.0] * 6)
  values = tasks.measure_training(
      _settings(_PLANE.replace(estimator='roulette:poisson:2,exact=2')), 0.0)
  assert values['train_step_s'] == 1.0 and 'ceiling_fraction' not in values


def test_evaluation(monkeypatch):
  """The deviation is that of the repeats, after two that warm up."""
  for estimator in (None, numerics.Estimator.get('roulette:safe,exact=2')):
    settings = _settings(_PLANE.replace(seed=7), estimator=estimator)
    made = settings.make_model()
    with monkeypatch.context() as context:
      context.setattr(tasks.Settings, 'make_model', lambda _, made=made: made)
      values = tasks.measure_evaluation(settings)
    assert values['evaluate_s'] > 0.0
    model, x, _ = made
    log_dets = [model.forward_and_log_det(
        x, seed=tf.constant([7, 2 + i]),
        estimator=estimator or model.evaluation_estimator(
            dequantizes=True))[1]
                for i in range(3)]
    deviation = np.sqrt(np.mean(np.var(log_dets, axis=0, ddof=1)))
    assert values['evaluate_std_nats'] == pytest.approx(
        deviation, rel=1e-4, abs=1e-6)
  assert deviation > 1e-4


def test_sampling_stops_at_the_tolerance():
  num_steps = []
  for tolerance in (1e-3, 1e-5):
    values = tasks.measure_sampling(_settings(tolerance=tolerance))
    assert values['sample_s'] > 0.0
    assert tolerance / 1e4 < values['sample_residual_max'] <= tolerance
    assert values['sample_num_not_converged'] == 0
    num_steps.append(values['sample_num_steps_mean'])
  assert 1.0 <= num_steps[0] < num_steps[1]


def test_a_flow_that_solves_nothing():
  settings = _settings(_RUN.replace(
      block='coupling', num_blocks=2, activation='relu'))
  # Nor are the operations known where every step solves.
  for config in (settings.config, _PLANE.replace(block='monotone')):
    trained = tasks.measure_training(_settings(config), 0.0)
    assert trained['train_step_s'] > 0.0 and 'matmul_gflops' not in trained
  measured = tasks.measure_evaluation(settings)
  assert measured['evaluate_std_nats'] == 0.0
  sampling = tasks.measure_sampling(settings)
  assert sampling['sample_s'] > 0.0
  assert (sampling['sample_residual_max'], sampling['sample_num_steps_mean'],
          sampling['sample_num_not_converged']) == (0.0, 0.0, 0)


def test_replicas_share_a_batch(monkeypatch):
  """Two of them see what one sees, and initialise and step as one does."""
  norms = []
  for strategy in (tf.distribute.get_strategy(), replicas.two_replicas()):
    monkeypatch.setattr(
        strategies, 'make_strategy', lambda _, strategy=strategy: strategy)
    settings = _settings()
    learner = learner_lib.Learner(settings.config)
    batch = settings.first_batch(learner)
    metrics = learner.run_step(batch, tf.constant(0, tf.int64))
    norms.append(metrics['gradient_norm'].numpy())
  np.testing.assert_allclose(norms[1], norms[0], rtol=1e-3)


def test_conditions_of_a_batch(tmp_path):
  """None, labels in turn, or zeros."""
  splits.write_table(
      tmp_path / 'own.csv', 'abcd', np.random.default_rng(0).random([10, 4]))
  for config, expected in (
      (_PLANE, None),
      (_IMAGES.replace(condition_on=('label',)), np.arange(12) % 10),
      (configuration.make_config(
          dataset=f'table:{tmp_path}/own.csv', condition_on=('a', 'c'),
          num_blocks=1, hidden_units=(4,)), np.zeros([12, 2]))):
    settings = _settings(config)
    condition = settings.condition(config.model.build(), 12)
    np.testing.assert_array_equal(condition, expected)


@pytest.mark.slow
def test_conditional_flows():
  """Trained, evaluated and sampled with a label each."""
  settings = _settings(
      _IMAGES.replace(condition_on=('label',), estimator='fixed:2'),
      estimator=numerics.FixedTruncation(2))
  trained = tasks.measure_training(settings, 0.0)
  assert trained['train_step_s'] > 0.0
  assert np.all(np.isfinite(list(trained['first_metrics'].values())))
  measured = tasks.measure_evaluation(settings)
  assert 0.0 < measured['evaluate_std_nats'] < 10.0
  sampling = tasks.measure_sampling(settings)
  assert sampling['sample_num_not_converged'] == 0
  assert sampling['sample_num_steps_mean'] >= 1.0


def test_too_few_images():
  with pytest.raises(ValueError, match='batch_size=4: expected at most 2'):
    tasks.measure_evaluation(_settings(_IMAGES, images=np.zeros([2, 8, 8, 1])))


def test_speed_of_products_is_within_reason():
  assert 1e7 < tasks.matmul_rate(size=128, num_repeats=3) < 1e16


def test_memory(monkeypatch):
  for limit, expected in ((8 * 10**9, 8.0), (None, None)):
    monkeypatch.setattr(machine, 'memory_bytes', lambda limit=limit: limit)
    assert tasks.memory_gb() == expected


def _make_model(**changes):
  return models.ResidualFlowConfig(**{
      'image_shape': (8, 8, 2), 'num_levels': 17, 'num_blocks': (1, 1),
      'hidden_channels': 5, 'num_dense_blocks': 1, 'dense_hidden_units': 7,
      **changes}).build()


def test_work_of_a_step_against_a_count_by_hand():
  """1 + n forward; g, J^T w and the two gradients of each backward: n + 7."""
  pixels = 8 * 8 * (9 * 2 * 5 + 5 * 5 + 9 * 5 * 2)
  squeezed = 4 * 4 * (9 * 8 * 5 + 5 * 5 + 9 * 5 * 8)
  dense = 128 * 7 + 7 * 7 + 7 * 128
  work = tasks.step_work(_make_model(), batch_size=3, num_terms=4)
  passes = (1 + 4) + 2 + 2 * 2
  assert work.operations == 3 * passes * 2 * (pixels + squeezed + dense)
  assert work.hidden_entries == 3 * passes * (
      2 * 8 * 8 * 5 + 2 * 4 * 4 * 5 + 2 * 7)
  # Blocks behind a split have fewer channels.
  work = tasks.step_work(
      _make_model(factor_out=True, num_dense_blocks=0), batch_size=1,
      num_terms=0)
  halved = 4 * 4 * (9 * 4 * 5 + 5 * 5 + 9 * 5 * 4)
  assert work.operations == 7 * 2 * (pixels + halved)


def test_numbers_of_terms_that_are_fixed():
  """The operations of a classifier are not counted, nor those without norms.
  """
  for values, expected in (
      ({'estimator': 'fixed:6'}, 6),
      ({'estimator': 'fixed:6', 'network': 'densenet'}, 6),
      ({'estimator': 'fixed:6', 'network': 'sll'}, None),
      ({'estimator': 'fixed:6', 'hybrid': True}, None), ({}, None)):
    config = configuration.make_config(num_blocks=(1,), **values)
    assert tasks.fixed_num_terms(config) == expected, values


def test_steps_are_measured_until_they_are_enough(set_seconds):
  """For ten seconds in all, but none begins after a minute."""
  for start, num_steps in ((0.0, 3), (-55.0, 1)):
    taken = set_seconds([3.0, *itertools.repeat(4.0, 9)])
    values = tasks.measure_run(tasks.Settings(_RUN), start)
    assert taken == [(step, 8) for step in range(num_steps + 1)]
    assert values['first_step_s'] == 3.0 - start
    assert values['train_step_mean_s'] == 4.0
    assert values['num_steps_measured'] == num_steps
  assert values['num_parameters'] == 2 * (2 + 2) + (2 * 4 + 4 + 4 * 2 + 2) + 1
  assert 0.1 < values['peak_memory_gb'] < values['memory_gb']


def test_the_size_of_a_checkpoint(set_seconds, tmp_path):
  set_seconds(itertools.repeat(99.0))
  config = configuration.make_config(
      dataset='digits', num_blocks=(1,), hidden_channels=128,
      num_dense_blocks=0, batch_size=1)
  values = tasks.measure_run(tasks.Settings(config), 0.0)
  path = tf.train.Checkpoint(**learner_lib.Learner(config).state).write(
      str(tmp_path / 'checkpoint'))
  assert values['checkpoint_mb'] == pytest.approx(
      os.path.getsize(f'{path}.data-00000-of-00001') / 1e6, rel=0.1)
