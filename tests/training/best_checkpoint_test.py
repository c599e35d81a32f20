"""Which checkpoint is kept as the best, through kills and continuations."""

import logging
import math
import os
import shutil

import pytest
import tensorflow as tf

from tests import splits
from tests import testing
from tests.training import runs
from tf_resflow import training
from tf_resflow.training import best_checkpoint


def _offer(workdir, values, start=1):
  """Offers values, of states that are ten times their steps."""
  state = tf.Variable(0.0)
  best = best_checkpoint.BestCheckpoint(str(workdir), state=state)
  taken = []
  for step, value in enumerate(values, start):
    state.assign(10.0 * step)
    if best.offer(value, step):
      taken.append(step)
      assert runs.steps(workdir) == [step]
  return taken


def test_the_lowest_is_kept(tmp_path):
  workdir = str(tmp_path)
  assert best_checkpoint.best(workdir) is None
  assert not best_checkpoint.BestCheckpoint(workdir, patience=1).is_stopped
  assert _offer(tmp_path, [math.nan, math.inf]) == []
  assert best_checkpoint.best(workdir) is None
  assert _offer(tmp_path, [3.0, 4.0, math.nan, 2.0, 2.0, 5.0]) == [1, 4]
  assert best_checkpoint.best(workdir) == f'{tmp_path}/best/ckpt-4'
  assert 40.0 in runs.tensors(f'{tmp_path}/best/ckpt-4').values()
  # What a kill left unfinished does not count.
  (tmp_path / 'best' / 'ckpt-9.data-00000-of-00001').write_bytes(b'half')
  assert best_checkpoint.best(workdir) == f'{tmp_path}/best/ckpt-4'


def test_of_two_that_a_kill_left_it_is_the_lower(tmp_path):
  for name, value, step in (('old', 2.0, 7), ('new', 1.0, 5)):
    _offer(tmp_path / name, [value], start=step)
  for path in (tmp_path / 'new' / 'best').glob('ckpt-*'):
    shutil.copy(path, tmp_path / 'old' / 'best')
  for is_listed in (True, False):
    workdir = shutil.copytree(tmp_path / 'old', tmp_path / str(is_listed))
    if not is_listed:
      (workdir / 'best' / 'checkpoint').unlink()
    assert runs.steps(workdir) == [5, 7]
    assert best_checkpoint.best(str(workdir)) == f'{workdir}/best/ckpt-5'
    assert _offer(workdir, [1.5, 0.5], start=8) == [9]
    assert runs.steps(workdir) == [9]


@pytest.mark.reliability(promise='damaged-best')
def test_a_damaged_best_one_is_not_replaced_in_silence(
    copied_run, caplog):
  """Readers refuse; the run decides as with it, and keeps a lower one."""
  workdir, folder = str(copied_run), copied_run / 'best'
  assert _offer(copied_run, [3.0, 1.0]) == [1, 2]
  path = folder / 'ckpt-2.data-00000-of-00001'
  path.write_bytes(path.read_bytes()[:-1])
  (folder / 'checkpoint').write_bytes(b'')

  def check_readers(name):
    for which in ('auto', 'best'):
      assert splits.refusal(
          training.workdir.restore_model, workdir, checkpoint=which) == (
              f'file={folder}: expected an undamaged best checkpoint. It has '
              f'{name}. Evaluate, sample and export with --checkpoint=latest.')

  check_readers('ckpt-2')
  best = best_checkpoint.BestCheckpoint(workdir)
  assert f'set aside as {folder}/ckpt-2.damaged; until' in caplog.text
  check_readers('ckpt-2.damaged.data-00000-of-00001')
  best.value.assign(1.0)  # As restored from a checkpoint of the run.
  best.step.assign(2)
  assert best.describe() == 'best 1.0000 at step 2, which is lost'
  assert not best.offer(2.0, 3) and best.offer(0.5, 4)
  assert best.describe() == 'best 0.5000 at step 4'
  assert best_checkpoint.best(workdir) == f'{folder}/ckpt-4'
  assert len(list(folder.glob('ckpt-2.damaged.*'))) == 2


# A whole run, with values that are given.


def _train(workdir, data_dir, values, **changes):
  values = iter(values)
  config = runs.config(
      data_dir, num_validation=10, evaluate_every=1, keep_best=True,
      checkpoints_to_keep=9, **{'checkpoint_every': 1, **changes})
  return training.train(
      config, str(workdir), evaluate_fn=lambda model: {
          'validation_other': 0.0, 'validation_bits_per_dim': next(values)})


