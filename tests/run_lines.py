"""Which tests run which lines of the package: a plugin, for `tests.mutants`.

    RUN_LINES=FOLDER python -m pytest -p tests.run_lines -n 2 --dist loadgroup

FOLDER gets data of coverage.py, with a context a test and phase, and, in
tests.json, of each test the seconds and whether it failed. Processes that tests
start are followed, too, where FOLDER is on their path.
"""

import collections
import json
import os
import pathlib

import coverage
import pytest

_SITECUSTOMIZE = """\
import os
if 'PYTEST_CURRENT_TEST' in os.environ:
  from tests import run_lines
  run_lines.start(os.environ['PYTEST_CURRENT_TEST'].rsplit(' ', 1)[0] + '|call')
"""
_tests = collections.defaultdict(lambda: [0.0, False])


def prepare(folder: pathlib.Path) -> dict[str, str]:
  """Returns the environment in which processes write to a folder."""
  (folder / 'sitecustomize.py').write_text(_SITECUSTOMIZE)
  return {'RUN_LINES': str(folder)}


def start(context: str | None = None) -> coverage.Coverage:
  """Follows this process until it ends."""
  package = pathlib.Path(__file__).resolve().parents[1] / 'tf_resflow'
  lines = coverage.Coverage(
      data_file=os.path.join(os.environ['RUN_LINES'], 'lines'),
      data_suffix=True, auto_data=True, config_file=False,
      source=[str(package)], context=context)
  lines.start()
  return lines


class _Follower:
  """Tells coverage.py which phase of which test runs."""

  def __init__(self):
    self._lines = start()

  def _switch(self, item, phase):
    self._lines.switch_context(f'{item.nodeid}|{phase}')

  @pytest.hookimpl(tryfirst=True)
  def pytest_runtest_setup(self, item):
    self._switch(item, 'setup')

  @pytest.hookimpl(tryfirst=True)
  def pytest_runtest_call(self, item):
    self._switch(item, 'call')

  @pytest.hookimpl(tryfirst=True)
  def pytest_runtest_teardown(self):
    self._lines.switch_context('')


def pytest_configure(config):
  """Follows the processes that run tests, not the one that hands them out."""
  if hasattr(config, 'workerinput'):
    config.pluginmanager.register(_Follower())


def pytest_runtest_logreport(report):
  """Notes how long a test took, and whether it failed."""
  seconds, failed = _tests[report.nodeid]
  _tests[report.nodeid] = [seconds + report.duration, failed or report.failed]


def pytest_sessionfinish(session):
  """Writes what was noted."""
  if not hasattr(session.config, 'workerinput'):
    pathlib.Path(os.environ['RUN_LINES'], 'tests.json').write_text(
        json.dumps(_tests))
