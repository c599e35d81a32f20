"""A whole run: what it writes, when it stops, and disks that are full.

The slow tests kill runs and continue them: real processes run bin/train; a
signal comes from within, right after a row of metrics.csv is on the disk, so
that the steps of the kills are exact. Tested is one machine with the same
number of threads: other machines may round differently.
"""

import logging
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.training import runs
from tf_resflow import training
from tf_resflow.training import loop


def test_what_a_run_writes(tmp_path, data_dir):
  pictures = []
  trainer = training.train(
      runs.config(data_dir, num_steps=3, log_every=2, evaluate_every=2,
                  num_validation=10, sample_every=2), str(tmp_path),
      evaluate_fn=lambda model: {'validation': 1.5},
      save_images_fn=lambda path, images: pictures.append(
          (os.path.basename(path), images.shape)))
  assert trainer.step == 3
  rows = runs.rows(tmp_path)
  assert [row['step'] for row in rows] == ['2', '3']
  assert list(rows[0]) == [
      'step', 'bits_per_dim', 'gradient_norm', 'power_iteration_steps',
      'examples_per_second', 'learning_rate', 'validation']
  assert [row['validation'] for row in rows] == ['1.5', '']
  assert pictures == [('samples_00000002.png', (64, 8, 8, 1)),
                      ('samples_00000003.png', (64, 8, 8, 1))]
  assert training.load_model(str(tmp_path))[1] == 3


def test_finished_run_is_left_as_it_is(
    finished_run, tmp_path, data_dir, caplog):
  workdir = shutil.copytree(finished_run[0], tmp_path / 'copy')
  before = runs.contents(workdir / 'checkpoints')
  with caplog.at_level(logging.WARNING, 'tf_resflow'):
    assert training.train(runs.config(data_dir), str(workdir)).step == 4
  assert runs.contents(workdir / 'checkpoints') == before
  assert 'Raise --num_steps to continue' in caplog.records[-1].message


def test_signals_are_handed_back():
  before = signal.getsignal(signal.SIGTERM)
  with loop.StopOnSignal() as signals:
    signals.check(3)
    os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(training.TrainingInterruptedError, match='step 3'):
      signals.check(3)
  assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize('when', ['before', 'within'])
def test_a_signal_ends_a_run_with_its_state_saved(
    tmp_path, data_dir, monkeypatch, when):
  method = {'before': 'restore_or_initialize', 'within': 'save'}[when]
  original = getattr(training.Trainer, method)

  def interrupted(self):
    original(self)
    if when == 'before' or self.step == 2:
      os.kill(os.getpid(), signal.SIGINT)

  monkeypatch.setattr(training.Trainer, method, interrupted)
  step = {'before': 0, 'within': 2}[when]
  with pytest.raises(
      training.TrainingInterruptedError, match=f'^SIGINT after step {step}:'):
    training.train(runs.config(data_dir), str(tmp_path))
  assert training.load_model(str(tmp_path))[1] == step


def test_a_full_disk_is_one_line(tmp_path, data_dir, monkeypatch):
  """Files may not grow beyond a limit, which fails as a full disk does."""
  old_limit = resource.getrlimit(resource.RLIMIT_FSIZE)
  old_handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
  save = training.Trainer.save

  def limited_save(self):
    if self.step == 4:
      resource.setrlimit(resource.RLIMIT_FSIZE, (1000, old_limit[1]))
    return save(self)

  monkeypatch.setattr(training.Trainer, 'save', limited_save)
  try:
    with pytest.raises(
        OSError, match='checkpoint of step 4 cannot be written') as error:
      training.train(runs.config(data_dir), str(tmp_path))
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, old_limit)
    signal.signal(signal.SIGXFSZ, old_handler)
  assert '\n' not in str(error.value)
  monkeypatch.undo()
  assert training.load_model(str(tmp_path))[1] == 2
  assert training.train(runs.config(data_dir), str(tmp_path)).step == 4


def test_a_deleted_folder_is_one_line(tmp_path, data_dir, monkeypatch):
  workdir = tmp_path / 'run'
  save = training.Trainer.save

  def save_nowhere(self):
    if self.step == 2:
      shutil.rmtree(workdir)
      workdir.write_text('A file in its place, or TensorFlow would make it.')
    return save(self)

  monkeypatch.setattr(training.Trainer, 'save', save_nowhere)
  with pytest.raises(OSError) as error:
    training.train(runs.config(data_dir), str(workdir))
  assert '\n' not in str(error.value)


# A run that is killed and continued ends where an undisturbed one does.

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_NUM_STEPS = 24  # An epoch has 1437 / 128 = 11.2 steps.
_CHECKPOINT_EVERY = 5
_KILLS = (7, 12, 18)
_TERMINATION = 21

_STOPPED = """
import os, runpy, sys
from tf_resflow.commands import runner
runner.load_tensorflow()  # As bin/train does.
runner.set_up_training()
from tf_resflow.training import metrics
last_step, number, *sys.argv = sys.argv[1:]
write = metrics.MetricsWriter.write
def write_and_stop(self, step, values):
  write(self, step, values)
  if step == int(last_step):
    os.kill(os.getpid(), int(number))
metrics.MetricsWriter.write = write_and_stop
runpy.run_path(sys.argv[0], run_name='__main__')
"""


