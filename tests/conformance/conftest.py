"""The subject of a case, alone in its process at any time."""

import pytest

from tests import cases
from tf_resflow.checks import subjects


@pytest.fixture(scope='session')
def subject(request):
  """The `Subject` of the case `request.param`."""
  return subjects.Subject(
      request.param, cases.everything()[request.param])


def _name(item):
  return item and hasattr(item, 'callspec') and item.callspec.params.get(
      'subject')


def pytest_runtest_teardown(item, nextitem):
  """Lets go of a subject after its last test.

  pytest would hold it until the next one is made, beyond the time when
  tests/conftest.py frees graphs.

  Args:
    item: the test.
    nextitem: the one after it, or None.
  """
  if _name(item) and _name(item) != _name(nextitem):
    subject = item.funcargs['subject']
    subject.__init__(subject.name, subject.case)
