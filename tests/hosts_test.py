"""Several processes train one run: equal to one process, and after kills.

On one machine, as on several: they speak through sockets alone.
"""

import json
import os
import shutil
import signal

import numpy as np
import pytest

from tests import hosts as hosts_lib
from tests.training import runs

_NUM_STEPS = 12


def _train(workdir, data_dir, stop=None):
  """Trains in two processes; returns what they wrote, and their statuses."""
  processes = hosts_lib.start_all(workdir, data_dir, stop=stop)
  said = [process.communicate() for process in processes]
  return ([out for out, _ in said], [err for _, err in said],
          [process.returncode for process in processes])


def _weights(tensors):
  return np.concatenate([
      tensors[name].ravel() for name in sorted(tensors)
      if name.startswith('optimizer/_trainable_variables')])


@pytest.mark.slow
@pytest.mark.reliability(promise='one-killed')
@pytest.mark.reliability(promise='one-signalled')
def test_two_processes(tmp_path, data_dir):
  """Whole, killed and continued, signalled and continued; then one alone."""
  whole, disturbed, alone = (
      tmp_path / name for name in ('whole', 'disturbed', 'alone'))
  out, err, statuses = _train(whole, data_dir)
  assert statuses == [0, 0], err
  assert out[0].splitlines()[-1].startswith('{') and '{' not in out[1]

  _, err, statuses = _train(disturbed, data_dir, (6, int(signal.SIGKILL)))
  assert statuses == [4, -signal.SIGKILL], err
  assert 'process 1 (localhost:' in err[0].splitlines()[-1]
  _, err, statuses = _train(disturbed, data_dir, (9, int(signal.SIGTERM)))
  assert statuses == [3, 3], err
  (step,) = {int(row['step']) for row in runs.rows(disturbed)[-1:]}
  assert 9 <= step <= 11
  for text in err:
    assert f'after step {step}' in text.splitlines()[-1]
  again, err, statuses = _train(disturbed, data_dir)
  assert statuses == [0, 0], err

  # Bit for bit the same.
  expected, found = (runs.tensors(
      folder / 'checkpoints' / f'ckpt-{_NUM_STEPS}')
                     for folder in (whole, disturbed))
  assert not runs.different(expected, found)
  assert set(os.listdir(whole)) == set(os.listdir(disturbed))
  for name in ('step', 'bits_per_dim', 'validation_loss'):
    one, other = ([row[name] for row in runs.rows(folder)]
                  for folder in (whole, disturbed))
    assert one == other
  report, same = (json.loads(text.splitlines()[-1]) for text in (
      out[0], again[0]))
  assert report['bits_per_dim'] == same['bits_per_dim']

  # One process alone, from their checkpoint.
  shutil.copytree(whole, alone)
  for name in (f'ckpt-{_NUM_STEPS}.index', 'ckpt-8.index', 'checkpoint'):
    (alone / 'checkpoints' / name).unlink()
  (process,) = hosts_lib.start_all(alone, data_dir, count=1)
  text, error = process.communicate()
  assert process.returncode == 0, error
  assert 'Restored step 4 from' in error
  single = runs.tensors(alone / 'checkpoints' / f'ckpt-{_NUM_STEPS}')
  difference = _weights(single) - _weights(expected)
  assert np.linalg.norm(difference) < 1e-5 * np.linalg.norm(_weights(expected))
  for name in ('bits_per_dim', 'gradient_norm', 'validation_loss'):
    one, other = (np.array([float(row[name] or 0) for row in runs.rows(folder)])
                  for folder in (whole, alone))
    np.testing.assert_allclose(one, other, rtol=1e-5)
  np.testing.assert_allclose(
      json.loads(text.splitlines()[-1])['bits_per_dim'],
      report['bits_per_dim'], rtol=1e-6)


@pytest.mark.slow
@pytest.mark.reliability(promise='one-hangs')
def test_processes_that_are_missing_or_hang(tmp_path, data_dir):
  """Nobody waits for ever."""
  hosts = hosts_lib.hosts()
  alone = hosts_lib.start(
      tmp_path / 'alone', data_dir, '--strategy=multi_worker',
      f'--worker_hosts={",".join(hosts)}', '--worker_index=0',
      '--cluster_timeout=2')
  waiting, hanging = hosts_lib.start_all(
      tmp_path / 'run', data_dir, stop=(5, int(signal.SIGSTOP)))
  _, error = alone.communicate()
  assert alone.returncode == 4, error
  assert f'{hosts[1]} did not join' in error.splitlines()[-1]
  assert not (tmp_path / 'alone').exists()
  _, error = waiting.communicate()
  assert waiting.returncode == 4, error
  assert 'process 1 (localhost:' in error.splitlines()[-1]
  hanging.kill()
  hanging.communicate()
  assert 'run.lock' not in os.listdir(tmp_path / 'run')
