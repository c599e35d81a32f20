"""Kills a run again and again, and compares its end with an undisturbed one.

  python -m tests.kills --num_kills=10 --num_processes=2

Every kill is SIGKILL, after a random time or, every third, inside a save; with
two processes to either of them. The other one must end with status 4. At the
end every tensor of the last checkpoint and every row of metrics.csv must be
those of the undisturbed run, bit for bit. Takes about 20 s a kill.
"""

import argparse
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time

from tests import hosts as hosts_lib
from tests.training import runs

_FLAGS = ('--num_steps=600', '--checkpoint_every=20', '--log_every=5',
          '--evaluate_every=100', '--noevaluate_at_end')


def _start(workdir, data_dir, num_processes):
  return hosts_lib.start_all(
      workdir, data_dir, *_FLAGS, count=num_processes,
      stderr=subprocess.DEVNULL)


def _last_step(workdir):
  path = workdir / 'metrics.csv'
  lines = path.read_text().splitlines() if path.exists() else []
  return int(lines[-1].split(',')[0]) if len(lines) > 1 else 0


def _wait(condition, processes):
  """Waits until a condition holds; returns whether all processes live then."""
  while all(process.poll() is None for process in processes):
    if condition():
      return True
    time.sleep(0.001)
  return False


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--num_kills', type=int, default=10)
  parser.add_argument('--num_processes', type=int, default=1, choices=(1, 2))
  parser.add_argument('--seed', type=int, default=0)
  options = parser.parse_args()
  rng = random.Random(options.seed)
  folder = pathlib.Path(tempfile.mkdtemp(prefix='kills'))
  whole, disturbed = folder / 'whole', folder / 'disturbed'
  statuses = [process.wait() for process in _start(
      whole, folder, options.num_processes)]
  assert not any(statuses), statuses
  count = 0
  while count < options.num_kills:
    processes = _start(disturbed, folder, options.num_processes)
    first = _last_step(disturbed)
    is_in_save = count % 3 == 2
    alive = _wait(lambda first=first: _last_step(disturbed) not in (
        0, first), processes)
    delay = rng.uniform(0.0, 2.0)
    time.sleep(delay)
    if alive and is_in_save:
      alive = _wait(lambda: any(
          name.endswith('_temp') for name in os.listdir(
              disturbed / 'checkpoints')), processes)
    victim = rng.randrange(len(processes))
    if not alive or any(p.poll() is not None for p in processes):
      sys.exit(f'It ended after {count} kills; give more --num_steps.')
    step = _last_step(disturbed)
    processes[victim].kill()
    statuses = [process.wait() for process in processes]
    count += 1
    print(f'kill {count}: process {victim} after step {step}'
          f'{", inside a save" * is_in_save}; statuses {statuses}', flush=True)
    assert all(status in (-9, 4) for status in statuses)
  statuses = [process.wait() for process in _start(
      disturbed, folder, options.num_processes)]
  assert not any(statuses), statuses
  one, other = (runs.tensors(path / 'checkpoints' / 'ckpt-600')
                for path in (whole, disturbed))
  different = runs.different(one, other)
  columns = ('step', 'bits_per_dim', 'gradient_norm', 'validation_loss')
  rows = [[[row[name] for name in columns] for row in runs.rows(path)]
          for path in (whole, disturbed)]
  print(f'{len(one)} tensors, {len(different)} of them different; '
        f'{len(rows[0])} rows, {"equal" * (rows[0] == rows[1]) or "different"}')
  leftovers = set(map(str, (p.relative_to(disturbed) for p in (
      disturbed.rglob('*'))))) - set(map(str, (p.relative_to(whole) for p in (
          whole.rglob('*')))))
  print('Files only in the killed run:', sorted(
      name for name in leftovers if 'tfevents' not in name) or 'none')
  shutil.rmtree(folder)
  sys.exit(bool(different) or rows[0] != rows[1])


if __name__ == '__main__':
  main()
