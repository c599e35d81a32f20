"""Registries: tables from names to types, which are imported on demand."""

from collections.abc import Iterable, Mapping
import difflib
import inspect
import os
import re
import sys
from typing import Any, Self

from tf_resflow import errors
from tf_resflow.specs import spec


class Registry:
  """A table from the names in flags and files to types.

  Types of this package are listed as `'module:attribute'`, so that names can be
  listed and checked without importing TensorFlow. `register` adds user-defined
  types. A name may be followed by arguments and options, such as
  `densenet:3,growth=16`; see `spec.bind`.

  Args:
    noun: name of the value in messages.
    entries: maps names to `'module:attribute'`, and patterns such as
      `'table:FILE.csv'` to functions of the text after the colon.
    refused: maps names that are intentionally missing to the reason, a
      sentence.
    takes_options: whether arguments and options may follow a name.
    with_arguments: whether its types have arguments, for messages.
    suffixes: maps the word of a pattern to the ends of names of its files; by
      default that of the placeholder.

  Example:
    >>> numbers = Registry('number', {'pi': 'math:pi', 'root': 'math:sqrt'})
    >>> numbers.register('power', lambda x, exponent=2: x**exponent)(3)
    9
    >>> numbers.names()
    ('pi', 'root', 'power')
    >>> numbers.get('pi')
    3.141592653589793
    >>> numbers.get('power:3')(2)
    8
    >>> numbers.get('three')
    Traceback (most recent call last):
    tf_resflow.errors.InvalidValueError: number=three: expected one of pi, ...
  """

  def __init__(self, noun: str, entries: Mapping[str, str],
               refused: Mapping[str, str] | None = None,
               takes_options: bool = True, with_arguments: bool = False,
               suffixes: Mapping[str, tuple[str, ...]] | None = None):
    self.noun = noun
    self._entries: dict[str, Any] = dict(entries)
    self._refused = refused or {}
    self.takes_options = takes_options
    self._with_arguments = with_arguments
    self._suffixes = suffixes or {}

  @classmethod
  def of(cls, noun: str, names: Iterable[str]) -> Self:
    """Returns a registry of names alone."""
    return cls(noun, dict.fromkeys(names, ''), takes_options=False)

  def names(self) -> tuple[str, ...]:
    """Returns all names, in the order in which they were registered."""
    return tuple(name for name in self._entries if ':' not in name)

  def _patterns(self) -> dict[str, str]:
    """Returns the patterns, by the word before the colon."""
    return {name.partition(':')[0]: name for name in self._entries
            if ':' in name}

  @property
  def expected(self) -> str:
    """Description of the registered names and patterns, for messages."""
    names = [*self.names(), *self._patterns().values()]
    return f'one of {", ".join(names)}' + (
        ', with arguments' if self._with_arguments else '')

  def split(self, text: Any) -> tuple[str, str]:
    """Splits a text into its name or pattern, empty if unknown, and the rest.
    """
    text = str(text)
    word, colon, rest = text.partition(':')
    if colon and rest and word in self._patterns():
      return self._patterns()[word], rest
    name = re.split('[:,]', text, maxsplit=1)[0] if (
        self.takes_options) else text
    return (name, text[len(name):]) if name in self.names() else ('', text)

  def knows(self, text: Any) -> bool:
    """Returns whether a text begins with a registered name or pattern."""
    return bool(self.split(text)[0])

  def register(self, name: str, value: Any) -> Any:
    """Registers a type, or a pattern of names.

    Args:
      name: a new name of letters, digits, `_`, `-` and `/`; or a pattern such
        as `table:FILE.csv`, a word and a placeholder.
      value: the type, or its `'module:attribute'`; for a pattern a function of
        the text after the colon, which may have keywords as options.

    Returns:
      `value`.

    Raises:
      InvalidValueError: if the name is invalid or already registered.
    """
    errors.check(
        isinstance(name, str) and bool(
            re.fullmatch(r'[\w/-]+(:[A-Z]+(\.\w+)?)?', name)),
        self.noun, repr(name), 'a name of letters, digits, "_", "-" and "/", '
        'or a pattern such as table:FILE.csv')
    is_taken = any(
        other.partition(':')[0] == name.partition(':')[0] and
        not (other == name and entry is value)
        for other, entry in self._entries.items())
    errors.check_suits(not is_taken, self.noun, name, 'is already registered',
                       'Use another name.')
    self._entries[name] = value
    return value

  def check(self, name: str, field: str | None = None) -> str:
    """Returns a name, pattern or spec, or raises an error; see `get`."""
    if not self.knows(name):
      raise errors.InvalidValueError(
          field or self.noun, name, self.expected, self.advice(name))
    return name

  def advice(self, name: Any) -> str:
    """Returns why a name is refused, or similar names; may be empty."""
    name = str(name)
    if name in self._refused:
      return self._refused[name]
    # The name of a file, without the word of its pattern.
    meant = [
        f'{word}:{name}' for word, pattern in self._patterns().items()
        if any(end and name.endswith(end) for end in self._suffixes.get(
            word, (os.path.splitext(pattern)[1],)))]
    meant += difflib.get_close_matches(
        re.split('[:,]', name, maxsplit=1)[0], self.names())
    meant += [other for other in self.names()
              if name and other.partition('/')[0] == name]
    return f'Did you mean {" or ".join(dict.fromkeys(meant))}?' if meant else ''

  def takes(self, text: str, option: str) -> bool:
    """Returns whether the function of a pattern takes an option of `get`."""
    name, _ = self.split(text)
    return ':' in name and option in inspect.signature(
        _imported(self._entries[name])).parameters

  def get(self, text: str, field: str | None = None, **options: Any) -> Any:
    """Returns the value of a name, pattern or spec; imports it if necessary.

    Args:
      text: the name, pattern or spec.
      field: name of the field or flag for messages; by default the noun.
      **options: of the function of a pattern, see `takes`.

    Raises:
      InvalidValueError: if the name is unknown or its arguments are invalid.
    """
    self.check(text, field)
    name, rest = self.split(text)
    value = _imported(self._entries[name])
    if ':' in name:
      return value(rest, **options)
    return spec.bind(value, text, field or self.noun) if rest else value

  def name_of(self, value: Any) -> str:
    """Returns the name under which `value` is registered, or raises."""
    path = f'{getattr(value, "__module__", "")}:' + getattr(
        value, '__qualname__', '')
    for name, entry in self._entries.items():
      if entry is value or entry == path:
        return name
    raise errors.InvalidValueError(
        self.noun, value, self.expected,
        'Register your own type by register(NAME, VALUE) of its registry in '
        'tf_resflow.specs.registries.')


def _imported(value: Any) -> Any:
  """Resolves `'module:attribute'`; returns other values unchanged."""
  if not isinstance(value, str):
    return value
  module, _, attribute = value.partition(':')
  __import__(module)  # AutoGraph would follow importlib, and warn.
  return getattr(sys.modules[module], attribute)
