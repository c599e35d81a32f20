"""The subject of a case, alone in its process at any time."""

import pytest

from tests.conformance import subjects


@pytest.fixture(scope='session')
def subject(request):
  """What the case of the name in `request.param` makes."""
  return subjects.Subject(request.param)