def test_a_run_keeps_its_best_beside_the_latest(tmp_path, data_dir):
  """Also one that goes on from before it, which ends the same."""
  whole, copy = tmp_path / 'whole', tmp_path / 'copy'
  # The third step of four validates best; the initial flow is validated, too.
  _train(whole, data_dir, [5.0, 3.0, 4.0, 1.0, 2.0])
  assert [float(row['validation_loss']) for row in runs.rows(whole)] == [
      5.0, 3.0, 4.0, 1.0, 2.0]
  for which, step in (('latest', 4), ('best', 3)):
    _, found = training.workdir.restore_model(str(whole), checkpoint=which)
    assert found == step
  best, same, latest = (
      runs.tensors(whole / name)
      for name in ('best/ckpt-3', 'checkpoints/ckpt-3', 'checkpoints/ckpt-4'))
  # What the validation decided is saved with the next one.
  assert runs.different(same, best | {
      name: same[name] for name in same.keys() - best.keys()}) == {
          f'best/{name}/.ATTRIBUTES/VARIABLE_VALUE' for name in (
              'step', 'value')}
  assert any(name.startswith('ema') for name in runs.different(same, latest))

  shutil.copytree(whole, copy)
  for step in (2, 3, 4):
    for path in (copy / 'checkpoints').glob(f'ckpt-{step}.*'):
      path.unlink()

  def values():
    # What the steps in between gave does not count: a better one is there.
    yield from (3.0, 4.0, 1.0, 2.0)
    assert runs.steps(copy) == [3]
    assert not runs.different(runs.tensors(copy / 'best' / 'ckpt-3'), best)
    assert runs.different(
        runs.tensors(copy / 'checkpoints' / 'ckpt-4'), latest) == {
            'callbacks_done/.ATTRIBUTES/VARIABLE_VALUE'}
    yield 0.5

  # It is found as the lowest, and replaced by a lower one.
  assert _train(copy, data_dir, values(), num_steps=5).step == 5
  assert runs.steps(copy) == [5]


def test_a_run_stops_early_and_stays_finished(tmp_path, data_dir, caplog):
  """Bit for bit alike where it was killed between; more patience goes on."""
  whole, copy = tmp_path / 'whole', tmp_path / 'copy'
  values = [5.0, 3.0, 4.0, 4.0]
  settings = {'patience': 2, 'num_steps': 9, 'schedule': 'constant'}
  caplog.set_level(logging.INFO, 'tf_resflow')
  assert _train(whole, data_dir, values, **settings).step == 3
  assert 'Stopped at step 3: validation did not improve for 2' in caplog.text
  assert 'best 3.0000 at step 1' in caplog.text
  assert [row['step'] for row in runs.rows(whole)] == ['0', '1', '2', '3']
  shutil.copytree(whole, copy)
  for path in (copy / 'checkpoints').glob('ckpt-3.*'):
    path.unlink()
  assert _train(copy, data_dir, values[2:], **settings).step == 3
  assert not runs.different(*(
      runs.tensors(folder / 'checkpoints' / 'ckpt-3')
      for folder in (whole, copy)))
  assert training.workdir.finished(str(whole), runs.config(
      data_dir, num_validation=10, evaluate_every=1, keep_best=True, **settings
  )) == ('Stopped at step 3: validation did not improve for 2 steps. '
         'Validation: best 3.0000 at step 1. The run has finished; to continue '
         'it, raise --patience.')
  # Neither steps nor validates again.
  assert _train(whole, data_dir, [], **settings).step == 3
  assert training.workdir.restore_model(str(whole))[1] == 1
  settings |= {'patience': 3, 'num_steps': 5}
  assert _train(whole, data_dir, [2.0, 2.5], **settings).step == 5
  assert training.workdir.restore_model(str(whole))[1] == 4


def test_a_run_that_stops_early_saves_its_last_step(
    tmp_path, data_dir, caplog):
  """Where no checkpoint is due, so that a repeat trains nothing."""
  settings = {'patience': 2, 'num_steps': 9, 'checkpoint_every': 9}
  assert _train(tmp_path, data_dir, [5.0, 3.0, 4.0, 4.0], **settings).step == 3
  assert training.workdir.restore_model(
      str(tmp_path), checkpoint='latest')[1] == 3
  assert _train(tmp_path, data_dir, [], **settings).step == 3
  assert 'The run has finished' in caplog.text


def test_without_a_validation_nothing_starts(tmp_path, data_dir):
  config = runs.config(
      data_dir, num_validation=10, evaluate_every=1, keep_best=True)
  workdir = str(tmp_path / 'run')
  testing.check_refusals(lambda config: training.train(config, workdir), [
      (config, 'keep_best=true requires evaluate_fn')])
  assert not os.listdir(tmp_path)
  testing.check_refusals(training.Trainer(config, workdir).validation_loss, [
      ({'accuracy': 1.0},
       'validation=accuracy: expected also validation_bits_per_dim. ')])
