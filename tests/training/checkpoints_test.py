"""Which checkpoint a run goes on from, on real files that were damaged."""

import logging
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
