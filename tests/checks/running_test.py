"""Sound types pass; what is no type is refused in a line."""

import pytest

from tests.checks import planted
from tf_resflow import errors
from tf_resflow.checks import running


@pytest.mark.parametrize('make', [
    planted.Scale, planted.Dense,
    pytest.param(planted.Block, marks=pytest.mark.slow)])
def test_what_is_sound_passes(make):
  found = {check.name: problem for check, problem in running.run(
      'sound', running.case_of(make, (3,)))}
  assert len(found) > 10
  assert {name: text for name, text in found.items() if text} == {}


def test_what_cannot_be_checked():
  for make, problem in (
      (lambda units, dtype: None, "missing a required argument: 'units'"),
      (lambda dtype: 3, 'expected a layer, bijection, bijector of')):
    with pytest.raises(errors.InvalidValueError, match=problem):
      running.case_of(make, (3,))
