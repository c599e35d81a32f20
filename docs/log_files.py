"""Logs of the scripts of docs/: a line of JSON for each result."""

import json
import pathlib


def lines(log: pathlib.Path) -> list[dict]:
  """Returns what stands in a log; nothing if there is none."""
  return [*map(json.loads, log.read_text().splitlines())] if (
      log.exists()) else []
