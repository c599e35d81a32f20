"""What a run takes, against calculations by hand."""

import itertools
import os

import pytest
import tensorflow as tf

from tests.commands import results
from tf_resflow import benchmarking
from tf_resflow import configuration
from tf_resflow.benchmarking import advice
from tf_resflow.training import trainer

_CONFIG = configuration.make_config(
    dataset='digits', num_blocks=(1,), hidden_channels=4, num_dense_blocks=0,
    num_steps=1001, batch_size=64, checkpoints_to_keep=3)
_MEASURED = {
    'num_parameters': 12345, 'first_step_s': 10.0, 'measured_batch_size': 64,
    'measured_step_s': 0.5, 'num_steps_measured': 20, 'initial_memory_gb': 1.0,
    'peak_memory_gb': 2.0, 'memory_gb': 8.0, 'checkpoint_mb': 20.0}


def _advise(config=_CONFIG, **changes):
  return benchmarking.advise(config, _MEASURED | changes)


def test_a_run():
  found = _advise()
  assert found['run_seconds'] == pytest.approx(10.0 + 1000 * 0.5)
  assert found['run_hours'] == pytest.approx(510.0 / 3600)
  assert found['run_days'] == pytest.approx(510.0 / 86400)
  assert found['peak_memory_at_most_gb'] == pytest.approx(2.0)
  assert found['checkpoints_mb'] == 20.0 * 3
  assert found['warnings'] == []
  assert found.items() >= _MEASURED.items()


def test_a_part_of_the_batch_is_extrapolated():
  """All steps but the first, and memory but what initialisation took."""
  found = _advise(measured_batch_size=16)
  assert found['train_step_mean_s'] == pytest.approx(2.0)
  assert found['run_seconds'] == pytest.approx(10.0 + 1000 * 2.0)
  assert found['peak_memory_at_most_gb'] == pytest.approx(1.0 + 4 * 1.0)


def test_memory():
  (text,) = _advise(
      _CONFIG.replace(memory='naive', accumulation_steps=3), peak_memory_gb=7.9
  )['warnings']
  assert text == (
      'The peak is 7.9 to 7.9 GB, the memory 8 GB; --tasks=train '
      '--num_repeats=0 measures it. To make it smaller: '
      '--batch_size=32 --accumulation_steps=6 (nearly the same steps), '
      '--memory=recompute, a smaller --num_blocks, a smaller '
      '--hidden_channels.')
  (text,) = _advise(_CONFIG.replace(batch_size=1), measured_batch_size=1,
                    peak_memory_gb=7.9)['warnings']
  assert '--batch_size' not in text and '--memory' not in text
  assert _advise(peak_memory_gb=1e3, memory_gb=None)['warnings'] == []


def test_a_long_run():
  """A week is 604,800 s."""
  config = _CONFIG.replace(num_steps=10**6)
  assert _advise(config, measured_step_s=0.604)['warnings'] == []
  (text,) = _advise(config, measured_step_s=0.61)['warnings']
  assert text.startswith(
      'The run takes at most 7.06 days. To make it shorter: fewer --num_steps')
  assert '--strategy=mirrored' in text


_PLANE = configuration.make_config(
    dataset='2d/moons', num_blocks=1, hidden_units=(4,), batch_size=8)


def test_steps_are_measured_until_they_are_enough(set_seconds):
  """For ten seconds in all, but none begins after a minute."""
  for start, num_steps in ((0.0, 3), (-55.0, 1)):
    taken = set_seconds([3.0, *itertools.repeat(4.0, 9)])
    values = benchmarking.measure_run(benchmarking.Settings(_PLANE), start)
    assert taken == [(step, 8) for step in range(num_steps + 1)]
    assert values['first_step_s'] == 3.0 - start
    assert values['measured_step_s'] == 4.0
    assert values['num_steps_measured'] == num_steps
  assert values['num_parameters'] == 2 * (2 + 2) + (2 * 4 + 4 + 4 * 2 + 2) + 1
  assert (0.1 < values['initial_memory_gb'] <= values['peak_memory_gb'] <
          values['memory_gb'])


def test_whole_batches_are_measured_unless_they_take_long(
    set_seconds, monkeypatch):
  """At most as many examples as ten seconds should do; four at least.

  A step of four terms evaluates this block 11 times, of 2 (2 * 4 + 4 * 2)
  operations. Nothing is known of the work of couplings.
  """
  work = 11 * 2 * 16

  def check(case):
    speed, changes, size = case
    taken = set_seconds(itertools.repeat(99.0))
    monkeypatch.setattr(
        advice.tasks, 'matmul_rate', lambda num_repeats: speed * work / 4)
    values = benchmarking.measure_run(
        benchmarking.Settings(_PLANE.replace(**changes)), 0.0)
    parts = changes.get('accumulation_steps', 1)
    assert values['measured_batch_size'] == size
    assert taken == [(0, parts * size), (1, parts * size)]

  results.check_each(check, [
      (1e9, {}, 8), (6.1, {}, 6), (0.1, {}, 4),
      (18.2, {'accumulation_steps': 3}, 6), (0.1, {'accumulation_steps': 3}, 1),
      (0.1, {'block': 'coupling', 'num_blocks': 2, 'activation': 'relu'}, 8)])


def test_the_size_of_a_checkpoint(set_seconds, tmp_path):
  set_seconds(itertools.repeat(99.0))
  config = _CONFIG.replace(hidden_channels=128, batch_size=1)
  values = benchmarking.measure_run(benchmarking.Settings(config), 0.0)
  path = tf.train.Checkpoint(**trainer.Learner(config).state).write(
      str(tmp_path / 'checkpoint'))
  assert values['checkpoint_mb'] == pytest.approx(
      os.path.getsize(f'{path}.data-00000-of-00001') / 1e6, rel=0.1)
