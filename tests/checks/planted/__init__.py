"""Types that lack one property each, which its check finds; and sound ones."""

import pytest

# Each adds its types to `defects.ALL`.
from tests.checks.planted import bijections  # noqa: F401
from tests.checks.planted import conditions  # noqa: F401
from tests.checks.planted import defects
from tests.checks.planted import flows  # noqa: F401
from tests.checks.planted import lipschitz_layers  # noqa: F401
from tf_resflow.checks import running


def defects_of(module):
  """Returns a test that the checks of a module find their defects."""
  @pytest.mark.parametrize('check, make, problem', [
      pytest.param(check, make, problem, id=make.__name__)
      for check, make, problem in defects.ALL
      if check.__module__ == module.__name__])
  def test(check, make, problem):
    subject = running.subjects.Subject('planted', running.case_of(make, (3,)))
    found = running.outcome_of(running.ALL[check.__name__], subject).problem
    assert problem in found, found

  return test


def never_seen():
  """Returns the names of checks that find no defect here."""
  return running.ALL.keys() - {check.__name__ for check, _, _ in defects.ALL}
