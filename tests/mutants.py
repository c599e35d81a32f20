"""Plants errors in the package, one at a time, and asks which test notices.

    python -m tests.mutants --base=676ad6a --output=mutants.jsonl
    python -m tests.mutants --output=mutants.jsonl --report

A mutant is the package with one small edit of `tests/edits.py`, which is named
path:line:column:kind. Edits are drawn by --seed, from each package in turn; the
first ones of a longer draw are the same. A mutant goes through stages, until a
test fails:

    mirror    the test file of the module
    package   the other fast tests of the package, and tests/conformance
    fast      the other fast tests
    slow      the slow tests
    old       with --base, for what survived the others: the test files of that
              commit that were changed or removed since, on the present package

Tests that notice every change of the text (`_DETECTORS`) are left out. First,
each folder of tests is run without an edit. That gives the time limits, three
times as long and a minute more: a mutant that takes longer hangs, and counts as
killed. Tests that fail then are left out, too.

Everything runs in copies of the commit that was checked out when --output was
begun, one copy and one core a worker. Results are appended to --output, a line
of JSON each; the same command continues, also with other --stages.
"""

import argparse
import collections
from collections.abc import Collection, Iterator, Sequence
import concurrent.futures
import contextlib
import functools
import importlib.util
import itertools
import json
import os
import pathlib
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

from tests import edits

PACKAGES = (
    'numerics', 'layers', 'bijectors', 'models', 'training', 'datasets',
    'evaluation', 'serving', 'specs', 'configuration', 'commands', 'conversion')
# From the stages to the tiers of their tests, and from these to marks.
STAGES = {'mirror': 'fast', 'package': 'fast', 'fast': 'fast', 'slow': 'slow',
          'old': 'old'}
_MARKS = {'fast': 'not slow', 'slow': 'slow', 'old': ''}
_DETECTORS = [f'tests/{name}_test.py' for name in (
    'architecture', 'docstrings', 'documents', 'mutants', 'traces')]
_NO_TESTS = 5  # A status of pytest.


class Outcome(NamedTuple):
  """What became of a run: the status of pytest, None where it hung."""

  status: int | None
  seconds: float = 0.0
  failed: Sequence[str] = ()


def draw(root: pathlib.Path, seed: int = 0) -> Iterator[edits.Edit]:
  """Yields edits of the files of a checkout, from each package in turn."""
  for turn in itertools.zip_longest(*(
      edits.shuffled(root, f'tf_resflow/{package}', f'{seed} {package}')
      for package in PACKAGES)):
    yield from filter(None, turn)


def read(output: pathlib.Path) -> tuple[list[dict], dict[str, dict]]:
  """Returns all rows of a file of results, and the last of each mutant."""
  rows = [json.loads(line) for line in output.read_text().splitlines()]
  return rows, {row['name']: row for row in rows if 'name' in row}


def _git(root, *arguments):
  return subprocess.run(
      ['git', *arguments], cwd=root, check=True, stdout=subprocess.PIPE).stdout


def _check_out(root, commit, folder, *paths):
  folder.mkdir(parents=True, exist_ok=True)
  subprocess.run(['tar', '-x', '-C', folder], check=True,
                 input=_git(root, 'archive', commit, *paths))


def _write(path, text):
  path.write_text(text)
  # What Python takes for that of any file of this size and second.
  pathlib.Path(importlib.util.cache_from_source(path)).unlink(missing_ok=True)


