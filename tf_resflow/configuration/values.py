"""Values and their texts in flags, specs and files."""

from typing import Any

from absl import flags


def parse(kind: type, text: str) -> Any:
  """Returns the value of a type that a text stands for.

  Args:
    kind: bool, int, float or str.
    text: what `text_of` returns, or a like text.

  Raises:
    ValueError: if it stands for none.
  """
  return flags.BooleanParser().parse(text) if kind is bool else kind(text)


def text_of(value: Any) -> str:
  """Returns the text of a value, which `parse` reads; commas in a tuple."""
  if isinstance(value, tuple):
    return ','.join(map(text_of, value))
  is_word = value is None or isinstance(value, bool)
  return str(value).lower() if is_word else str(value)
