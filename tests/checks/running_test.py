"""Sound types pass; what is no type is refused in a line."""

import pytest

from tests.checks.planted import sound
from tf_resflow import errors
from tf_resflow.checks import running


@pytest.mark.parametrize('make', [
    sound.Scale, sound.Dense, sound.Conditioned, sound.Embedded,
    pytest.param(sound.Block, marks=pytest.mark.slow)])
def test_what_is_sound_passes(make):
  found = [*running.run('sound', running.case_of(make, (3,)))]
  assert len(found) == len(running.ALL)
  assert sum(outcome.reason is None for outcome in found) > 7
  assert [outcome for outcome in found if outcome.problem] == []


def test_what_cannot_be_checked():
  for make, problem in (
      (lambda units, dtype: None, "missing a required argument: 'units'"),
      (lambda dtype: 3, 'expected a layer, bijection, bijector of')):
    with pytest.raises(errors.InvalidValueError, match=problem):
      running.case_of(make, (3,))
