"""What the tests may take, and a word about it when they take too long.

Wall-clock time decides no test: machines differ, and are busy. CONTRIBUTING.md
has the table.
"""

import collections
from collections.abc import Iterator
import time

import pytest

# Seconds on two cores beside nothing else, with `-n 2`.
FAST, SLOW = 600, 1200
# Beyond this multiple of its budget a run says where its time went.
_TOLERANCE = 1.5
_START = pytest.StashKey()


def lines(seconds: collections.Counter, elapsed: float, budget: float,
          ) -> Iterator[str]:
  """Says what takes longest, of a run that took half more than its budget.

  Args:
    seconds: what the tests of each file took, summed.
    elapsed: seconds of the whole run.
    budget: seconds that it may take.

  Yields:
    Lines.
  """
  if elapsed > _TOLERANCE * budget:
    yield f'{elapsed / 60:.0f} minutes, expected at most {budget / 60:.0f}.'
    for path, value in seconds.most_common(20):
      yield f'  {value:6.0f} s  {path}'


def pytest_sessionstart(session):
  """Notes the time, see `pytest_terminal_summary`."""
  session.config.stash[_START] = time.monotonic()


def pytest_terminal_summary(terminalreporter, config):
  """Prints `lines` of a run; fails nothing."""
  seconds = collections.Counter()
  for reports in terminalreporter.stats.values():
    for report in reports:
      if hasattr(report, 'duration') and hasattr(report, 'nodeid'):
        seconds[report.nodeid.partition('::')[0]] += report.duration
  budget = SLOW if config.option.markexpr == 'slow' else FAST
  for line in lines(seconds, time.monotonic() - config.stash[_START], budget):
    terminalreporter.write_line(line)
