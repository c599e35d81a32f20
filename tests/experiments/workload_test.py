"""Budgets and folds."""

import pytest

from tf_resflow import errors
from tf_resflow.experiments import workload


@pytest.mark.parametrize('fields, name', [
    ({'seconds': 1.0, 'num_steps': 2}, 'seconds'),
    ({'seconds': 0.0}, 'seconds'), ({'folds': 1}, 'folds')])
def test_what_is_no_budget_or_fold_is_refused(fields, name):
  with pytest.raises(errors.InvalidValueError, match=f'{name}='):
    workload.Workload(flagfile='digits', **fields)


def test_finalists_have_the_folds_of_one_repetition_after_another():
  folds = workload.Workload(flagfile='table', folds=3)
  assert [folds.dataset('a', seed) for seed in (1, 3, 4)] == [
      'a/0.0of3', 'a/0.2of3', 'a/1.0of3']
  assert workload.Workload(flagfile='table').dataset('a', 2) == 'a'
