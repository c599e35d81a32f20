"""What a run that takes too long says."""

from tests import budgets

_SECONDS = {
    'tests/layers/a_test.py': 400.0, 'tests/layers/b_test.py': 100.0,
    'tests/models/c_test.py': 10.0, 'tests/conformance/d_test.py': 470.0}


def test_names_folders_beyond_their_budgets_and_their_files():
  first, *others = budgets.lines(_SECONDS, 1000.0, budgets.FAST, 2)
  assert first == '17 minutes, expected at most 10.'
  assert [line.split() for line in others] == [
      ['tests/layers:', '250', 's,', 'of', 'that'],
      ['200', 's', 'tests/layers/a_test.py'],
      ['50', 's', 'tests/layers/b_test.py']]


def test_says_nothing_of_a_run_within_its_budget_and_a_half():
  assert not list(budgets.lines(_SECONDS, 900.0, budgets.FAST, 2))
  assert not list(budgets.lines(_SECONDS, 1000.0, budgets.SLOW, 2))
