"""Marks the tests of slow cases."""

import pytest

from tests import cases


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
  """Marks what is parametrised by the name of a slow case."""
  slow = {name for name, case in cases.everything().items() if case.is_slow}
  for item in items:
    if hasattr(item, 'callspec') and slow.intersection(
        value for value in item.callspec.params.values()
        if isinstance(value, str)):
      item.add_marker(pytest.mark.slow)
