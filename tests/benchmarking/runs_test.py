"""The parts of a run are measured, each as the run has it."""

import builtins
import io
import time

import pytest

from tf_resflow import benchmarking
from tf_resflow import configuration
from tf_resflow.benchmarking import runs

_SMALL = {'num_blocks': (1,), 'batch_size': 4, 'num_validation': 3,
          'evaluate_every': 2}
_IMAGES = {'dataset': 'digits', 'hidden_channels': 4, 'num_dense_blocks': 0}


def _measure(**flags):
  return benchmarking.measure_run(
      benchmarking.Settings(
          configuration.make_config(**flags), num_repeats=1),
      time.perf_counter())


@pytest.mark.parametrize('flags, parts', [
    ({**_SMALL, **_IMAGES}, {'validation_s', 'samples_s'}),
    ({**_SMALL, **_IMAGES, 'sample_every': 0}, {'validation_s'}),
    ({**_SMALL, **_IMAGES, 'evaluate_every': 0, 'condition': ('label',),
      'condition_features': 2}, {'samples_s'}),
    ({**_SMALL, 'dataset': '2d/moons', 'num_blocks': 1, 'hidden_units': (4,)},
     {'validation_s'})])
def test_parts(flags, parts):
  values = _measure(**flags)
  assert {'validation_s', 'samples_s'} & set(values) == parts
  for name in (*parts, 'checkpoints_s', 'train_step_s', 'train_step_mean_s'):
    assert values[name] > 0.0, name
  # Weights, two moments, averages: at least 16 bytes a parameter.
  assert values['checkpoint_mb'] > 16e-6 * values['num_parameters']
  assert values['memory_gb'] > values['peak_memory_gb'] > 0.1


@pytest.mark.parametrize('text, expected', [
    ('max\n', 8.0), ('2000000000\n', 2.0), ('9223372036854771712\n', 8.0)])
def test_memory_is_that_of_the_group(monkeypatch, text, expected):
  monkeypatch.setattr(
      builtins, 'open', lambda path, **_: io.StringIO(text))
  monkeypatch.setattr(runs.os, 'sysconf', lambda name: {
      'SC_PAGE_SIZE': 4000, 'SC_PHYS_PAGES': 2 * 10**6}[name])
  assert benchmarking.memory_gb() == expected


def test_memory_may_be_unknown(monkeypatch):
  def fail(*_, **__):
    raise OSError

  monkeypatch.setattr(builtins, 'open', fail)
  monkeypatch.setattr(runs.os, 'sysconf', fail)
  assert benchmarking.memory_gb() is None


@pytest.mark.parametrize('seconds, count, expected', [
    ({10: 9.5}, 10, 9.5), ({2: 5.0, 4: 6.0}, 64, 6.0 + 60 * 0.5),
    ({4: 6.0, 2: 5.0}, 4, 6.0), ({2: 6.0, 4: 5.9}, 64, 5.9)])
def test_extrapolation(seconds, count, expected):
  assert runs.extrapolate(seconds, count) == expected


@pytest.mark.parametrize('is_random, num_repeats', [(True, 8), (False, 1)])
def test_large_validations_are_extrapolated(
    monkeypatch, is_random, num_repeats):
  """Every example costs 0.1 s a repeat, every evaluation 50 s: those of 1000
  examples take 850 s (150 s without repeats), and are not gone through."""
  now, sizes = [0.0], []

  class Costs:

    def __init__(self, model, strategy):
      self.is_random = is_random

    def __call__(self, split, num_examples, num_repeats):
      sizes.append(num_examples)
      now[0] += 50.0 + 0.1 * (num_repeats if is_random else 1) * num_examples

  monkeypatch.setattr(runs.time, 'perf_counter', lambda: now[0])
  monkeypatch.setattr(runs.evaluation, 'NegativeLogLikelihood', Costs)
  config = configuration.make_config(
      **{**_SMALL, **_IMAGES, 'num_validation': 1000})
  learner, _ = runs.tasks.make_learner(
      benchmarking.Settings(config), config.optimizer.batch_size)
  found = runs._measure_validation(
      benchmarking.Settings(config), learner, 0.1)['validation_s']
  assert found == pytest.approx(50.0 + 0.1 * num_repeats * 1000)
  assert max(sizes) < 20
