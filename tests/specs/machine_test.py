"""Cores and memory, by files of control groups in a folder of our own."""

import os

import pytest

from tests import testing
from tf_resflow.specs import machine


@pytest.fixture(name='write')
def write_fixture(tmp_path, monkeypatch):
  """Returns a function that writes a file of a machine of 8 cores and 8 GB."""
  monkeypatch.setattr(machine, '_ROOT', tmp_path)
  monkeypatch.setattr(
      os, 'sched_getaffinity', lambda pid: set(range(8)), raising=False)
  monkeypatch.setattr(os, 'sysconf', lambda name: {
      'SC_PAGE_SIZE': 4000, 'SC_PHYS_PAGES': 2 * 10**6}[name])

  def write(name, text):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'{text}\n')

  write('proc/self/cgroup', '0::/')
  return write


@pytest.mark.reliability(promise='control-group')
def test_cores(write, monkeypatch):
  assert machine.num_cores() == 8
  for text, expected in (
      ('max 100000', 8), ('150000 100000', 2), ('20000 100000', 1),
      ('900000 100000', 8), ('200000 50000', 4)):
    write('sys/fs/cgroup/cpu.max', text)
    assert machine.num_cores() == expected, text
  # The group of this process counts, and those above it.
  write('proc/self/cgroup', '1:cpu:/no\n0::/user.slice/job')
  for name, text, expected in (
      ('user.slice/job', '300000 100000', 3), ('user.slice', '2000 1000', 2),
      ('other', '1000 1000', 2)):
    write(f'sys/fs/cgroup/{name}/cpu.max', text)
    assert machine.num_cores() == expected, name
  monkeypatch.delattr(os, 'sched_getaffinity')
  monkeypatch.setattr(os, 'cpu_count', lambda: None)
  assert machine.num_cores() == 1


def test_memory(write, monkeypatch):
  assert machine.memory_bytes() == 8 * 10**9
  for name, text, expected in (
      ('memory.max', 'max', 8), ('memory.max', '2000000000', 2),
      ('memory/memory.limit_in_bytes', '9223372036854771712', 2),
      ('memory/memory.limit_in_bytes', '1000000000', 1)):
    write(f'sys/fs/cgroup/{name}', text)
    assert machine.memory_bytes() == expected * 10**9, (name, text)


@pytest.mark.reliability(promise='too-large')
def test_what_needs_more_than_the_memory(write, monkeypatch):
  machine.check_memory(8e9, 'num_samples', 10**9)
  testing.check_refusals(
      lambda num: machine.check_memory(num, 'num_samples', 10**9), [
          (8e12, 'num_samples=1000000000 needs 7.45e+03 GiB of memory or more. '
           'This machine has 7.45 GiB; take a smaller number.')])

  def fail(_):
    raise ValueError

  # It may be unknown.
  monkeypatch.setattr(os, 'sysconf', fail)
  assert machine.memory_bytes() is None
  machine.check_memory(8e12, 'num_samples', 10**9)
