"""A real study by real processes: killed thrice, and read from its log."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
import zipfile

import pytest

from tests.commands import processes
from tf_resflow.experiments import study as study_lib
from tf_resflow.experiments import study_queue
from tf_resflow.experiments import trials

_MODULE = textwrap.dedent("""
    from tf_resflow.experiments import study
    from tf_resflow.specs import registries

    registries.STUDIES.register('mine', study.Study(
        title='Which block?', cases={
            'residual': {}, 'coupling': {
                'block': 'coupling', 'activation': 'relu',
                'lipschitz_coeff': None}},
        workloads={'moons': study.Workload(
            flagfile='2d', num_steps=30, settings={
                'dataset': '2d/moons', 'num_blocks': 2, 'hidden_units': (8,)})},
        rates=(0.01, 0.1), num_seeds=1, metrics=('nats',), max_extensions=0))
    """)


@pytest.fixture
def folder(tmp_path):
  (tmp_path / 'my_study.py').write_text(_MODULE)
  return tmp_path


def _command(*arguments):
  return [sys.executable, str(processes.ROOT / 'bin' / 'study'), 'mine',
          '--import=my_study', *arguments]


def _records(folder):
  """Returns the log without its times.

  And looks: a run that outlives its queue for a moment may look, too.
  """
  header, *records = map(
      json.loads, (folder / study_lib.LOG).read_text().splitlines())
  return header, [
      {k: v for k, v in record.items() if k not in ('seconds', 'looks')}
      for record in records]


def _tables(result):
  return result.stdout.partition('Looks at test parts')[0]


def _wait(condition, process):
  while process.poll() is None and not condition():
    time.sleep(0.02)
  assert process.poll() is None, 'it ended before the kill'


@pytest.mark.slow
def test_a_queue_that_is_killed_three_times_has_the_same_log(folder):
  once = subprocess.run(
      _command('--workdir=once'), cwd=folder, capture_output=True, text=True,
      check=True)
  whole = _records(folder / 'once')
  killed = folder / 'killed'
  # At the start, in runs of all kinds, and after records.
  for num_records, name in (
      (0, ''), (1, 'tune-moons-coupling-0.01-0/checkpoints'),
      (5, 'checkpoints')):
    process = subprocess.Popen(
        _command('--workdir=killed'), cwd=folder, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL)

    def is_there(num_records=num_records, name=name):
      log = killed / study_lib.LOG
      return log.exists() and len(log.read_text().splitlines()) > (
          num_records) and any(
              name in os.path.join(path, '') for path, *_ in os.walk(killed))

    _wait(is_there, process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
  result = subprocess.run(
      _command('--workdir=killed', '--output=killed.png'), cwd=folder,
      capture_output=True, text=True, check=True)
  assert _records(killed) == whole
  assert _tables(result) == _tables(once)
  assert (folder / 'killed.png').stat().st_size > 0
  # The log alone makes the same tables.
  again = subprocess.run(
      _command('--log=killed/study.jsonl'), cwd=folder, capture_output=True,
      text=True, check=True)
  assert again.stdout == result.stdout


@pytest.mark.slow
def test_a_signal_stops_the_run_and_the_queue(folder):
  process = subprocess.Popen(
      _command('--workdir=stopped'), cwd=folder, stderr=subprocess.PIPE,
      text=True)
  checkpoints = (
      folder / 'stopped' / 'tune-moons-residual-0.01-0' / 'checkpoints')
  _wait(checkpoints.exists, process)
  process.terminate()
  _, stderr = process.communicate()
  assert process.returncode == 3, stderr
  assert 'run the same command again' in stderr


def test_a_task_that_fails_keeps_the_records(tmp_path):
  """Its last line is shown; what was done before stays done."""
  study = study_lib.Study(
      title='A question', cases={'a': {}, 'b': {}},
      workloads={'digits': study_lib.Workload(flagfile='digits', num_steps=9)},
      rates=(0.01, 0.02))

  def command(tool, arguments):
    assert tool == 'study' and arguments[0] == 'mine'
    is_first = arguments[-1] == '--task=tune-digits-a-0.01-0'
    return [sys.executable, '-c', "print('{\"bits_per_dim\": 1.5, "
            "\"num_steps\": 9}')" if is_first else
            "import sys; sys.exit('study: error: the disk is full.')"]

  lines = []
  queue = study_queue.Queue(
      study, str(tmp_path), command_fn=command, worker=['mine'],
      progress_fn=lines.append)
  with pytest.raises(study_queue.TaskError, match='the disk is full'):
    queue.run('mine')
  assert lines[0] == 'A question: 10 runs left.'
  assert lines[1].startswith(
      'tune-digits-a-0.01-0: 9 steps, 1.5000 bits_per_dim (')
  assert len((tmp_path / study_lib.LOG).read_text().splitlines()) == 2


_PROGRAM = textwrap.dedent("""
    import sys
    import numpy as np

    rows, seed = np.load(sys.argv[1]), int(sys.argv[3])
    assert len(rows['train']) == 96 and len(rows['validation']) == 24
    np.savez(sys.argv[2], log_prob=np.full(len(rows['points']), -float(seed)))
    """)


def _queue(folder, text=_PROGRAM, requirements=()):
  """Returns the queue of a study of two programs; its tasks run in here."""
  path = folder / 'program.py'
  path.write_text(text)
  program = study_lib.Program(script=path, requirements=requirements)
  study = study_lib.Study(
      title='A question', cases={'a': program, 'b': program}, rates=(),
      workloads={'iris': study_lib.Workload(
          flagfile='table', settings={'dataset': 'tables:iris'})},
      num_seeds=2, metrics=('nats',))

  def command(unused_tool, arguments):
    name = arguments[-1].removeprefix('--task=')
    (task,) = (t for t in study.pending({}) if t.name == name)
    record = trials.run(study, task, {}, str(folder / name))
    return [sys.executable, '-c', f'print({json.dumps(record)!r})']

  return study_queue.Queue(
      study, str(folder), command_fn=command, worker=['mine'],
      progress_fn=lambda line: None)


def test_programs_are_run_and_compared(tmp_path):
  text = ('import pathlib\nmark = pathlib.Path(__file__ + ".mark")\n'
          'was = mark.exists()\nmark.touch()\nassert was\n') + _PROGRAM
  with pytest.raises(study_queue.TaskError):  # It has looked at nothing.
    _queue(tmp_path, text).run('mine')
  records = _queue(tmp_path, text).run('mine')
  for case in 'ab':
    for seed in (1, 2):
      record = records[f'final-iris-{case}-{seed}']
      assert record['nats'] == pytest.approx(seed) and record['looks'] == 1
  assert records['compare-iris-b']['nats'] == (0.0, 0.0, 0.0, 0.0)


def test_a_program_that_fails_is_told_like_a_task(tmp_path):
  with pytest.raises(
      study_queue.TaskError,
      match='ended with status 1: ValueError: no rows .*final-iris-a-1.log'):
    _queue(tmp_path, 'raise ValueError("no rows")').run('mine')


@pytest.mark.slow
def test_environments_are_made_once(tmp_path):
  """One with a wheel that is nowhere else, and without what is here."""
  wheel = tmp_path / 'tiny-1.0-py3-none-any.whl'
  with zipfile.ZipFile(wheel, 'w') as file:
    info = 'tiny-1.0.dist-info/'
    for name, text in (
        ('tiny.py', 'x = 1'),
        (info + 'METADATA', 'Metadata-Version: 2.1\nName: tiny\nVersion: 1.0'),
        (info + 'WHEEL', 'Wheel-Version: 1.0\nGenerator: test\n'
         'Root-Is-Purelib: true\nTag: py3-none-any'),
        (info + 'RECORD', '')):
      file.writestr(name, text)
  with pytest.raises(
      study_queue.TaskError, match="No module named 'numpy'"):
    _queue(tmp_path, 'import tiny\nimport numpy', [str(wheel)]).run('mine')
  (folder,) = (tmp_path / 'environments').glob('*/')
  made = (folder / 'requirements.txt').stat().st_mtime_ns
  with pytest.raises(study_queue.TaskError, match="No module named 'numpy'"):
    _queue(tmp_path, 'import tiny\nimport numpy', [str(wheel)]).run('mine')
  assert (folder / 'requirements.txt').stat().st_mtime_ns == made


def test_how_long_it_takes_is_said_first():
  study = study_lib.Study(
      title='A question', cases={'a': {}, 'b': {}}, num_seeds=3,
      workloads={'digits': study_lib.Workload(flagfile='digits', seconds=60.0),
                 'large': study_lib.Workload(flagfile='mnist5k', seconds=600.0)
                 }, rates=(0.01, 0.02))
  # Four trials and six finalists of 60 s, six of 600 s, 15 s of start each.
  assert study_queue.outlook(study, {}) == '16 runs left, about 1:14 h'
  # One took twice as long: other programs ran as well.
  (task, *_) = [t for t in study._trials({})]
  assert study_queue.outlook(study, {task.name: {
      'kind': 'tune', 'workload': 'digits', 'seconds': 150.0,
      'bits_per_dim': 2.0}}) == '15 runs left, about 2:26 h'
