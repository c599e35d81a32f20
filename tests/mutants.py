"""Plants errors in the package, one at a time, and asks which test notices.

    python -m tests.mutants --output=mutants
    python -m tests.mutants --output=mutants --report

A mutant is the package with one small edit of `tests/edits.py`, which is named
path:line:column:kind. Edits are drawn by --seed, from each package in turn; the
first ones of a longer draw are the same.

First, each tier of tests, the fast and the slow ones, is run without an edit,
to learn which tests run which lines (`tests/run_lines.py`). A mutant meets the
tests that run its lines, those of its module's own file first, then those of
its package, the quick ones first, until one fails or --seconds are spent. Where
a fixture ran the line, all tests that may share it count. Of what runs at
import those tests count that run anything of the file.

Tests that notice every change of the text (`_DETECTORS`) are left out, and
those that fail without an edit. A mutant that takes three times as long as its
tests do, and a minute more, hangs, and counts as killed.

Everything runs in copies of the commit that was checked out when the folder
--output was begun, one copy and one core a worker. Results are appended to its
results.jsonl; the same command continues, also with other --tiers.
"""

import argparse
import ast
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

import coverage

from tests import edits
from tests import run_lines

PACKAGES = (
    'numerics', 'layers', 'bijectors', 'models', 'training', 'datasets',
    'evaluation', 'serving', 'specs', 'configuration', 'commands', 'conversion')
TIERS = {'fast': 'not slow', 'slow': 'slow'}  # And their marks.
_DETECTORS = tuple(f'tests/{name}_test.py' for name in (
    'architecture', 'docstrings', 'documents', 'mutants', 'traces'))
_NO_TESTS = 5  # A status of pytest.


def draw(root: pathlib.Path, seed: int = 0) -> Iterator[edits.Edit]:
  """Yields edits of the files of a checkout, from each package in turn."""
  for turn in itertools.zip_longest(*(
      edits.shuffled(root, f'tf_resflow/{package}', f'{seed} {package}')
      for package in PACKAGES)):
    yield from filter(None, turn)


def read(output: pathlib.Path) -> dict[str, dict]:
  """Returns the last row of each mutant."""
  path = output / 'results.jsonl'
  lines = path.read_text().splitlines() if path.exists() else ()
  return {row['name']: row for row in map(json.loads, lines)}


def _write(path, text):
  path.write_text(text)
  # What Python takes for that of any file of this size and second.
  pathlib.Path(importlib.util.cache_from_source(path)).unlink(missing_ok=True)


def lines_to_run(text: str, line: int) -> tuple[range, bool]:
  """Returns the lines of a file that run where one of them does.

  Args:
    text: the file.
    line: its number, from 1.

  Returns:
    The lines of the smallest statement, of one with a body its head; for what
    runs at import those of the whole file; and whether it does.
  """
  statements = [node for node in ast.walk(ast.parse(text))
                if isinstance(node, ast.stmt)]
  if not any(isinstance(node, ast.FunctionDef)
             and node.body[0].lineno <= line <= node.end_lineno
             for node in statements):
    return range(1, text.count('\n') + 2), True
  smallest = min(
      (node for node in statements if node.lineno <= line <= node.end_lineno),
      key=lambda node: node.end_lineno - node.lineno)
  body = getattr(smallest, 'body', None)
  end = smallest.end_lineno + 1
  return range(smallest.lineno, body[0].lineno if (
      body and line < body[0].lineno) else end), False


def _group(test):
  """Returns what pytest-xdist puts behind the name of a test: NAME@GROUP."""
  return test.rpartition('@')[2]


class Tests:
  """What is known of the tests of a tier.

  Args:
    output: the folder with the data.
    tier: of the tests.
  """

  def __init__(self, output: pathlib.Path, tier: str):
    self._tests = json.loads((output / f'{tier}.json').read_text())
    self._lines = coverage.CoverageData(output / f'{tier}.lines')
    self._lines.read()
    self._files = {name[name.index('tf_resflow/'):]: name
                   for name in self._lines.measured_files()}
    self._groups = collections.defaultdict(list)
    for test in self._tests:
      self._groups[_group(test)].append(test)

  @property
  def failed(self) -> Sequence[str]:
    """The tests that fail without an edit."""
    return [test for test, (_, failed) in self._tests.items() if failed]

  def of(self, edit: edits.Edit, text: str, seconds: float,
         ) -> tuple[Sequence[str], float]:
    """Returns the tests that an edit of a file meets, and what they take.

    Args:
      edit: the edit.
      text: the file.
      seconds: of the tests beside those of the module's own file.
    """
    statement, at_import = lines_to_run(text, edit.line)
    contexts = self._lines.contexts_by_lineno(
        self._files.get(edit.path, edit.path))
    found = set()
    for line in statement:
      for context in contexts.get(line, ()):
        test, _, phase = context.rpartition('|')
        if phase == 'setup':
          found.update(self._groups[_group(test)])
        elif test:
          found.add(test)
    package = edit.path.split('/')[1]
    mirror = re.sub(r'^tf_resflow(.*)\.py$', r'tests\1_test.py', edit.path)
    if at_import:
      found.update(test for test in self._tests if test.startswith(
          (f'{mirror}::', f'tests/{package}/')))
    known = [test for test in found if test in self._tests
             and not self._tests[test][1] and not test.startswith(_DETECTORS)]
    chosen, spent = [], 0.0
    for test in sorted(known, key=lambda test: (
        not test.startswith(mirror), not test.startswith(f'tests/{package}/'),
        self._tests[test][0], test)):
      if not test.startswith(mirror) and spent > seconds:
        break
      chosen.append(test.rpartition('@')[0])
      spent += self._tests[test][0]
    return chosen, spent


