"""A whole run: what it writes, when it stops, and disks that are full.

The slow test kills runs and continues them: real processes run bin/train; a
signal comes from within, right after a row of metrics.csv is on the disk, so
that the steps of the kills are exact. Tested is one machine with the same
number of threads: other machines may round differently.
"""

import contextlib
import logging
import os
import pathlib
import resource
import signal
import subprocess
import sys

import pytest
import tensorflow as tf

from tests.training import runs
from tf_resflow import numerics
from tf_resflow import training
from tf_resflow.training import loop


def test_what_a_run_writes(tmp_path, data_dir, monkeypatch, caplog):
  """Samples that fail do not end it."""
  pictures, sample = [], training.Trainer.sample_images

  def sample_images(self, model):
    if self.step == 2:
      numerics.check_converged(numerics.Banach(max_steps=1).solve(
          lambda x: 0.5 * tf.sin(x), tf.ones([2, 3])), 'a block')
    return sample(self, model)

  monkeypatch.setattr(training.Trainer, 'sample_images', sample_images)
  with caplog.at_level(logging.WARNING, 'tf_resflow'):
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
  assert pictures == [('samples_00000003.png', (64, 8, 8, 1))]
  [record] = caplog.records
  assert record.message.startswith('No samples of step 2: ')
  assert 'a block: expected convergence' in record.message
  assert training.load_model(str(tmp_path))[1] == 3


def test_finished_run_is_left_as_it_is(copied_run, data_dir, caplog):
  before = runs.contents(copied_run / 'checkpoints')
  with caplog.at_level(logging.WARNING, 'tf_resflow'):
    assert training.train(runs.config(data_dir), str(copied_run)).step == 4
  assert runs.contents(copied_run / 'checkpoints') == before
  assert 'Raise --num_steps to continue' in caplog.records[-1].message


def test_signals_are_handed_back():
  before = signal.getsignal(signal.SIGTERM)
  with loop.StopOnSignal() as signals:
    signals.check(3)
    os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(training.TrainingInterruptedError, match='step 3'):
      signals.check(3)
  assert signal.getsignal(signal.SIGTERM) is before


@contextlib.contextmanager
def _full_disk():
  """Files may not grow beyond a limit, which fails as a full disk does."""
  old_limit = resource.getrlimit(resource.RLIMIT_FSIZE)
  old_handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
  resource.setrlimit(resource.RLIMIT_FSIZE, (1000, old_limit[1]))
  try:
    yield
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, old_limit)
    signal.signal(signal.SIGXFSZ, old_handler)


def test_signals_and_a_full_disk_lose_no_state(
    finished_run, tmp_path, data_dir, monkeypatch):
  """A run that they end three times ends where an undisturbed one does."""
  workdir, config = str(tmp_path / 'run'), runs.config(data_dir)
  restore, save = (getattr(training.Trainer, name) for name in (
      'restore_or_initialize', 'save'))

  def signalled_restore(self):
    restore(self)
    os.kill(os.getpid(), signal.SIGINT)

  def signalled_save(self):
    save(self)
    if self.step == 2:
      os.kill(os.getpid(), signal.SIGTERM)

  def limited_save(self):
    with _full_disk() if self.step == 4 else contextlib.nullcontext():
      save(self)

  for method, replacement, error_class, message, step in (
      ('restore_or_initialize', signalled_restore,
       training.TrainingInterruptedError, '^SIGINT after step 0:', 0),
      ('save', signalled_save,
       training.TrainingInterruptedError, '^SIGTERM after step 2:', 2),
      ('save', limited_save, OSError,
       'checkpoint of step 4 cannot be written', 2)):
    with monkeypatch.context() as patch:
      patch.setattr(training.Trainer, method, replacement)
      with pytest.raises(error_class, match=message) as error:
        training.train(config, workdir)
    assert '\n' not in str(error.value)
    assert training.load_model(workdir)[1] == step
  runs.assert_equal(training.train(config, workdir), finished_run[1])
  assert [row['step'] for row in runs.rows(workdir)] == ['2', '4']


# A run that is killed and continued ends where an undisturbed one does.

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_NUM_STEPS = 16  # An epoch has 1437 / 128 = 11.2 steps.
_CHECKPOINT_EVERY = 5
_KILLS = (7, 12)
_TERMINATION = 13
# Where each process went on from.
_RESTORED = {12: 5, 13: 10, 16: 13}

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


@pytest.mark.slow
def test_a_run_that_is_killed_ends_as_an_undisturbed_one(tmp_path, data_dir):
  undisturbed, disturbed = tmp_path / 'undisturbed', tmp_path / 'disturbed'
  reference = _start(data_dir, undisturbed)
  said = {}
  for step in _KILLS:
    said[step] = _run(data_dir, disturbed, step, signal.SIGKILL)
    # The row of the last step and no later one is on the disk.
    assert runs.rows(disturbed)[-1]['step'] == str(step), said[step][1]
    assert said[step][0] == -signal.SIGKILL
  said[_TERMINATION] = _run(
      data_dir, disturbed, _TERMINATION, signal.SIGTERM)
  said[_NUM_STEPS] = _run(data_dir, disturbed)
  reference_said = reference.communicate()[1]
  assert reference.returncode == 0, reference_said
  assert said[_NUM_STEPS][0] == 0, said[_NUM_STEPS][1]

  # It went on from its checkpoints.
  for stop, restored in _RESTORED.items():
    assert f'Restored step {restored} from' in said[stop][1]
  assert 'Restored' not in said[_KILLS[0]][1]
  # SIGTERM saves, and says so.
  status, stderr = said[_TERMINATION]
  assert status == 3
  assert stderr.splitlines()[-1] == (
      f'train: error: SIGTERM after step {_TERMINATION}: its state is saved; '
      'run the same command again to continue.')
  assert 'Traceback' not in stderr

  # All is bit for bit the same.
  expected, before, found = [
      runs.tensors(workdir / 'checkpoints' / f'ckpt-{step}')
      for workdir, step in (
          (undisturbed, _NUM_STEPS), (undisturbed, _NUM_STEPS - 1),
          (disturbed, _NUM_STEPS))]
  # Weights, slots of the optimizer, averages, singular vectors, step.
  for part in ('optimizer/_trainable_variables/0/', 'optimizer/_variables/9/',
               'optimizer/_iterations/', 'ema/averages/0/', '/v/', 'step/'):
    assert any(part in key for key in expected), part
  assert not runs.different(expected, found)
  # The comparison sees a difference where there is one.
  moved = runs.different(expected, before)
  for part in ('optimizer/_trainable_variables', 'optimizer/_variables',
               'ema/averages', '/v/', 'step/'):
    assert any(part in key for key in moved), part

  # And metrics.csv has every step once.
  expected, found = runs.rows(undisturbed), runs.rows(disturbed)
  for rows in (expected, found):
    assert [row['step'] for row in rows] == [
        str(i) for i in range(1, _NUM_STEPS + 1)]
  for name in ('bits_per_dim', 'gradient_norm', 'learning_rate'):
    assert [row[name] for row in found] == [row[name] for row in expected]
