"""What a run that takes too long says."""

import collections

from tests import budgets


def test_files_of_a_run_beyond_its_budget_and_a_half_are_named():
  seconds = collections.Counter(
      {'tests/models/b_test.py': 10.0, 'tests/layers/a_test.py': 400.0})
  assert list(budgets.lines(seconds, 1000.0, budgets.FAST)) == [
      '17 minutes, expected at most 10.',
      '     400 s  tests/layers/a_test.py',
      '      10 s  tests/models/b_test.py']
  assert not list(budgets.lines(seconds, 900.0, budgets.FAST))
  assert not list(budgets.lines(seconds, 1000.0, budgets.SLOW))
