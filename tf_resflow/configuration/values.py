"""Values and their texts in flags, specs and files."""

from collections.abc import Callable
from typing import Any


def _boolean(text: str) -> bool:
  return bool(('false', 'true').index(text.lower()))  # Or a ValueError.


_PARSERS: dict[type, Callable[[str], Any]] = {
    bool: _boolean, int: int, float: float, str: str}


def parse(kind: type, text: str) -> Any:
  """Returns the value of a type that a text stands for.

  Args:
    kind: bool, int, float or str.
    text: what `text_of` returns, or a like text.

  Raises:
    ValueError: if it stands for none.
  """
  return _PARSERS[kind](text)


def text_of(value: Any) -> str:
  """Returns the text of a value, which `parse` reads; commas in a tuple."""
  if isinstance(value, tuple):
    return ','.join(map(text_of, value))
  if value is None or isinstance(value, bool):
    return str(value).lower()
  return str(value)
