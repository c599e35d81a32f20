"""What a run costs, against calculations by hand."""

import pytest

from tf_resflow import benchmarking
from tf_resflow import configuration

_CONFIG = configuration.make_config(
    dataset='digits', num_steps=1000, evaluate_every=300, num_validation=20,
    sample_every=400, checkpoint_every=250, checkpoints_to_keep=3,
    batch_size=64)
_MEASURED = {
    'num_parameters': 12345, 'first_step_s': 10.0, 'train_step_s': 0.4,
    'train_step_mean_s': 0.5, 'num_steps_measured': 20, 'validation_s': 7.0,
    'validation_examples': 5,
    'samples_s': 4.0, 'checkpoints_s': 0.25, 'checkpoint_mb': 20.0,
    'peak_memory_gb': 2.0, 'memory_gb': 8.0}


def _predict(config=_CONFIG, without=(), **changes):
  measured = {k: v for k, v in (_MEASURED | changes).items()
              if k not in without}
  return measured, benchmarking.predict_run(config, measured)


def test_time():
  """Validations at 300, 600, 900; samples at 400, 800, 1000; checkpoints at
  0, 250, 500, 750, 1000. The mean of steps counts, not the median."""
  _, found = _predict()
  assert found['times'] == {
      'first step': 1, 'steps': 999, 'validation': 3, 'samples': 3,
      'checkpoints': 5}
  assert found['seconds_of'] == {
      'first step': 10.0, 'steps': 499.5, 'validation': 21.0, 'samples': 12.0,
      'checkpoints': 1.25}
  assert found['run_seconds'] == pytest.approx(543.75)
  assert found['run_hours'] == pytest.approx(543.75 / 3600)
  assert found['run_days'] == pytest.approx(543.75 / 86400)
  assert found['left_out'] == []


def test_what_was_not_measured_is_left_out():
  _, found = _predict(without=('validation_s',))
  assert found['left_out'] == ['validation']
  assert found['run_seconds'] == pytest.approx(543.75 - 21.0)


@pytest.mark.parametrize('changes, expected', [
    ({'dataset': '2d/moons', 'num_validation': 0, 'evaluate_every': 0},
     ['samples']),
    ({'sample_every': 0, 'evaluate_every': 0}, []),
    ({'sample_every': 2000, 'evaluate_every': 0}, ['samples'])])
def test_what_is_never_done_is_not_left_out(changes, expected):
  flags = {'dataset': 'digits', 'num_validation': 20} | changes
  has_samples = flags['dataset'] == 'digits' and flags.get('sample_every')
  _, found = _predict(
      configuration.make_config(num_steps=100, **flags),
      without=('validation_s', *([] if has_samples else ['samples_s'])))
  assert found['left_out'] == ([] if has_samples else expected)
  assert 'validation' not in found['times']


@pytest.mark.parametrize('changes, num_kept', [
    ({}, 3), ({'checkpoints_to_keep': 10}, 5), ({'keep_best': True}, 4)])
def test_room_on_the_disk(changes, num_kept):
  """Of the 5 checkpoints, the first one included, at most so many at once."""
  _, found = _predict(_CONFIG.replace(**changes))
  assert found['checkpoints_kept'] == num_kept
  assert found['checkpoints_mb'] == 20.0 * num_kept


def _warnings(config=_CONFIG, **changes):
  measured, found = _predict(config, **changes)
  return benchmarking.warnings(config, measured, found)


def test_a_run_that_fits_has_no_warning():
  assert _warnings() == []
  assert _warnings(peak_memory_gb=1e3, memory_gb=None) == []


def test_memory():
  (text,) = _warnings(
      _CONFIG.replace(memory='naive', accumulation_steps=3), peak_memory_gb=7.9)
  assert text == (
      'The peak is 7.9 GB, the memory 8 GB. To make it smaller: '
      '--batch_size=32 --accumulation_steps=6 (nearly the same steps), '
      '--memory=recompute, fewer --num_blocks, smaller --hidden_channels.')
  (text,) = _warnings(_CONFIG.replace(batch_size=1), peak_memory_gb=7.9)
  assert '--batch_size' not in text and '--memory' not in text


def test_a_long_run():
  """A week is 604,800 s."""
  config = _CONFIG.replace(num_steps=10**6, evaluate_every=0, sample_every=0)
  assert _warnings(config, train_step_mean_s=0.6) == []
  (text,) = _warnings(config, train_step_mean_s=0.61)
  assert text.startswith('The run takes 7 d 02 h. To make it shorter: fewer')
  assert '--strategy=mirrored' in text


def test_text():
  measured, found = _predict(without=('samples_s',), peak_memory_gb=7.5)
  text = benchmarking.format_advice(_CONFIG, measured, found)
  rows = {line[:22].strip(): line[22:] for line in text.splitlines()}
  assert rows['parameters'] == '12,345'
  assert rows['training step'] == (
      '0.400 s, the median of 20; mean 0.500 s')
  assert rows['peak memory'] == '7.5 GB of 8 GB'
  assert rows['checkpoint'] == '20 MB; 3 of them 60 MB'
  assert rows['run'] == '8 min 52 s'
  assert rows['first step'] == '10.0 s'
  assert rows['steps'] == '8 min 20 s, 999 times 0.500 s'
  assert rows['validation'] == '21.0 s, 3 times 7.00 s, from 5 examples'
  assert text.splitlines()[-1].startswith('Warning: The peak is 7.5 GB')
