"""Problems of tables, in one message."""

import pytest

from tf_resflow import errors
from tf_resflow.columns import problems as problems_lib


def test_one_message():
  problems = problems_lib.Problems(['id'])
  problems.check()
  problems.add('a b', 'holds text')
  problems.add('c', 'is empty in row 3', 'missing')
  problems.add('a b', 'is infinite')
  problems.add('d,e', 'holds text')
  assert problems.dropped == ['a b', 'd,e']
  with pytest.raises(errors.FormatError) as error:
    problems.check()
  # A flag separates names by commas.
  assert str(error.value).splitlines()[1:] == [
    '  a b: holds text; is infinite', '  c: is empty in row 3',
    "  d,e: holds text (rename 'd,e', without commas and outer spaces)",
    "Add '--drop=id,a b' --missing=drop to leave these out. Fix the file."]


def test_a_condition_that_has_to_be_renamed():
  problems = problems_lib.Problems()
  problems.categories = ['d,e', 'city']
  problems.add('d,e', 'holds text')
  with pytest.raises(errors.FormatError, match='spaces\\)\nFix the file.'):
    problems.check()
  problems.add('city', 'holds text')
  with pytest.raises(errors.FormatError, match='Or add --condition_on=city to'):
    problems.check()


def test_many_columns():
  problems = problems_lib.Problems()
  for i in range(100):
    problems.add(f'c{i}', 'holds text')
  with pytest.raises(errors.FormatError) as error:
    problems.check()
  lines = str(error.value).splitlines()
  assert len(lines) == 33 and lines[-2] == '  ... (100 columns in all)'
  assert 'c99' in lines[-1]
