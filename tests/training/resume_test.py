"""A run that is killed and continued ends where an undisturbed one does.

Real processes run bin/train; a signal comes from within, right after a row of
metrics.csv is on the disk, so that the steps of the kills are exact. Tested is
one machine with the same number of threads: other machines may round
differently.
"""

import csv
import os
import pathlib
import signal
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

pytestmark = pytest.mark.slow

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_NUM_STEPS = 24  # An epoch has 1437 / 128 = 11.2 steps.
_CHECKPOINT_EVERY = 5
_KILLS = (7, 12, 18)
_TERMINATION = 21

_STOPPED = """
import os, runpy, sys
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
      '--sample_every=0', '--noevaluate_at_end']
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


def _rows(workdir):
  with open(workdir / 'metrics.csv', newline='') as file:
    return list(csv.DictReader(file))


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
def runs(tmp_path_factory, data_dir):
  """Two workdirs and what the processes said: undisturbed and disturbed."""
  undisturbed = tmp_path_factory.mktemp('undisturbed')
  disturbed = tmp_path_factory.mktemp('disturbed')
  reference = _start(data_dir, undisturbed)
  said = {}
  for step in _KILLS:
    said[step] = _run(data_dir, disturbed, step, signal.SIGKILL)
    # The row of the last step and no later one is on the disk.
    assert _rows(disturbed)[-1]['step'] == str(step), said[step][1]
  said[_TERMINATION] = _run(
      data_dir, disturbed, _TERMINATION, signal.SIGTERM)
  said[_NUM_STEPS] = _run(data_dir, disturbed)
  reference_said = reference.communicate()[1]
  assert reference.returncode == 0, reference_said
  return undisturbed, disturbed, said


def test_killed_runs_went_on_from_their_checkpoints(runs):
  _, _, said = runs
  for step in _KILLS:
    assert said[step][0] == -signal.SIGKILL
  assert said[_NUM_STEPS][0] == 0, said[_NUM_STEPS][1]
  for stop, restored in ((12, 5), (18, 10), (21, 15), (24, 21)):
    assert f'Restored step {restored} from' in said[stop][1]
  assert 'Restored' not in said[7][1]


def test_sigterm_saves_and_says_so(runs):
  _, _, said = runs
  status, stderr = said[_TERMINATION]
  assert status == 3
  assert stderr.splitlines()[-1] == (
      f'train: error: SIGTERM after step {_TERMINATION}: its state is saved; '
      'run the same command again to continue.')
  assert 'Traceback' not in stderr


def test_continued_run_is_bit_identical(runs):
  undisturbed, disturbed, _ = runs
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


def test_metrics_hold_every_step_once(runs):
  undisturbed, disturbed, _ = runs
  expected, found = _rows(undisturbed), _rows(disturbed)
  steps = [str(i) for i in range(1, _NUM_STEPS + 1)]
  for rows in (expected, found):
    assert [row['step'] for row in rows] == steps
  for name in ('bits_per_dim', 'gradient_norm', 'learning_rate'):
    assert [row[name] for row in found] == [row[name] for row in expected]
