"""Which checkpoint a run goes on from, on real files that were damaged."""

import functools
import itertools
import logging
import os
import re
import shutil

import numpy as np
import pytest
import tensorflow as tf

from tests import splits
from tests.training import runs
from tf_resflow import configuration
from tf_resflow import training
from tf_resflow.training import checkpoints
from tf_resflow.training import workdir as workdir_lib


def _state_of(config):
  """Returns a checkpoint of a model that nothing has been loaded into."""
  model = config.model.build()
  return tf.train.Checkpoint(
      model=model, ema=training.ExponentialMovingAverage(model),
      step=tf.Variable(0, dtype=tf.int64))


# One file is damaged: which, where, how. A power cut leaves zeros or nothing.
_FILES = ('ckpt-2.index', 'ckpt-2.data-00000-of-00001')
_DAMAGES = [(name, where, how) for name in _FILES for where, how in (
    *itertools.product((0.0, 0.5, 1.0), ('truncated', 'flipped', 'zeroed')),
    (0.0, 'emptied'))]


def _damage(path, where=0.5, how='flipped'):
  good = path.read_bytes()
  at = round(where * (len(good) - 1))
  path.write_bytes({
      'truncated': good[:at or 1], 'emptied': b'',
      'flipped': good[:at] + bytes([good[at] ^ 16]) + good[at + 1:],
      # The last number of a file may be zero.
      'zeroed': good[:at - 4 * (where == 1)].ljust(len(good), b'\0')}[how])
  assert path.read_bytes() != good


def test_refuses_variables_that_would_not_be_saved():
  state = _state_of(configuration.make_config(
      dataset='2d/moons', num_blocks=1, hidden_units=(3,)))
  g = state.model.bijection.leaves()[1].g
  del g.tracked_parts  # As layers that are kept in a list alone.
  assert re.fullmatch(
      r'variable=.*block_0_g/block_0_dense_0/\w+ and \d+ others would be in no '
      r'checkpoint\. Keep the layer .*', splits.refusal(
          checkpoints.check_tracked, state))


@pytest.fixture(scope='module')
def two_saved(tmp_path_factory):
  """A folder with two checkpoints of a flow, and what to restore them into."""
  workdir = tmp_path_factory.mktemp('saved')
  state = _state_of(configuration.make_config(
      dataset='2d/moons', num_blocks=1, hidden_units=(3,)))
  for step in (1, 2):
    state.step.assign(step)
    for variable in state.model.variables:
      variable.assign(tf.fill(variable.shape, tf.cast(step, variable.dtype)))
    checkpoints.save(state, str(workdir / 'checkpoints'), step, 3)
  return workdir, state


def test_the_newest_are_kept(tmp_path):
  """And the one that was written last, whatever its number."""
  state, left = tf.train.Checkpoint(step=tf.Variable(0)), []
  for step in (1, 2, 3, 3, 4, 1):
    state.step.assign(step)
    checkpoints.save(state, str(tmp_path / 'kept'), step, 2)
    left.append(runs.steps(tmp_path, 'kept'))
    latest = tf.train.latest_checkpoint(str(tmp_path / 'kept'))
    assert latest == f'{tmp_path}/kept/ckpt-{step}'
    state.step.assign(0)
    state.read(latest)
    assert state.step.numpy() == step
  assert left == [[1], [1, 2], [2, 3], [2, 3], [3, 4], [1, 4]]
  assert len(os.listdir(tmp_path / 'kept')) == 5


@pytest.mark.reliability(promise='takeover')
def test_a_process_that_has_lost_the_run_in_a_save(two_saved, tmp_path):
  """It replaces and deletes nothing."""
  folder = shutil.copytree(two_saved[0] / 'checkpoints', tmp_path / 'copy')
  before = runs.contents(folder)
  with pytest.raises(KeyError):
    checkpoints.save(two_saved[1], str(folder), 2, 1, {}.popitem)
  assert runs.contents(folder) == before


@pytest.mark.parametrize('name, where, how', _DAMAGES)
@pytest.mark.reliability(promise='damaged-checkpoint')
def test_a_damaged_file_costs_one_checkpoint_at_most(
    two_saved, tmp_path, caplog, name, where, how):
  """Said once; nothing is deleted, and the other is restored whole."""
  saved, state = two_saved
  folder = shutil.copytree(saved, tmp_path / 'run') / 'checkpoints'
  workdir = str(tmp_path / 'run')
  _damage(folder / name, where, how)
  before = runs.contents(folder)
  caplog.set_level(logging.WARNING, 'tf_resflow')
  # Readers rename nothing.
  assert checkpoints.latest_readable(workdir) == f'{folder}/ckpt-1'
  assert runs.contents(folder) == before and len(caplog.records) == 1
  caplog.clear()

  for _ in range(2):  # The second time without a word.
    path = checkpoints.latest_readable(workdir, quarantines=True)
    assert path == f'{folder}/ckpt-1'
  assert {name.replace('ckpt-2.damaged', 'ckpt-2'): content
          for name, content in runs.contents(folder).items()} == before
  [record] = caplog.records
  assert 'ckpt-2 is damaged (' in record.message and '\n' not in record.message
  assert record.message.endswith(
      f'set aside as {folder}/ckpt-2.damaged; continuing from ckpt-1.')

  checkpoints.restore(state, path)
  assert state.step.numpy() == 1
  assert all(np.all(v.numpy() == 1) for v in state.model.variables)


