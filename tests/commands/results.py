"""What tools leave behind: their reports, the one line of an error, arrays."""

import json
import os
from typing import Any

import numpy as np


def report(result: Any) -> dict:
  """Returns the JSON object at the end of stdout, of a tool without errors."""
  assert result.status == 0, result.stderr
  return json.loads(result.stdout.splitlines()[-1])


def check_error(result: Any, start: str) -> None:
  """Checks that a tool ended with status 2 and one line that starts so."""
  assert (result.status, result.stdout) == (2, ''), result
  (line,) = result.stderr.splitlines()
  assert line.startswith(start), line


def arrays(path: str | os.PathLike) -> dict[str, np.ndarray]:
  """Returns the arrays of an .npz file."""
  with np.load(path) as stored:
    return {name: stored[name] for name in stored.files}