def _start(data_dir, workdir, *runner):
  """Starts bin/train, through another Python program if one is given."""
  arguments = [
      f'--workdir={workdir}', f'--data_dir={data_dir}', '--num_blocks=1,1',
      '--hidden_channels=8', '--num_dense_blocks=1', '--dense_hidden_units=8',
      '--batch_size=128', f'--num_steps={_NUM_STEPS}', '--warmup_steps=5',
      f'--checkpoint_every={_CHECKPOINT_EVERY}', '--log_every=1',
      '--sample_every=0', '--noevaluate_at_end', '--flip', '--crop_padding=1']
  return subprocess.Popen(
      [sys.executable, *runner, 'bin/train', *arguments], cwd=_ROOT,
      stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
      env=os.environ | {'TF_CPP_MIN_LOG_LEVEL': '3'})


def _run(data_dir, workdir, stop_after=None, signal_number=None):
  """Runs bin/train to its end; returns its status and its stderr."""
  runner = () if stop_after is None else (
      '-c', _STOPPED, str(stop_after), str(int(signal_number)))
  process = _start(data_dir, workdir, *runner)
  stderr = process.communicate()[1]
  return process.returncode, stderr


def _tensors(workdir, step):
  """Returns everything in a checkpoint but how often one was saved."""
  reader = tf.train.load_checkpoint(
      str(workdir / 'checkpoints' / f'ckpt-{step}'))
  return {
      key: np.asarray(reader.get_tensor(key))
      for key in reader.get_variable_to_shape_map()
      if key != '_CHECKPOINTABLE_OBJECT_GRAPH' and
      not key.startswith('save_counter')
  }


def _different(a, b):
  """Returns the names of tensors that differ in any bit."""
  assert a.keys() == b.keys()
  return {
      key for key in a
      if a[key].dtype != b[key].dtype or a[key].shape != b[key].shape or
      a[key].tobytes() != b[key].tobytes()
  }


@pytest.fixture(scope='module')
def workdirs(tmp_path_factory, data_dir):
  """Two workdirs and what the processes said: undisturbed and disturbed."""
  undisturbed = tmp_path_factory.mktemp('undisturbed')
  disturbed = tmp_path_factory.mktemp('disturbed')
  reference = _start(data_dir, undisturbed)
  said = {}
  for step in _KILLS:
    said[step] = _run(data_dir, disturbed, step, signal.SIGKILL)
    # The row of the last step and no later one is on the disk.
    assert runs.rows(disturbed)[-1]['step'] == str(step), said[step][1]
  said[_TERMINATION] = _run(
      data_dir, disturbed, _TERMINATION, signal.SIGTERM)
  said[_NUM_STEPS] = _run(data_dir, disturbed)
  reference_said = reference.communicate()[1]
  assert reference.returncode == 0, reference_said
  return undisturbed, disturbed, said


@pytest.mark.slow
def test_killed_runs_went_on_from_their_checkpoints(workdirs):
  _, _, said = workdirs
  for step in _KILLS:
    assert said[step][0] == -signal.SIGKILL
  assert said[_NUM_STEPS][0] == 0, said[_NUM_STEPS][1]
  for stop, restored in ((12, 5), (18, 10), (21, 15), (24, 21)):
    assert f'Restored step {restored} from' in said[stop][1]
  assert 'Restored' not in said[7][1]


@pytest.mark.slow
def test_sigterm_saves_and_says_so(workdirs):
  _, _, said = workdirs
  status, stderr = said[_TERMINATION]
  assert status == 3
  assert stderr.splitlines()[-1] == (
      f'train: error: SIGTERM after step {_TERMINATION}: its state is saved; '
      'run the same command again to continue.')
  assert 'Traceback' not in stderr


@pytest.mark.slow
def test_continued_run_is_bit_identical(workdirs):
  undisturbed, disturbed, _ = workdirs
  expected = _tensors(undisturbed, _NUM_STEPS)
  # Weights, slots of the optimizer, averages, singular vectors, step.
  for part in ('optimizer/_trainable_variables/0/', 'optimizer/_variables/9/',
               'optimizer/_iterations/', 'ema/averages/0/', '/v/', 'step/'):
    assert any(part in key for key in expected), part
  assert not _different(expected, _tensors(disturbed, _NUM_STEPS))
  # The comparison sees a difference where there is one.
  before = _different(expected, _tensors(undisturbed, 20))
  for part in ('optimizer/_trainable_variables', 'optimizer/_variables',
               'ema/averages', '/v/', 'step/'):
    assert any(part in key for key in before), part


@pytest.mark.slow
def test_metrics_hold_every_step_once(workdirs):
  undisturbed, disturbed, _ = workdirs
  expected, found = runs.rows(undisturbed), runs.rows(disturbed)
  steps = [str(i) for i in range(1, _NUM_STEPS + 1)]
  for rows in (expected, found):
    assert [row['step'] for row in rows] == steps
  for name in ('bits_per_dim', 'gradient_norm', 'learning_rate'):
    assert [row[name] for row in found] == [row[name] for row in expected]
