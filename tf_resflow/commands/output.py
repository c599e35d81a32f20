"""What tools print: a table for people, one line of JSON for programs."""

from collections.abc import Mapping
import json
import math
import sys
from typing import Any


def note(text: str) -> None:
  """Prints a line for people, on stderr."""
  print(text, file=sys.stderr)


def print_json(report: Mapping[str, Any]) -> None:
  """Prints a report as one line of strict JSON on stdout.

  JSON has no NaN and no infinity: such a number becomes null.
  """
  print(json.dumps(_without_nan(report), allow_nan=False))


def _without_nan(value: Any) -> Any:
  if isinstance(value, Mapping):
    return {key: _without_nan(v) for key, v in value.items()}
  if isinstance(value, (list, tuple)):
    return [_without_nan(v) for v in value]
  if isinstance(value, float) and not math.isfinite(value):
    return None
  return value
