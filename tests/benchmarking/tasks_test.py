"""Measurements of a tiny flow: what they report, not how long it took."""

import dataclasses
import time

import numpy as np
import pytest

from tf_resflow import benchmarking
from tf_resflow import configuration

_CONFIG = configuration.make_config(
    dataset='digits', num_blocks=(1, 1), hidden_channels=4,
    num_dense_blocks=1, dense_hidden_units=4, batch_size=4)


def _settings(**changes):
  return benchmarking.Settings(_CONFIG, num_repeats=3, **changes)


def test_training():
  start = time.perf_counter() - 100.0
  values = benchmarking.measure_training(
      _settings(num_roulette_terms=2), start)
  assert 100.0 < values['first_step_s']
  assert 0.0 < values['train_step_s'] < values['first_step_s']
  np.testing.assert_allclose(
      values['images_per_second'], 4 / values['train_step_s'])
  assert 0.1 < values['peak_memory_gb'] < 100.0
  assert 0.0 < values['ceiling_fraction'] < 1.0


def test_the_first_step_alone():
  settings = dataclasses.replace(_settings(), num_repeats=0)
  values = benchmarking.measure_training(settings, time.perf_counter())
  assert set(values) == {'first_step_s', 'peak_memory_gb'}


def test_a_drawn_number_of_terms_has_no_ceiling():
  values = benchmarking.measure_training(_settings(), time.perf_counter())
  assert 'ceiling_fraction' not in values


@pytest.mark.parametrize('changes', [
    {}, {'log_det': 'roulette'}, {'num_roulette_terms': 2}])
def test_evaluation(changes):
  values = benchmarking.measure_evaluation(_settings(**changes))
  assert values['evaluate_s'] > 0.0
  assert 0.0 < values['evaluate_deviation_nats'] < 10.0


@pytest.mark.parametrize('tolerance', [1e-3, 1e-5])
def test_sampling_stops_at_the_tolerance(tolerance):
  values = benchmarking.measure_sampling(_settings(tolerance=tolerance))
  assert values['sample_s'] > 0.0
  assert tolerance / 1e4 < values['sample_residual_max'] <= tolerance
  assert values['sample_num_not_converged'] == 0
  assert values['sample_num_steps_mean'] >= 1.0


def test_too_few_images():
  with pytest.raises(ValueError, match='4 images are needed, but there are 2'):
    benchmarking.measure_evaluation(
        _settings(images=np.zeros([2, 8, 8, 1])))


def test_an_accumulated_step_is_a_whole_one():
  config = _CONFIG.replace(accumulation_steps=3)
  values = benchmarking.measure_training(benchmarking.Settings(
      config, num_repeats=3, num_roulette_terms=2), time.perf_counter())
  np.testing.assert_allclose(
      values['images_per_second'], 12 / values['train_step_s'])
