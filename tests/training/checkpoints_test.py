"""Which checkpoint a run goes on from, on real files that were damaged.

Which one is kept as the best, through kills and continuations.
"""

import logging
import math
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf

from tests.training import runs
from tf_resflow import errors
from tf_resflow import training
from tf_resflow.training import checkpoints
from tf_resflow.training import workdir as workdir_lib


@pytest.fixture
def copied_run(finished_run, tmp_path):
  return shutil.copytree(finished_run[0], tmp_path / 'copy')


def _corrupt(path, how):
  data = path.read_bytes()
  if how == 'truncated':
    path.write_bytes(data[:len(data) // 2])
  elif how == 'flipped':
    # Every byte: not all parts are read by everybody.
    path.write_bytes(bytes(255 - b for b in data))
  else:
    path.write_bytes(b'')


@pytest.mark.parametrize('how', ['truncated', 'flipped', 'empty'])
@pytest.mark.parametrize('suffix', ['index', 'data-00000-of-00001'])
def test_damaged_checkpoint(copied_run, data_dir, how, suffix):
  _corrupt(copied_run / 'checkpoints' / f'ckpt-4.{suffix}', how)
  message = r'ckpt-4: expected undamaged files\. .*Delete its files to go on'
  with pytest.raises(errors.InvalidValueError, match=message) as error:
    training.load_model(str(copied_run))
  assert '\n' not in str(error.value)
  trainer = training.Trainer(runs.config(data_dir), str(copied_run))
  with pytest.raises(errors.InvalidValueError, match=message):
    trainer.restore_or_initialize()


def test_good_files_are_not_to_be_deleted(copied_run, data_dir):
  """Where they are only of another model."""
  before = runs.contents(copied_run)
  trainer = training.Trainer(
      runs.config(data_dir, hidden_channels=5), str(copied_run))
  with pytest.raises(errors.InvalidValueError) as error:
    trainer.restore_or_initialize()
  message = str(error.value)
  assert 'ckpt-4: expected readable files that fit' in message
  assert 'Delete' not in message and '\n' not in message
  assert runs.contents(copied_run) == before


def _assert_same_end(copied_run, finished_run, data_dir):
  trainer = training.train(runs.config(data_dir), str(copied_run))
  assert trainer.step == 4
  for a, b in zip(trainer.model.variables, finished_run[1].model.variables,
                  strict=True):
    np.testing.assert_array_equal(a.value, b.value)
  assert [row['step'] for row in runs.rows(copied_run)] == ['2', '4']


@pytest.mark.parametrize('suffix', ['*', 'index', 'data-00000-of-00001'])
def test_going_on_from_the_one_before(
    copied_run, finished_run, data_dir, suffix):
  for path in (copied_run / 'checkpoints').glob(f'ckpt-4.{suffix}'):
    path.unlink()
  assert training.load_model(str(copied_run))[1] == 2
  # The lost steps are run again, with the same result.
  _assert_same_end(copied_run, finished_run, data_dir)


@pytest.mark.parametrize('how', ['missing', 'empty', 'binary', 'behind'])
def test_a_run_goes_on_without_the_list_of_tensorflow(
    copied_run, finished_run, data_dir, caplog, how):
  """As after a partial copy; nothing starts over, nothing is deleted."""
  list_path = copied_run / 'checkpoints' / 'checkpoint'
  if how == 'missing':
    list_path.unlink()
  elif how == 'behind':
    list_path.write_text(
        'model_checkpoint_path: "ckpt-0"\n'
        'all_model_checkpoint_paths: "ckpt-0"\n')
  else:
    list_path.write_bytes(b'' if how == 'empty' else bytes(range(256)))
  for path in list_path.parent.glob('ckpt-4.*'):
    path.unlink()
  before = runs.contents(copied_run / 'checkpoints')
  assert training.load_model(str(copied_run))[1] == 2
  assert runs.contents(copied_run / 'checkpoints') == before
  with caplog.at_level(logging.WARNING, 'tf_resflow'):
    _assert_same_end(copied_run, finished_run, data_dir)
  [record] = [r for r in caplog.records if 'newest complete' in r.message]
  assert 'going on from ckpt-2' in record.message
  # Also by another process, and once more without a word.
  after = runs.contents(copied_run / 'checkpoints')
  for name in before:
    if name != 'checkpoint':
      assert after[name] == before[name]
  caplog.clear()
  checkpoints.make_manager(tf.train.Checkpoint(), str(copied_run), 3)
  assert not caplog.records


@pytest.mark.parametrize('left', ['nothing', 'list', 'index', 'data'])
def test_a_run_without_checkpoints_is_refused(copied_run, data_dir, left):
  folder = copied_run / 'checkpoints'
  keep = {'nothing': '-', 'list': 'checkpoint', 'index': '*.index',
          'data': '*.data-*'}[left]
  for path in folder.iterdir():
    if not path.match(keep):
      path.unlink()
  if left == 'nothing':
    folder.rmdir()
  before = runs.contents(copied_run)
  message = (
      'expected a run with a complete checkpoint. None is left in .*, but '
      'metrics.csv ends at step 4; copy one back, or name another folder')
  for start in (lambda: training.load_model(str(copied_run)),
                lambda: training.train(
                    runs.config(data_dir), str(copied_run))):
    with pytest.raises(errors.InvalidValueError, match=message) as error:
      start()
    assert '\n' not in str(error.value)
  assert runs.contents(copied_run) == before


def test_a_kill_before_the_first_checkpoint_loses_nothing(
    tmp_path, data_dir):
  """What is left then is no checkpoint, and there are no rows."""
  config = runs.config(data_dir, num_steps=1)
  workdir_lib.prepare(str(tmp_path), config)
  folder = tmp_path / 'checkpoints'
  (folder / 'ckpt-0_temp').mkdir(parents=True)
  (folder / 'ckpt-0.data-00000-of-00001').write_bytes(b'half')
  assert checkpoints.latest(str(tmp_path)) is None
  assert training.train(config, str(tmp_path)).step == 1


def test_rotation_goes_on_after_the_list_was_mended(tmp_path):
  folder = tmp_path / 'checkpoints'
  checkpoint = tf.train.Checkpoint(v=tf.Variable(0))

  def steps():
    return sorted(int(p.stem.split('-')[1]) for p in folder.glob('*.index'))

  manager = checkpoints.make_manager(checkpoint, str(tmp_path), 2)
  for step in (1, 2, 3):
    manager.save(step)
  assert steps() == [2, 3]
  (folder / 'checkpoint').unlink()
  manager = checkpoints.make_manager(checkpoint, str(tmp_path), 2)
  assert steps() == [2, 3]
  for step in (4, 5):
    manager.save(step)
  # 2 was not on the list any more, 3 was.
  assert steps() == [2, 4, 5]


def _steps(workdir):
  return sorted(
      int(path.stem.split('-')[1]) for path in workdir.glob('best/*.index'))


def _offer(workdir, values, start=1):
  """Offers values, of states that are ten times their steps."""
  state = tf.Variable(0.0)
  best = checkpoints.BestCheckpoint(str(workdir), state=state)
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
  assert checkpoints.best(workdir) is None
  assert _offer(tmp_path, [math.nan, math.inf]) == []
  assert checkpoints.best(workdir) is None
  assert _offer(tmp_path, [3.0, 4.0, math.nan, 2.0, 2.0, 5.0]) == [1, 4]
  assert checkpoints.best(workdir) == f'{tmp_path}/best/ckpt-4'
  assert _state(f'{tmp_path}/best/ckpt-4') == 40.0


def test_another_process_goes_on_with_its_value(tmp_path):
  _offer(tmp_path, [3.0, 2.0])
  assert checkpoints.BestCheckpoint(str(tmp_path)).value == 2.0
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
  assert checkpoints.best(str(workdir)) == f'{workdir}/best/ckpt-5'
  assert _offer(workdir, [1.5, 0.5], start=8) == [9]
  assert _steps(workdir) == [9]


def test_what_a_kill_left_unfinished_does_not_count(tmp_path):
  _offer(tmp_path, [3.0])
  (tmp_path / 'best' / 'ckpt-9.data-00000-of-00001').write_bytes(b'half')
  assert checkpoints.best(str(tmp_path)) == f'{tmp_path}/best/ckpt-1'


def test_damaged_files_are_one_line(tmp_path):
  _offer(tmp_path, [3.0])
  (path,) = (tmp_path / 'best').glob('*.index')
  path.write_bytes(path.read_bytes()[:50])
  with pytest.raises(
      errors.InvalidValueError,
      match='best/ckpt-1: expected undamaged files') as error:
    checkpoints.best(str(tmp_path))
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
