"""Marks the tests of slow cases, and takes those of a case together."""

import pathlib

import pytest

from tests import cases
from tests import graphs


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
  """Marks what is parametrised by the name of a slow case; sorts.

  All tests of a module that are of one case follow one another: they share
  what was traced for it.

  Args:
    items: all tests.
  """
  slow = {name for name, case in cases.everything().items() if case.is_slow}
  for item in items:
    if hasattr(item, 'callspec') and slow.intersection(
        value for value in item.callspec.params.values()
        if isinstance(value, str)):
      item.add_marker(pytest.mark.slow)
  ranks = {}
  for item in items:
    item.stash[graphs.CASE] = _case(item)
  items.sort(key=lambda item: (
      ranks.setdefault(item.path, len(ranks)),
      ranks.setdefault((item.path, item.stash[graphs.CASE]), len(ranks))))


def _case(item):
  """The name of the case of a test, where there is one here."""
  name = getattr(item, 'callspec', None) and item.callspec.params.get('name')
  is_here = item.path.parent == pathlib.Path(__file__).parent
  return name if is_here and isinstance(name, str) else None
