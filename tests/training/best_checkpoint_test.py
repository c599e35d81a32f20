"""Which checkpoint is kept as the best, through kills and continuations."""

import math
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf

from tests.training import runs
from tf_resflow import errors
from tf_resflow import training
from tf_resflow.training import best_checkpoint


def _steps(workdir):
  return sorted(
      int(path.stem.split('-')[1]) for path in workdir.glob('best/*.index'))


def _offer(workdir, values, start=1):
  """Offers values, of states that are ten times their steps."""
  state = tf.Variable(0.0)
  best = best_checkpoint.BestCheckpoint(str(workdir), state=state)
  taken = []
  for step, value in enumerate(values, start):
    state.assign(10.0 * step)
    if best.offer(value, step):
      taken.append(step)
      assert _steps(workdir) == [step]
  return taken


def _state(path):
  return float(tf.train.load_checkpoint(path).get_tensor(
      'state/.ATTRIBUTES/VARIABLE_VALUE'))


def test_the_lowest_is_kept(tmp_path):
  workdir = str(tmp_path)
  assert best_checkpoint.find(workdir) is None
  assert _offer(tmp_path, [math.nan, math.inf]) == []
  assert best_checkpoint.find(workdir) is None
  assert _offer(tmp_path, [3.0, 4.0, math.nan, 2.0, 2.0, 5.0]) == [1, 4]
  assert best_checkpoint.find(workdir) == f'{tmp_path}/best/ckpt-4'
  assert _state(f'{tmp_path}/best/ckpt-4') == 40.0


def test_another_process_goes_on_with_its_value(tmp_path):
  _offer(tmp_path, [3.0, 2.0])
  assert best_checkpoint.BestCheckpoint(str(tmp_path)).value == 2.0
  assert _offer(tmp_path, [2.5, 2.0, 1.9], start=3) == [5]
  assert _steps(tmp_path) == [5]


def test_a_run_that_goes_on_from_before_keeps_it(tmp_path):
  """The steps in between are run again, with the same values."""
  values = [3.0, 2.5, 2.7, 1.0, 1.5]
  assert _offer(tmp_path, values) == [1, 2, 4]
  before = runs.contents(tmp_path / 'best')
  before.pop('checkpoint')
  assert _offer(tmp_path, values[1:], start=2) == []
  after = runs.contents(tmp_path / 'best')
  assert {name: after[name] for name in before} == before


@pytest.mark.parametrize('is_listed', [False, True])
def test_of_two_that_a_kill_left_it_is_the_lower(tmp_path, is_listed):
  for name, value, step in (('old', 2.0, 7), ('new', 1.0, 5)):
    _offer(tmp_path / name, [value], start=step)
  for path in (tmp_path / 'new' / 'best').glob('ckpt-*'):
    shutil.copy(path, tmp_path / 'old' / 'best')
  workdir = tmp_path / 'old'
  if not is_listed:
    (workdir / 'best' / 'checkpoint').unlink()
  assert _steps(workdir) == [5, 7]
  assert best_checkpoint.find(str(workdir)) == f'{workdir}/best/ckpt-5'
  assert _offer(workdir, [1.5, 0.5], start=8) == [9]
  assert _steps(workdir) == [9]


def test_what_a_kill_left_unfinished_does_not_count(tmp_path):
  _offer(tmp_path, [3.0])
  (tmp_path / 'best' / 'ckpt-9.data-00000-of-00001').write_bytes(b'half')
  assert best_checkpoint.find(str(tmp_path)) == f'{tmp_path}/best/ckpt-1'


def test_damaged_files_are_one_line(tmp_path):
  _offer(tmp_path, [3.0])
  (path,) = (tmp_path / 'best').glob('*.index')
  path.write_bytes(path.read_bytes()[:50])
  with pytest.raises(
      errors.InvalidValueError,
      match='best/ckpt-1: expected undamaged files') as error:
    best_checkpoint.find(str(tmp_path))
  assert '\n' not in str(error.value)


# A whole run, with values that are given.


def _train(workdir, data_dir, values, **changes):
  values = iter(values)
  config = runs.config(
      data_dir, num_validation=10, evaluate_every=1, keep_best=True,
      checkpoints_to_keep=9, checkpoint_every=1, **changes)
  return training.train(
      config, str(workdir), evaluate_fn=lambda model: {
          'validation_other': 0.0, 'validation_bits_per_dim': next(values)})


def _tensors(path):
  reader = tf.train.load_checkpoint(str(path))
  return {
      name: np.asarray(reader.get_tensor(name)).tobytes()
      for name in reader.get_variable_to_shape_map()
      if not name.startswith(('save_counter', '_CHECKPOINTABLE', 'value/'))}


@pytest.fixture(scope='module')
def best_run(tmp_path_factory, data_dir):
  """Four steps, of which the third validates best."""
  workdir = tmp_path_factory.mktemp('best') / 'run'
  _train(workdir, data_dir, [3.0, 4.0, 1.0, 2.0])
  return workdir


def test_a_run_keeps_its_best_beside_the_latest(best_run):
  assert _steps(best_run) == [3]
  assert _tensors(best_run / 'best' / 'ckpt-3') == _tensors(
      best_run / 'checkpoints' / 'ckpt-3')
  assert [float(row['validation_loss']) for row in runs.rows(best_run)] == [
      3.0, 4.0, 1.0, 2.0]
  models = {
      which: training.load_model(str(best_run), checkpoint=which)
      for which in ('latest', 'best')}
  assert (models['latest'][1], models['best'][1]) == (4, 3)
  assert any(
      np.any(a.value != b.value) for a, b in zip(
          models['latest'][0].variables, models['best'][0].variables,
          strict=True))


def test_a_run_continued_from_before_its_best_ends_the_same(
    best_run, tmp_path, data_dir):
  workdir = shutil.copytree(best_run, tmp_path / 'copy')
  for step in (2, 3, 4):
    for path in (workdir / 'checkpoints').glob(f'ckpt-{step}.*'):
      path.unlink()
  # What the steps in between gave does not count: a better one is there.
  assert _train(workdir, data_dir, [4.0, 1.0, 2.0]).step == 4
  assert _steps(workdir) == [3]
  for folder, step in (('best', 3), ('checkpoints', 4)):
    assert _tensors(workdir / folder / f'ckpt-{step}') == _tensors(
        best_run / folder / f'ckpt-{step}')
  # It is found as the lowest, and replaced by a lower one.
  assert _train(workdir, data_dir, [0.5], num_steps=5).step == 5
  assert _steps(workdir) == [5]


def test_a_run_without_a_best_one_says_so(finished_run):
  with pytest.raises(errors.InvalidValueError) as error:
    training.load_model(finished_run[0], checkpoint='best')
  assert str(error.value) == (
      f'checkpoint=best: expected latest, since {finished_run[0]} has no best '
      'one. bin/train keeps it with --keep_best.')


def test_without_a_validation_nothing_starts(tmp_path, data_dir):
  config = runs.config(
      data_dir, num_validation=10, evaluate_every=1, keep_best=True)
  with pytest.raises(
      errors.InvalidValueError,
      match='^keep_best=true: expected false without evaluate_fn'):
    training.train(config, str(tmp_path / 'run'))
  assert not os.listdir(tmp_path)
  with pytest.raises(
      errors.InvalidValueError,
      match='^validation=accuracy: expected also validation_bits_per_dim. '):
    training.train(
        config, str(tmp_path / 'run'),
        evaluate_fn=lambda model: {'accuracy': 1.0})