def test_a_second_damaged_one_of_a_step_gets_a_number(two_saved, tmp_path):
  folder = shutil.copytree(two_saved[0], tmp_path / 'run') / 'checkpoints'
  for _ in range(3):
    for path in (two_saved[0] / 'checkpoints').glob('ckpt-2.*'):
      shutil.copy(path, folder)
    _damage(folder / 'ckpt-2.index')
    checkpoints.latest_readable(str(tmp_path / 'run'), quarantines=True)
  assert {path.stem for path in folder.glob('*.index')} == {
      'ckpt-1', 'ckpt-2.damaged', 'ckpt-2.damaged-2', 'ckpt-2.damaged-3'}


@pytest.mark.reliability(promise='all-damaged')
def test_a_run_without_an_undamaged_one_is_left_as_it_is(
    copied_run, data_dir):
  for path in (copied_run / 'checkpoints').glob('ckpt-*.data-*'):
    _damage(path)
  before = runs.contents(copied_run)
  for start in (training.workdir.restore_model, functools.partial(
      training.train, runs.config(data_dir))):
    said = splits.refusal(start, str(copied_run))
    assert re.search(
        r'ckpt-4: expected undamaged files\. .*Checksum.* No complete '
        'checkpoint before it is left: restore one', said), said
    assert runs.contents(copied_run) == before


@pytest.mark.reliability(promise='after-damage')
def test_a_run_with_a_damaged_one_ends_as_an_undisturbed_one(
    finished_run, copied_run, data_dir, caplog):
  workdir, trainer = finished_run
  _damage(copied_run / 'checkpoints' / 'ckpt-4.data-00000-of-00001')
  assert training.workdir.restore_model(str(copied_run))[1] == 2
  caplog.set_level(logging.WARNING, 'tf_resflow')
  caplog.clear()
  runs.assert_equal(
      training.train(runs.config(data_dir), str(copied_run)), trainer)
  assert len([r for r in caplog.records if r.name.startswith('tf_res')]) == 1
  assert not runs.different(*(
      runs.tensors(f'{folder}/checkpoints/ckpt-4')
      for folder in (workdir, copied_run)))
  for one, other in zip(
      *map(runs.rows, (workdir, copied_run)), strict=True):
    assert one | {'examples_per_second': ''} == (
        other | {'examples_per_second': ''})


def test_files_of_another_model_are_not_damaged(copied_run, tmp_path):
  """Also those of equal shapes, and of former versions, which have no model."""
  before = runs.contents(copied_run)
  former = _state_of(runs.config()).save(str(tmp_path / 'ckpt'))
  for message, path, changes in (
      ('That has another hidden_channels (5, not 4). One of', 'ckpt-4',
       {'hidden_channels': 5}),
      ('That has another lipschitz_coeff (0.5, not 0.98).', 'ckpt-4',
       {'lipschitz_coeff': 0.5}),
      ('expected readable files that fit', former, {'hidden_channels': 5})):
    assert message in splits.refusal(
        checkpoints.restore, _state_of(runs.config(**changes)),
        str(copied_run / 'checkpoints' / path))
  checkpoints.restore(_state_of(runs.config(lipschitz_coeff=0.5)), former)
  assert runs.contents(copied_run) == before


@pytest.mark.reliability(promise='foreign-model')
def test_the_model_of_another_run_is_refused(copied_run):
  (copied_run / 'model.json').write_text(
      runs.config(lipschitz_coeff=0.5).model.to_json())
  assert '/ckpt-4: expected weights of the model that model.json descr' in (
      splits.refusal(workdir_lib.restore_model, str(copied_run)))


@pytest.mark.parametrize('lost', ['*', 'index', 'data-00000-of-00001'])
def test_the_newest_complete_checkpoint_counts(copied_run, lost):
  """As after a partial copy."""
  folder = copied_run / 'checkpoints'
  for path in folder.glob(f'ckpt-4.{lost}'):
    path.unlink()
  assert checkpoints.latest(str(copied_run)) == f'{folder}/ckpt-2'


def test_a_run_without_checkpoints_is_refused(finished_run, tmp_path, data_dir):
  for left in ('nothing', 'checkpoint', '*.index', '*.data-*'):
    workdir = shutil.copytree(finished_run[0], tmp_path / left.strip('*.'))
    folder = workdir / 'checkpoints'
    for path in folder.iterdir():
      if not path.match(left):
        path.unlink()
    if left == 'nothing':
      folder.rmdir()
    before = runs.contents(workdir)
    for start in (training.workdir.restore_model, functools.partial(
        training.train, runs.config(data_dir))):
      said = splits.refusal(start, str(workdir))
      assert re.search(
          'expected a run with a complete checkpoint. None is left in .*/check'
          'points. Restore one, or use another workdir', said), (left, said)
    assert runs.contents(workdir) == before, left


def test_a_kill_before_the_first_checkpoint_loses_nothing(
    tmp_path, data_dir):
  """What is left then is no checkpoint, and there are no rows."""
  config = runs.config(data_dir)
  workdir_lib.write_settings(str(tmp_path), config)
  folder = tmp_path / 'checkpoints'
  (folder / 'ckpt-0_temp').mkdir(parents=True)
  (folder / 'ckpt-0.data-00000-of-00001').write_bytes(b'half')
  workdir_lib.check(str(tmp_path), config)
  assert checkpoints.latest(str(tmp_path)) is None
  training.Trainer(config, str(tmp_path)).restore_or_initialize()
  assert checkpoints.latest(str(tmp_path)) == f'{folder}/ckpt-0'