class Worker:
  """A copy of the code, and a core.

  Args:
    root: the repository.
    commit: to test.
    folder: for the copy.
    core: its number.
  """

  def __init__(self, root: pathlib.Path, commit: str, folder: pathlib.Path,
               core: int):
    self._folder, self._core, self._process = folder, core, None
    self.tree = folder / 'tree'
    self.tree.mkdir(parents=True)
    archive = subprocess.run(['git', 'archive', commit], cwd=root, check=True,
                             stdout=subprocess.PIPE).stdout
    subprocess.run(['tar', '-x', '-C', self.tree], check=True, input=archive)

  def _pytest(self, *arguments, limit=None, **environment):
    """Returns the status of pytest, None where it hangs, and what failed."""
    scratch = self._folder / 'scratch'
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    with (self._folder / 'printed').open('w') as printed:
      self._process = subprocess.Popen(
          [sys.executable, '-m', 'pytest', '-q', '-rfE', '--tb=no',
           '-p', 'no:cacheprovider', f'--basetemp={scratch}/pytest',
           *arguments],
          cwd=self.tree, stdin=subprocess.DEVNULL, stdout=printed,
          stderr=subprocess.STDOUT, start_new_session=True,
          env=os.environ | {'PYTHONPATH': str(self.tree),
                            'TMPDIR': str(scratch), 'PYTEST_ADDOPTS': ''
                            } | environment)
    try:
      status = self._process.wait(limit)
    except subprocess.TimeoutExpired:
      status = None
    finally:
      self.stop()
    return status, re.findall(
        '^(?:FAILED|ERROR) (.+?)(?: - .*)?$',
        (self._folder / 'printed').read_text(), re.MULTILINE)

  def measure(self, output: pathlib.Path, tier: str, num_workers: int) -> None:
    """Learns which tests of a tier run which lines: `Tests`."""
    folder = self._folder / 'lines'
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    status, _ = self._pytest(
        '-p', 'tests.run_lines', '-n', str(num_workers), '--dist', 'loadgroup',
        '-m', TIERS[tier], **run_lines.prepare(folder) | {
            'PYTHONPATH': f'{folder}:{self.tree}'})
    if status not in (0, 1, _NO_TESTS):
      raise RuntimeError(f'pytest ends with {status} on the {tier} tests.')
    lines = coverage.Coverage(str(output / f'{tier}.lines'), config_file=False)
    lines.combine([str(path) for path in folder.glob('lines.*')])
    lines.save()
    shutil.copy(folder / 'tests.json', output / f'{tier}.json')

  def text(self, path: str) -> str:
    """Returns the text of a file."""
    return (self.tree / path).read_text()

  def run(self, edit: edits.Edit, tests: Sequence[str], limit: float,
          ) -> str | None:
    """Returns the first test that fails with an edit, or None.

    Args:
      edit: of the code.
      tests: to run.
      limit: seconds after which they hang.
    """
    text = self.text(edit.path)
    arguments = self._folder / 'arguments'
    arguments.write_text('\n'.join(tests))
    os.sched_setaffinity(0, {self._core})  # Of this thread and what it starts.
    try:
      _write(self.tree / edit.path, edit.apply(text))
      status, failed = self._pytest('-n', '0', '-x', f'@{arguments}',
                                    '-m', '', limit=limit)
    finally:
      _write(self.tree / edit.path, text)
    if status in (0, _NO_TESTS):
      return None
    words = 'hangs' if status is None else f'pytest ends with {status}'
    return [*failed, words][0]

  def stop(self) -> None:
    """Ends what runs, and what that has started."""
    with contextlib.suppress(ProcessLookupError, AttributeError):
      os.killpg(self._process.pid, signal.SIGKILL)
      self._process.wait()


def _try(worker, edit, row, tests, seconds, grace):
  """Returns the row of a mutant after the tests of further tiers."""
  text = worker.text(edit.path)
  before, after = edit.lines(text)
  row = {'name': edit.name, 'killed_by': None, 'test': None, 'passed': {},
         'seconds': 0.0, **row, 'before': before, 'after': after}
  for tier, known in tests.items():
    if row['killed_by'] or tier in row['passed']:
      continue
    chosen, takes = known.of(edit, text, seconds)
    start = time.monotonic()
    failed = worker.run(edit, chosen, 3 * takes + grace) if chosen else None
    row['seconds'] = round(row['seconds'] + time.monotonic() - start, 1)
    if failed:
      row |= {'killed_by': tier, 'test': failed}
    else:
      row['passed'] = row['passed'] | {tier: len(chosen)}
  return row


