"""What one message says of all problems."""

import pytest

from tf_resflow import errors
from tf_resflow.datasets import table_problems


def _message(problems):
  with pytest.raises(errors.FormatError) as error:
    problems.check()
  return str(error.value)


def test_columns_are_grouped_and_advice_is_whole():
  problems = table_problems.Problems(drop=['id'])
  problems.check()
  missing = table_problems.Remedy.MISSING
  problems.add('a b', 'holds text')
  problems.add('c', 'is empty in row 3', missing)
  problems.add('a b', 'is infinite')
  assert problems.dropped == ['a b']
  assert _message(problems) == (
    'It has problems:\n  a b: holds text; is infinite\n  c: is empty in row 3\n'
    "Add '--drop=id,a b' --missing=drop to leave these out.")


def test_what_no_flag_mends():
  problems = table_problems.Problems()
  problems.add('d,e', 'holds text')
  problems.add('', 'has 2 cells', table_problems.Remedy.NONE)
  assert _message(problems) == (
    "It has problems:\n  d,e: holds text\n  has 2 cells\nRename 'd,e', without "
    'commas and spaces at the ends. Mend the file.')


def test_arguments_in_python():
  problems = table_problems.Problems(is_file=False)
  problems.add('d,e', 'holds text')
  assert _message(problems).endswith(
    "Add drop=('d,e',) to leave these out.")


def test_many_columns():
  problems = table_problems.Problems()
  for i in range(100):
    problems.add(f'c{i}', 'holds text')
  lines = _message(problems).splitlines()
  assert len(lines) == 33 and lines[-2] == '  ... (100 columns in all)'
  assert 'c99' in lines[-1]
