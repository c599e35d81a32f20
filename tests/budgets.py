"""What the tests may take, and a word about it when they take too long.

Wall-clock time decides no test: machines differ, and are busy. CONTRIBUTING.md
has the table.
"""

import collections
from collections.abc import Iterator, Mapping
import time

import pytest

# Seconds on two cores beside nothing else, with `-n 2`.
FAST, SLOW = 600, 1200
FOLDER, CONFORMANCE = 120, 240
# Beyond this multiple of its budget a run says where its time went.
_TOLERANCE = 1.5
_START = pytest.StashKey()


def lines(seconds: Mapping[str, float], elapsed: float, budget: float,
          num_processes: int) -> Iterator[str]:
  """Says which folders exceed their budgets, and what takes longest in them.

  Args:
    seconds: what the tests of each file took, summed.
    elapsed: seconds of the whole run.
    budget: seconds that it may take.
    num_processes: that ran the tests.

  Yields:
    Lines; none unless the run took half more than its budget.
  """
  if elapsed <= _TOLERANCE * budget:
    return
  yield f'{elapsed / 60:.0f} minutes, expected at most {budget / 60:.0f}.'
  folders = collections.defaultdict(dict)
  for path, value in seconds.items():
    folder = '/'.join(path.split('/')[:2])
    folders[folder][path] = value / num_processes
  for folder, files in folders.items():
    limit = CONFORMANCE if folder.endswith('/conformance') else FOLDER
    if budget == FAST and sum(files.values()) <= limit:
      continue
    yield f'{folder}: {sum(files.values()):.0f} s, of that'
    for path in sorted(files, key=files.get, reverse=True)[:5]:
      yield f'  {files[path]:6.0f} s  {path}'


def pytest_sessionstart(session):
  """Notes the time, see `pytest_terminal_summary`."""
  session.config.stash[_START] = time.monotonic()


def pytest_terminal_summary(terminalreporter, config):
  """Prints `lines` of a run; fails nothing.

  Args:
    terminalreporter: knows what each test took.
    config: of pytest.
  """
  seconds = collections.Counter()
  for reports in terminalreporter.stats.values():
    for report in reports:
      if hasattr(report, 'duration') and hasattr(report, 'nodeid'):
        seconds[report.nodeid.partition('::')[0]] += report.duration
  is_slow = config.option.markexpr == 'slow'
  for line in lines(
      seconds, time.monotonic() - config.stash[_START],
      SLOW if is_slow else FAST, config.getoption('numprocesses', None) or 1):
    terminalreporter.write_line(line)