class Worker:
  """A copy of the code, another one with the old tests, and a core.

  Args:
    root: the repository.
    commit: to test.
    base: the commit of the old tests, or None.
    folder: for the copies.
    core: its number.

  Attributes:
    suites: what a process of pytest runs: from a tier and a folder of tests/,
      '' for its own files, to files.
  """

  def __init__(self, root: pathlib.Path, commit: str, base: str | None,
               folder: pathlib.Path, core: int):
    self._folder, self._core, self._process = folder, core, None
    self._trees = dict.fromkeys(_MARKS, folder / 'new')
    _check_out(root, commit, folder / 'new')
    tests = [path.relative_to(folder / 'new').as_posix()
             for path in sorted(folder.glob('new/tests/**/*_test.py'))]
    old_tests = []
    if base is not None:
      self._trees['old'] = folder / 'old'
      _check_out(root, commit, folder / 'old')
      shutil.rmtree(folder / 'old/tests')
      _check_out(root, base, folder / 'old', 'tests')
      old_tests = _git(
          root, 'diff', '--name-only', '--no-renames', '--diff-filter=DM', base,
          commit, '--', 'tests/*_test.py').decode().split()
    self.suites = collections.defaultdict(list)
    for tier, paths in (('fast', tests), ('slow', tests), ('old', old_tests)):
      for path in paths:
        if path not in _DETECTORS:
          _, *folders, _ = path.split('/')
          self.suites[tier, (folders or [''])[0]].append(path)

  def text(self, path: str) -> str:
    """Returns the text of a file."""
    return (self._trees['fast'] / path).read_text()

  def run(self, tier: str, files: Sequence[str],
          edit: edits.Edit | None = None, without: Collection[str] = (),
          limit: float | None = None) -> Outcome:
    """Runs tests; with an edit until one of them fails.

    Args:
      tier: of the tests.
      files: of the tests.
      edit: of the code.
      without: files, or tests, to leave out.
      limit: seconds after which they hang.
    """
    files = [file for file in files if file not in without]
    if not files:
      return Outcome(_NO_TESTS)
    tree, scratch = self._trees[tier], self._folder / 'scratch'
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    os.sched_setaffinity(0, {self._core})  # Of this thread and what it starts.
    text = edit and self.text(edit.path)
    start = time.monotonic()
    try:
      if edit:
        _write(tree / edit.path, edit.apply(text))
      with (self._folder / 'printed').open('w') as printed:
        self._process = subprocess.Popen(
            [sys.executable, '-m', 'pytest', '-q', '-rfE', '--tb=no', '-n', '0',
             '-p', 'no:cacheprovider', f'--basetemp={scratch}/pytest',
             '-x' if edit else '--continue-on-collection-errors',
             '-m', _MARKS[tier], *files,
             *(f'--deselect={test}' for test in without)],
            cwd=tree, stdin=subprocess.DEVNULL, stdout=printed,
            stderr=subprocess.STDOUT, start_new_session=True, env=os.environ | {
                'PYTHONPATH': str(tree), 'TMPDIR': str(scratch),
                'PYTEST_ADDOPTS': ''})
      status = self._process.wait(limit)
    except subprocess.TimeoutExpired:
      status = None
    finally:
      self.stop()
      if edit:
        _write(tree / edit.path, text)
    failed = re.findall('^(?:FAILED|ERROR) (.+?)(?: - .*)?$',
                        (self._folder / 'printed').read_text(), re.MULTILINE)
    return Outcome(status, round(time.monotonic() - start, 1), failed)

  def stop(self) -> None:
    """Ends what runs, and what that has started."""
    with contextlib.suppress(ProcessLookupError, AttributeError):
      os.killpg(self._process.pid, signal.SIGKILL)
      self._process.wait()


class Trial:
  """Tries edits in several workers, and keeps the results in a file.

  Args:
    workers: at least one.
    output: the file of results.
    grace: seconds that a mutant may take beside three times the others' time.
  """

  def __init__(self, workers: Sequence[Worker], output: pathlib.Path,
               grace: float = 60.0):
    self._workers, self._output, self._grace = workers, output, grace
    rows, self._results = read(output)
    self._measured = {
        tuple(row['suite']): row for row in rows if 'suite' in row}

  def run(self, drawn: Collection[edits.Edit], stages: Sequence[str]) -> None:
    """Does what is missing; the old tests come after all others."""
    for phase in [s for s in stages if s != 'old'], {'old'} & {*stages}:
      missing = []
      for edit in drawn:
        row = self._row(edit)
        left = [s for s in phase if s not in row['passed']]
        if left and not row['killed_by']:
          missing.append((edit, left))
      suites = dict.fromkeys(
          suite for edit, left in missing for stage in left
          for suite, _ in self._parts(edit, stage))
      for row in self._in_parallel(
          functools.partial(self._measure, suite=suite) for suite in suites
          if suite not in self._measured):
        self._measured[row['suite']] = row
      for row in self._in_parallel(
          functools.partial(self._try, edit=edit, stages=left)
          for edit, left in missing):
        self._results[row['name']] = row

  def _row(self, edit):
    return self._results.get(edit.name) or {
        'name': edit.name, 'killed_by': None, 'test': None, 'passed': [],
        'seconds': 0.0}

  def _parts(self, edit, stage):
    """Yields the suites of a stage, its own and quick ones first, and files."""
    first = edit.path.split('/')[1], 'conformance'
    mirror = re.sub(r'^tf_resflow(.*)\.py$', r'tests\1_test.py', edit.path)
    suites = self._workers[0].suites
    for suite in sorted(suites, key=lambda suite: (
        suite[1] != first[0], suite[1] != first[1],
        self._measured.get(suite, {}).get('seconds', 0.0))):
      files = [file for file in suites[suite] if suite[0] == STAGES[stage] and {
          'mirror': file == mirror,
          'package': file != mirror and suite[1] in first,
          'fast': suite[1] not in first}.get(stage, True)]
      if files:
        yield suite, files

  def _in_parallel(self, tasks):
    """Yields the rows that functions of a worker return, and keeps them."""
    free = queue.SimpleQueue()
    for worker in self._workers:
      free.put(worker)

    def call(task):
      worker = free.get()
      try:
        return task(worker)
      finally:
        free.put(worker)

    with concurrent.futures.ThreadPoolExecutor(len(self._workers)) as pool:
      futures = [pool.submit(call, task) for task in tasks]
      try:
        for i, future in enumerate(concurrent.futures.as_completed(futures)):
          row = future.result()
          with self._output.open('a') as file:
            file.write(json.dumps(row) + '\n')
          print(f'{i + 1} of {len(futures)}:', *row.values(), file=sys.stderr)
          yield row
      except BaseException:  # Ctrl-C, too: nothing comes of what it ends.
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in self._workers:
          worker.stop()
        raise

  def _measure(self, worker, suite):
    outcome = worker.run(suite[0], worker.suites[suite])
    if outcome.status not in (0, 1, _NO_TESTS):
      raise RuntimeError(f'{suite}: pytest ends with {outcome.status}.')
    return {'suite': suite, **outcome._asdict()}

  def _try(self, worker, edit, stages):
    before, after = edit.lines(worker.text(edit.path))
    row = self._row(edit) | {'before': before, 'after': after}
    for stage in stages:
      for suite, files in self._parts(edit, stage):
        measured = self._measured[suite]
        if measured['status'] == _NO_TESTS:
          continue
        outcome = worker.run(suite[0], files, edit, measured['failed'],
                             3 * measured['seconds'] + self._grace)
        row['seconds'] = round(row['seconds'] + outcome.seconds, 1)
        if outcome.status not in (0, _NO_TESTS):
          words = 'hangs' if outcome.status is None else (
              f'pytest ends with {outcome.status}')
          return row | {
              'killed_by': stage, 'test': [*outcome.failed, words][0]}
      row['passed'] = [*row['passed'], stage]
    return row


