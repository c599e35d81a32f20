"""Measurements of a tiny flow: what they report, not how long it took."""

import dataclasses
import os
import time

import numpy as np
import pytest
import tensorflow as tf

from tests import flows
from tests import replicas
from tf_resflow import benchmarking
from tf_resflow import configuration
from tf_resflow import models
from tf_resflow import numerics
from tf_resflow.benchmarking import tasks
from tf_resflow.configuration import fields
from tf_resflow.configuration import registries
from tf_resflow.training import strategies
from tf_resflow.training import trainer

_CONFIG = configuration.make_config(
    dataset='digits', num_blocks=(1, 1), hidden_channels=4,
    num_dense_blocks=1, dense_hidden_units=4, batch_size=4)
_FIXED = _CONFIG.replace(estimator='fixed:4')


def _settings(config=_CONFIG, **changes):
  return benchmarking.Settings(config, num_repeats=3, **changes)


def test_training():
  start = time.perf_counter() - 100.0
  values = benchmarking.measure_training(_settings(_FIXED), start)
  assert 100.0 < values['first_step_s']
  assert 0.0 < values['train_step_s'] < values['first_step_s']
  np.testing.assert_allclose(
      values['images_per_second'], 4 / values['train_step_s'])
  assert 0.1 < values['peak_memory_gb'] < 100.0
  assert 0.0 < values['ceiling_fraction'] < 1.0
  work = benchmarking.step_work(_FIXED.model.build(), 4, 4)
  assert values['work'] == work._asdict()


def test_the_first_step_alone():
  settings = dataclasses.replace(_settings(), num_repeats=0)
  values = benchmarking.measure_training(settings, time.perf_counter())
  assert set(values) == {
      'num_parameters', 'first_step_s', 'first_metrics', 'peak_memory_gb'}


def test_a_drawn_number_of_terms_has_no_ceiling():
  values = benchmarking.measure_training(_settings(), time.perf_counter())
  assert 'ceiling_fraction' not in values


@pytest.mark.parametrize('estimator', [
    None, numerics.Estimator.get('roulette:safe,exact=20'),
    numerics.FixedTruncation(22)])
def test_evaluation(estimator):
  values = benchmarking.measure_evaluation(_settings(estimator=estimator))
  assert values['evaluate_s'] > 0.0
  assert 0.0 < values['evaluate_deviation_nats'] < 10.0


@pytest.mark.parametrize('tolerance', [1e-3, 1e-5])
def test_sampling_stops_at_the_tolerance(tolerance):
  values = benchmarking.measure_sampling(_settings(tolerance=tolerance))
  assert values['sample_s'] > 0.0
  assert tolerance / 1e4 < values['sample_residual_max'] <= tolerance
  assert values['sample_num_not_converged'] == 0
  assert values['sample_num_steps_mean'] >= 1.0


def test_a_flow_without_blocks(monkeypatch):
  """A type of model of which nothing is known but its events."""

  @dataclasses.dataclass(frozen=True, kw_only=True)
  class PlainConfig(configuration.ModelConfig):
    image_shape: tuple[int, ...] = fields.field((8, 8, 1), is_flag=False)
    num_levels: int = fields.field(17, is_flag=False)

    def build(self, dtype='float32'):
      return flows.make_flow_without_blocks(
          self.image_shape, self.num_levels, dtype)

  monkeypatch.setattr(
      registries.MODELS, '_entries', dict(registries.MODELS._entries))
  registries.MODELS.register('plain', PlainConfig)
  settings = _settings(configuration.make_config(
      model='plain', dataset='digits', batch_size=4))
  trained = benchmarking.measure_training(settings, time.perf_counter())
  assert trained['train_step_s'] > 0.0 and 'work' not in trained
  evaluation = benchmarking.measure_evaluation(settings)
  assert evaluation['evaluate_deviation_nats'] == 0.0
  sampling = benchmarking.measure_sampling(settings)
  assert sampling['sample_s'] > 0.0
  assert (sampling['sample_residual_max'], sampling['sample_num_steps_mean'],
          sampling['sample_num_not_converged']) == (0.0, 0.0, 0)


def test_replicas_share_a_batch(monkeypatch):
  """Two of them see what one sees, and initialise and step as one does."""
  images = np.random.default_rng(0).random([4, 8, 8, 1])
  norms = []
  for strategy in (tf.distribute.get_strategy(), replicas.two_replicas()):
    monkeypatch.setattr(
        strategies, 'make_strategy', lambda _, strategy=strategy: strategy)
    settings = _settings(_FIXED.replace(num_dense_blocks=0), images=images)
    learner = trainer.Learner(settings.config)
    batch = settings.first_batch(learner)
    metrics = learner.run_step(batch, tf.constant(0, tf.int64))
    norms.append(metrics['gradient_norm'].numpy())
  np.testing.assert_allclose(norms[1], norms[0], rtol=1e-3)