def trial(workers: Sequence[Worker], output: pathlib.Path,
          drawn: Collection[edits.Edit], tiers: Sequence[str],
          seconds: float, grace: float = 60.0) -> None:
  """Does what is missing, and keeps the results.

  Args:
    workers: at least one.
    output: the folder of results.
    drawn: the edits.
    tiers: of the tests.
    seconds: of tests a mutant and tier.
    grace: seconds that a mutant may take beside three times the tests' time.
  """
  for tier in tiers:
    if not (output / f'{tier}.json').exists():
      workers[0].measure(output, tier, len(workers))
  tests = {tier: Tests(output, tier) for tier in tiers}
  rows = read(output)
  free = queue.SimpleQueue()
  for worker in workers:
    free.put(worker)

  def call(edit):
    worker = free.get()
    try:
      return _try(worker, edit, rows.get(edit.name, {}), tests, seconds, grace)
    finally:
      free.put(worker)

  missing = [
      edit for edit in drawn if not (row := rows.get(edit.name)) or not (
          row['killed_by'] or {*tiers} <= {*row['passed']})]
  with concurrent.futures.ThreadPoolExecutor(len(workers)) as pool:
    futures = [pool.submit(functools.partial(call, edit)) for edit in missing]
    try:
      for i, future in enumerate(concurrent.futures.as_completed(futures)):
        row = future.result()
        with (output / 'results.jsonl').open('a') as file:
          file.write(json.dumps(row) + '\n')
        print(f'{i + 1} of {len(futures)}:', *row.values(), file=sys.stderr)
    except BaseException:  # Ctrl-C, too: nothing comes of what it ends.
      pool.shutdown(wait=False, cancel_futures=True)
      for worker in workers:
        worker.stop()
      raise


def report(output: pathlib.Path) -> None:
  """Prints what killed how many mutants, and which are alive."""
  rows = read(output).values()
  ends = [*TIERS, None]
  counts = collections.Counter(
      (package, row['killed_by']) for row in rows
      for package in (row['name'].split('/')[1], 'all'))
  print(' ' * 14, *(f'{end or "alive":>8s}' for end in ends))
  for package in (*PACKAGES, 'all'):
    print(f'{package:14s}', *(f'{counts[package, end]:8d}' for end in ends))
  fast, slow = (counts['all', end] for end in TIERS)
  print(f'The fast tier kills {fast} of the {fast + slow} that both kill.')
  for end, title in (('slow', 'Killed by slow tests alone'), (None, 'Alive')):
    print(f'\n{title}:')
    for row in rows:
      if row['killed_by'] == end:
        passed = ', '.join(f'{n} {tier}' for tier, n in row['passed'].items())
        print(f'  {row["name"]}\n    - {row["before"]}\n    + {row["after"]}\n'
              f'    {row["test"] or ""} (passes {passed} tests)')
  for tier in TIERS:
    if (output / f'{tier}.json').exists():
      for test in Tests(output, tier).failed:
        print(f'\nFails without an edit, and is left out: {test}')


def main() -> None:
  """Does what is missing, and reports."""
  parser = argparse.ArgumentParser(
      description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('--output', required=True, type=pathlib.Path)
  parser.add_argument('--num_mutants', type=int, default=150)
  parser.add_argument('--seed', type=int, default=0)
  parser.add_argument('--seconds', type=float, default=300.0,
                      help='of tests a mutant and tier')
  parser.add_argument('--workers', type=int, default=2)
  parser.add_argument('--tiers', nargs='+', default=[*TIERS], choices=TIERS)
  parser.add_argument('--report', action='store_true',
                      help='only report on what is there')
  options = parser.parse_args()
  output = options.output.resolve()
  # Ends what was started, as Ctrl-C does.
  signal.signal(signal.SIGTERM, signal.default_int_handler)
  if not options.report:
    root = pathlib.Path(__file__).resolve().parents[1]
    output.mkdir(parents=True, exist_ok=True)
    commit = output / 'commit'
    if not commit.exists():
      commit.write_text(subprocess.run(
          ['git', 'rev-parse', 'HEAD'], cwd=root, check=True, text=True,
          stdout=subprocess.PIPE).stdout)
    cores = itertools.cycle(sorted(os.sched_getaffinity(0)))
    with tempfile.TemporaryDirectory() as folder:
      workers = [Worker(root, commit.read_text().strip(),
                        pathlib.Path(folder, str(i)), next(cores))
                 for i in range(options.workers)]
      drawn = itertools.islice(
          draw(workers[0].tree, options.seed), options.num_mutants)
      trial(workers, output, [*drawn], options.tiers, options.seconds)
  report(output)


if __name__ == '__main__':
  main()
