"""The right to write to the folder of a run: who has it, who takes it over.

Machines are played by their identifiers: another one does not see the lock.
"""

import contextlib
import errno
import fcntl
import json
import os
import re
import threading
import time

import pytest

from tests import splits
from tests.training import runs
from tf_resflow import training
from tf_resflow.training import lease as lease_lib


def _hold(workdir, **changes):
  """Writes what a killed process left, of this machine unless changed."""
  holder = {'id': 'theirs', 'host': 'theirs', 'process': 7,
            'kernel': lease_lib._kernel(), 'is_locked': True, **changes}
  (workdir / 'run.lock').write_text(json.dumps(holder))


def _process(workdir):
  return json.loads((workdir / 'run.lock').read_text())['process']


@pytest.mark.reliability(promise='same-run-twice')
def test_one_process_holds_a_run(tmp_path):
  """What it made is gone when it ends without having written."""
  workdir = tmp_path / 'run'
  with lease_lib.Lease(str(workdir)) as lease:
    assert _process(workdir) == os.getpid()
    assert splits.refusal(lease_lib.Lease(str(workdir)).__enter__).startswith(
        f'workdir={workdir}: expected a run that no other process trains. It '
        f'is trained by process {os.getpid()} on ')
    lease.check()
  assert not workdir.exists()
  workdir.mkdir()
  with lease_lib.Lease(str(workdir)):
    pass
  assert workdir.exists() and not os.listdir(workdir)


@pytest.mark.reliability(promise='takeover')
def test_a_lease_is_lost_by_a_takeover(tmp_path):
  """The former holder ends without touching that of the new one."""
  with contextlib.ExitStack() as stack:
    with lease_lib.Lease(str(tmp_path)) as former:
      lease = stack.enter_context(lease_lib.Lease(str(tmp_path), takeover=True))
      with pytest.raises(lease_lib.LeaseLostError, match='taken over') as info:
        former.check()
      assert info.value.exit_status == 4
    lease.check()
    (tmp_path / 'run.lock').unlink()  # By hand.
    with pytest.raises(lease_lib.LeaseLostError, match='has no run.lock'):
      lease.check()


@pytest.mark.reliability(promise='links')
def test_what_is_no_regular_file_is_refused(tmp_path):
  """A stranger could have a file written, or this process wait for ever."""
  path = tmp_path / 'run.lock'
  for make, remove in (
      (lambda: path.symlink_to(tmp_path / 'victim'), path.unlink),
      (lambda: os.mkfifo(path), path.unlink), (path.mkdir, path.rmdir)):
    make()
    assert splits.refusal(lease_lib.Lease(str(tmp_path)).__enter__).startswith(
        f'file={path}: expected a regular file.')
    assert os.listdir(tmp_path) == ['run.lock']
    remove()


@pytest.mark.parametrize('text', [
    None, '', '{"id": 1}', '[' * 600, 'x' * 2000, json.dumps({
        'id': 'a', 'host': 'b\n', 'process': 1, 'kernel': 'c',
        'is_locked': False})])
@pytest.mark.reliability(promise='lock-of-the-killed')
def test_a_dead_process_of_this_machine_is_known_at_once(
    tmp_path, monkeypatch, text):
  """So is a file that none can have written who lives."""
  monkeypatch.setattr(lease_lib.Lease, '_sees_heartbeat', None)
  _hold(tmp_path)
  if text is not None:
    (tmp_path / 'run.lock').write_text(text)
  with lease_lib.Lease(str(tmp_path)) as lease:
    lease.check()


@pytest.mark.parametrize('changes', [{'kernel': 'theirs'}, {
    'is_locked': False}])
@pytest.mark.reliability(promise='another-machine')
def test_another_machine_is_dead_without_a_heartbeat(
    tmp_path, changes, caplog):
  _hold(tmp_path, **changes)
  with lease_lib.Lease(str(tmp_path), timeout=0.3) as lease:
    lease.check()
  assert 'held by process 7 on theirs; waiting up to 0.3 s' in caplog.text


@pytest.mark.parametrize('ends', [False, True])
@pytest.mark.reliability(promise='heartbeat')
def test_a_heartbeat_of_another_machine(tmp_path, ends):
  """A run that it gives back is free at once."""
  _hold(tmp_path, kernel='theirs', num_heartbeats=9)  # Of a former version.
  path = tmp_path / 'run.lock'
  threading.Timer(0.5, path.unlink if ends else path.touch).start()
  lease = lease_lib.Lease(str(tmp_path), timeout=60)
  if ends:
    with lease:
      lease.check()
  else:
    assert 'by process 7 on theirs, since an unknown time.' in splits.refusal(
        lease.__enter__)
    assert _process(tmp_path) == 7


@pytest.mark.reliability(promise='heartbeat')
def test_heartbeats(tmp_path, monkeypatch):
  """They go to a file of their own after a takeover."""
  monkeypatch.setattr(lease_lib, '_INTERVAL', 0.01)
  path = tmp_path / 'run.lock'

  def wait():
    for _ in range(3):
      before = path.stat().st_mtime_ns
      while path.stat().st_mtime_ns == before:
        time.sleep(0.01)

  with lease_lib.Lease(str(tmp_path)) as former:
    wait()
    with lease_lib.Lease(str(tmp_path), takeover=True) as lease:
      wait()
      lease.check()
      assert former._thread.is_alive()
      refusal = splits.refusal(lease_lib.Lease(str(tmp_path)).__enter__)
      assert re.search(r', since \d{4}-\d\d-\d\d \d\d:\d\d\. W', refusal)


@pytest.mark.reliability(promise='no-flock')
def test_file_systems_without_locks(tmp_path, monkeypatch):
  def flock(*unused):
    raise OSError(errno.ENOTSUP, 'not supported')

  monkeypatch.setattr(fcntl, 'flock', flock)
  with lease_lib.Lease(str(tmp_path)):
    with lease_lib.Lease(str(tmp_path), timeout=0.3) as other:  # No heartbeat.
      other.check()
  monkeypatch.setattr(lease_lib, '_INTERVAL', 0.05)
  with lease_lib.Lease(str(tmp_path)):
    assert 'no other process trains' in splits.refusal(
        lease_lib.Lease(str(tmp_path)).__enter__)


@pytest.mark.reliability(promise='leftovers')
def test_what_killed_processes_left_is_removed(copied_run, caplog):
  """Nothing else is, of a run that has finished, and no step is taken."""
  workdir, kept = str(copied_run), runs.contents(copied_run / 'checkpoints')
  names = set(runs.contents(copied_run)) | {'notes.tmp', 'tensorboard/a.tmp'}
  for name in ('notes.tmp', 'tensorboard/a.tmp', 'model.json.0123abcd.tmp',
               'checkpoints/checkpoint.0123abcd.tmp'):
    (copied_run / name).write_text('')
  (copied_run / 'checkpoints' / 'ckpt-3_temp').mkdir()
  (copied_run / 'checkpoints' / 'ckpt-3_temp' / 'part-0').write_text('')
  training.train(training.load_config(workdir), workdir)
  assert set(runs.contents(copied_run)) == names
  assert runs.contents(copied_run / 'checkpoints') == kept
  assert 'raise --num_steps' in caplog.records[-1].message
