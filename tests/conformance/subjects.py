"""The subject of a case: built once, for all tests of its properties.

Building and tracing take most of the time of these tests. So the tests of a
case follow one another in one process, whatever their files, and share what is
made for it.
"""

from collections.abc import Collection, Iterable

import pytest

from tests import cases


def each(names: Iterable[str], slow: Collection[str] = ()
         ) -> pytest.MarkDecorator:
  """Returns the decorator of a test that takes the `subject` of each case.

  Args:
    names: of the cases.
    slow: those that this test alone takes long for.
  """
  return pytest.mark.parametrize('subject', [
      pytest.param(name, id=name, marks=[
          pytest.mark.xdist_group(name),
          *([pytest.mark.slow] if name in cases.SLOW or name in slow else [])])
      for name in names], indirect=True, scope='session')
