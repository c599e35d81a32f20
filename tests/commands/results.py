"""What tools leave behind: reports, one line of an error, arrays, tables."""

from collections.abc import Callable, Iterable
import csv
import json
import os
from typing import Any

import numpy as np
import pytest

from tests import loops


def report(result: Any) -> dict:
  """Returns the JSON object at the end of stdout, of a tool without errors."""
  assert result.status == 0, result.stderr
  # Constants such as NaN are no JSON.
  return json.loads(result.stdout.splitlines()[-1], parse_constant=pytest.fail)


def check_error(result: Any, start: str) -> None:
  """Checks that a tool ended with status 2 and one line that starts so."""
  assert (result.status, result.stdout) == (2, ''), result
  lines = result.stderr.splitlines()
  assert len(lines) == 1 and lines[0].startswith(start), result.stderr


def check_errors(
    run_tool: Callable, tool: str, cases: Iterable[tuple[list, str]],
    *common: Any) -> None:
  """Checks that a tool refuses each of several lists of arguments.

  Args:
    run_tool: the fixture.
    tool: its name.
    cases: arguments, and what the one line of the error begins with.
    *common: arguments of every call.
  """

  @loops.each(cases)
  def check(arguments, start):
    check_error(run_tool(tool, *common, *arguments), f'{tool}: error: {start}')

  check()


def arrays(path: str | os.PathLike) -> dict[str, np.ndarray]:
  """Returns the arrays of an .npz file."""
  with np.load(path) as stored:
    return {name: stored[name] for name in stored.files}


def table(path: str | os.PathLike) -> tuple[list[str], np.ndarray]:
  """Returns the names and the numbers of a .csv file."""
  with open(path, newline='', encoding='utf-8') as file:
    names, *rows = csv.reader(file)
  return names, np.array(rows, np.float64)
