"""Tests that loop over a table, and hide no failure."""

from collections.abc import Callable, Iterable
import itertools
from typing import Any

import pytest


def each(*tables: Iterable[Any]) -> Callable[[Callable], Callable[[], None]]:
  """Makes one test of a check, which runs it for each entry of a table.

  Args:
    *tables: entries are tuples of arguments of the check, or single arguments
      that are no tuples. Of several tables all combinations.

  Returns:
    A decorator. The test fails with all cases that failed.
  """

  def decorate(check_fn):

    def test():
      failures = []
      for entries in itertools.product(*tables):
        arguments = [argument for entry in entries for argument in (
            entry if isinstance(entry, tuple) else (entry,))]
        try:
          check_fn(*arguments)
        except (Exception, pytest.fail.Exception) as error:
          failures.append(f'{arguments}: {type(error).__name__}: {error}')
      assert not failures, '\n\n'.join(failures)

    test.__name__, test.__doc__ = check_fn.__name__, check_fn.__doc__
    test.__module__ = check_fn.__module__
    return test

  return decorate