def report(output: pathlib.Path) -> None:
  """Prints what killed how many mutants, and which are alive."""
  rows, results = read(output)
  ends = [*STAGES, None]
  counts = collections.Counter(
      (package, row['killed_by']) for row in results.values()
      for package in (row['name'].split('/')[1], 'all'))
  print(' ' * 14, *(f'{end or "alive":>8s}' for end in ends))
  for package in (*PACKAGES, 'all'):
    print(f'{package:14s}', *(f'{counts[package, end]:8d}' for end in ends))
  fast = sum(counts['all', end] for end in ('mirror', 'package', 'fast'))
  both = fast + counts['all', 'slow']
  print(f'The fast tier kills {fast} of the {both} that both tiers kill.')
  for end, title in (('slow', 'Killed by slow tests alone'),
                     ('old', 'Killed by old tests alone'), (None, 'Alive')):
    print(f'\n{title}:')
    for row in results.values():
      if row['killed_by'] == end:
        print(f'  {row["name"]}\n    - {row["before"]}\n    + {row["after"]}\n'
              f'    {row["test"] or "passes " + ", ".join(row["passed"])}')
  for row in rows:
    for test in row.get('failed', ()):
      print(f'\nFails without an edit, and is left out: {test}')


def main() -> None:
  """Does what is missing, and reports."""
  parser = argparse.ArgumentParser(
      description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('--output', required=True, type=pathlib.Path)
  parser.add_argument('--base', help='the commit of the old tests')
  parser.add_argument('--num_mutants', type=int, default=150)
  parser.add_argument('--seed', type=int, default=0)
  parser.add_argument('--workers', type=int, default=2)
  parser.add_argument('--stages', nargs='+', default=[*STAGES], choices=STAGES)
  parser.add_argument('--report', action='store_true',
                      help='only report on what is there')
  options = parser.parse_args()
  # Ends what was started, as Ctrl-C does.
  signal.signal(signal.SIGTERM, signal.default_int_handler)
  if not options.report:
    root = pathlib.Path(__file__).resolve().parents[1]
    if not options.output.exists():
      commit = _git(root, 'rev-parse', 'HEAD').decode().strip()
      options.output.write_text(json.dumps({'commit': commit}) + '\n')
    commit = read(options.output)[0][0]['commit']
    cores = itertools.cycle(sorted(os.sched_getaffinity(0)))
    with tempfile.TemporaryDirectory() as folder:
      workers = [Worker(root, commit, options.base,
                        pathlib.Path(folder, str(i)), next(cores))
                 for i in range(options.workers)]
      drawn = itertools.islice(draw(pathlib.Path(folder, '0/new'),
                                    options.seed), options.num_mutants)
      Trial(workers, options.output).run([*drawn], [
          stage for stage in options.stages if stage != 'old' or options.base])
  report(options.output)


if __name__ == '__main__':
  main()
