"""Tables from names to types, which are imported when they are asked for."""

from collections.abc import Iterable, Mapping
import difflib
import os
import re
import sys
from typing import Any, Self

from tf_resflow import errors
from tf_resflow.specs import spec


class Registry:
  """What the names in flags and files stand for.

  The types of this package stand in the table as `'module:attribute'`, so that
  names can be listed and checked without TensorFlow. A reader's own join with
  `register`. Behind its name a type may be given arguments and options, such as
  `densenet:3,growth=16`, see `spec.bind`.

  Args:
    noun: what the table holds, the name of the value in messages.
    entries: from names to `'module:attribute'`; also from patterns such as
      `'table:FILE.csv'` to functions that make what `table:anything` stands for
      from `anything`.
    refused: from names that a user may look for in vain to the reason, a
      sentence.
    takes_options: whether there may be more than a name.
    with_arguments: whether its types have arguments, for messages.

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
               takes_options: bool = True, with_arguments: bool = False):
    self.noun = noun
    self._entries: dict[str, Any] = dict(entries)
    self._refused = refused or {}
    self.takes_options = takes_options
    self._with_arguments = with_arguments

  @classmethod
  def of(cls, noun: str, names: Iterable[str]) -> Self:
    """Returns a table of names that stand for themselves."""
    return cls(noun, dict.fromkeys(names, ''), takes_options=False)

  def names(self) -> tuple[str, ...]:
    """Returns all names, in the order in which they were registered."""
    return tuple(name for name in self._entries if ':' not in name)

  def _patterns(self) -> dict[str, str]:
    """Returns the patterns, by the word in front of them."""
    return {name.partition(':')[0]: name for name in self._entries
            if ':' in name}

  @property
  def expected(self) -> str:
    """The names and patterns that it knows, in words."""
    names = [*self.names(), *self._patterns().values()]
    return f'one of {", ".join(names)}' + (
        ', with arguments' if self._with_arguments else '')

  def split(self, text: Any) -> tuple[str, str]:
    """Returns the name or the pattern that a text begins with, and the rest.

    Either is empty if there is none.
    """
    text = str(text)
    word, colon, rest = text.partition(':')
    if colon and rest and word in self._patterns():
      return self._patterns()[word], rest
    name = re.split('[:,]', text, maxsplit=1)[0] if (
        self.takes_options) else text
    return (name, text[len(name):]) if name in self.names() else ('', text)

  def knows(self, text: Any) -> bool:
    """Whether a text begins with a name or a pattern."""
    return bool(self.split(text)[0])

  def register(self, name: str, value: Any) -> Any:
    """Adds a type, or types by a pattern.

    Args:
      name: letters, digits, `_`, `-` and `/`, not taken yet; or a pattern such
        as `table:FILE.csv`, a word and what stands for anything.
      value: what it stands for, or `'module:attribute'` of it; of a pattern a
        function that takes what stands behind the colon.

    Returns:
      `value`.

    Raises:
      InvalidValueError: if the name is taken by something else, or is no name.
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
    errors.check(not is_taken, self.noun, name, 'a name that is not taken',
                 'Register it under another name.')
    self._entries[name] = value
    return value

  def check(self, name: str, field: str | None = None) -> str:
    """Returns `name`, or raises `InvalidValueError` if it is not known.

    Args:
      name: what was asked for.
      field: the field or flag that asked; the noun by default.
    """
    if not self.knows(name):
      raise errors.InvalidValueError(
          field or self.noun, name, self.expected, self.advice(name))
    return name

  def advice(self, name: Any) -> str:
    """Returns why a name is refused, or what was meant; empty if unknown."""
    name = str(name)
    if name in self._refused:
      return self._refused[name]
    # A file without the word before it.
    suffix = os.path.splitext(name)[1]
    meant = [f'{word}:{name}' for word, pattern in self._patterns().items()
             if suffix and pattern.endswith(suffix)]
    meant += difflib.get_close_matches(
        re.split('[:,]', name, maxsplit=1)[0], self.names())
    meant += [other for other in self.names()
              if name and other.partition('/')[0] == name]
    return f'Did you mean {" or ".join(dict.fromkeys(meant))}?' if meant else ''

  def get(self, text: str, field: str | None = None) -> Any:
    """Returns what a name, a pattern or a spec stands for.

    It is imported if need be.

    Raises:
      InvalidValueError: if it is not known, or takes no such arguments.
    """
    self.check(text, field)
    name, rest = self.split(text)
    value = _imported(self._entries[name])
    if ':' in name:
      return value(rest)
    return spec.bind(value, text, field or self.noun) if rest else value

  def name_of(self, value: Any) -> str:
    """Returns the name under which `value` is registered.

    Raises:
      InvalidValueError: if it is not, naming what to do.
    """
    path = f'{getattr(value, "__module__", "")}:' + getattr(
        value, '__qualname__', '')
    for name, entry in self._entries.items():
      if entry is value or entry == path:
        return name
    raise errors.InvalidValueError(
        self.noun, value, self.expected,
        'Register yours: register(NAME, VALUE) of its registry in '
        'tf_resflow.specs.registries.')


def _imported(value: Any) -> Any:
  """Returns what `'module:attribute'` stands for; other values as they are."""
  if not isinstance(value, str):
    return value
  module, _, attribute = value.partition(':')
  __import__(module)  # AutoGraph would follow importlib, and warn.
  return getattr(sys.modules[module], attribute)
