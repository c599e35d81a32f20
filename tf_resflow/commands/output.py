"""What tools print: a table for people, one line of JSON for programs."""

from collections.abc import Mapping
import json
import sys
from typing import Any


def note(text: str) -> None:
  """Prints a line for people, on stderr."""
  print(text, file=sys.stderr)


def print_json(report: Mapping[str, Any]) -> None:
  """Prints a report as one line of strict JSON on stdout.

  JSON has no NaN and no infinity: such a number becomes null.
  """
  strict = json.loads(json.dumps(report), parse_constant=lambda number: None)
  print(json.dumps(strict, allow_nan=False))