@pytest.mark.parametrize('config, size, expected', [
    (_CONFIG, 3, None),
    (_CONFIG.replace(condition=('label',)), 12, np.arange(12) % 10)])
def test_conditions_of_a_batch(config, size, expected):
  condition = _settings(config).condition(config.model.build(), size)
  if expected is None:
    assert condition is None
  else:
    np.testing.assert_array_equal(condition, expected)


def test_conditional_flows():
  """Trained, evaluated and sampled with a label each."""
  settings = _settings(_FIXED.replace(
      condition=('label',), num_dense_blocks=0, num_blocks=(1,)))
  trained = benchmarking.measure_training(settings, time.perf_counter())
  assert trained['train_step_s'] > 0.0
  assert np.all(np.isfinite(list(trained['first_metrics'].values())))
  evaluation = benchmarking.measure_evaluation(settings)
  assert 0.0 < evaluation['evaluate_deviation_nats'] < 10.0
  sampling = benchmarking.measure_sampling(settings)
  assert sampling['sample_num_not_converged'] == 0
  assert sampling['sample_num_steps_mean'] >= 1.0


def test_too_few_images():
  with pytest.raises(ValueError, match='batch_size=4: expected at most 2'):
    benchmarking.measure_evaluation(
        _settings(images=np.zeros([2, 8, 8, 1])))


def test_hybrids_train_with_labels():
  values = benchmarking.measure_training(
      _settings(_FIXED.replace(hybrid=True)), time.perf_counter())
  assert values['train_step_s'] > 0.0
  # The operations of the classifier are not counted.
  assert 'ceiling_fraction' not in values


def test_an_accumulated_step_is_a_whole_one():
  values = benchmarking.measure_training(
      _settings(_FIXED.replace(accumulation_steps=3)), time.perf_counter())
  np.testing.assert_allclose(
      values['images_per_second'], 12 / values['train_step_s'])


def test_speed_of_products_is_within_reason():
  assert 1e7 < benchmarking.matmul_rate(size=128, num_repeats=3) < 1e16


@pytest.mark.parametrize('texts, expected', [
    ({}, 8.0), ({'memory.max': 'max\n'}, 8.0),
    ({'memory.max': '2000000000\n'}, 2.0),
    ({'memory/memory.limit_in_bytes': '9223372036854771712\n'}, 8.0),
    ({'memory/memory.limit_in_bytes': '2000000000\n'}, 2.0)])
def test_memory_is_that_of_the_group(monkeypatch, tmp_path, texts, expected):
  for name, text in texts.items():
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text)
  monkeypatch.setattr(tasks, '_CONTROL_GROUP', tmp_path)
  monkeypatch.setattr(os, 'sysconf', lambda name: {
      'SC_PAGE_SIZE': 4000, 'SC_PHYS_PAGES': 2 * 10**6}[name])
  assert benchmarking.memory_gb() == expected


def test_memory_may_be_unknown(monkeypatch):
  def fail(_):
    raise ValueError

  monkeypatch.setattr(os, 'sysconf', fail)
  assert benchmarking.memory_gb() is None


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
  work = benchmarking.step_work(_make_model(), batch_size=3, num_terms=4)
  passes = (1 + 4) + 2 + 2 * 2
  assert work.operations == 3 * passes * 2 * (pixels + squeezed + dense)
  assert work.hidden_entries == 3 * passes * (
      2 * 8 * 8 * 5 + 2 * 4 * 4 * 5 + 2 * 7)
  assert work.block_evaluations == 3 * passes


def test_factored_out_blocks_have_fewer_channels():
  work = benchmarking.step_work(
      _make_model(factor_out=True, num_dense_blocks=0), batch_size=1,
      num_terms=0)
  pixels = 8 * 8 * (9 * 2 * 5 + 5 * 5 + 9 * 5 * 2)
  halved = 4 * 4 * (9 * 4 * 5 + 5 * 5 + 9 * 5 * 4)
  assert work.operations == 7 * 2 * (pixels + halved)


def test_a_flow_without_blocks_has_no_work():
  work = benchmarking.step_work(
      flows.make_flow_without_blocks(), batch_size=3, num_terms=4)
  assert work == (0, 0, 0)


@pytest.mark.parametrize('values, expected', [
    ({'estimator': 'fixed:6'}, 6),
    ({'estimator': 'fixed:6', 'hybrid': True}, None),
    ({}, None), ({'estimator': 'adaptive'}, None),
    ({'estimator': 'exact'}, None)])
def test_numbers_of_terms_that_are_fixed(values, expected):
  config = configuration.make_config(num_blocks=(1,), **values)
  assert benchmarking.fixed_num_terms(config) == expected
