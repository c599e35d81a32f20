"""Tables from names to kinds, which are imported when they are asked for."""

from collections.abc import Iterable, Mapping
import difflib
import os
import pkgutil
import re
from typing import Any, Self

from tf_resflow import errors


class Registry:
  """What the names in flags and files stand for.

  The kinds of this package stand in the table as `'module:attribute'`, so that
  names can be listed and checked without TensorFlow. A reader's own kinds join
  with `register`.

  Args:
    kind: what the table holds, the name of the value in messages.
    entries: from names to `'module:attribute'`.
    refused: from names that a user may look for in vain to the reason, a
      sentence.
    families: from patterns such as `'table:FILE.csv'` to functions, likewise,
      that make the kind of `table:anything` from `anything`.

  Example:
    >>> numbers = Registry('number', {'pi': 'math:pi'})
    >>> numbers.register('two', 2)
    2
    >>> numbers.names()
    ('pi', 'two')
    >>> numbers.get('two')
    2
    >>> numbers.name_of(2)
    'two'
    >>> numbers.get('three')
    Traceback (most recent call last):
    tf_resflow.errors.InvalidValueError: number=three: expected one of pi, two.
  """

  def __init__(self, kind: str, entries: Mapping[str, str],
               refused: Mapping[str, str] | None = None,
               families: Mapping[str, str] | None = None):
    self.kind = kind
    self._entries: dict[str, Any] = dict(entries)
    self._refused = refused or {}
    self._families: dict[str, Any] = dict(families or {})

  @classmethod
  def of(cls, kind: str, names: Iterable[str]) -> Self:
    """Returns a table of names that stand for themselves."""
    return cls(kind, dict.fromkeys(names, ''))

  def names(self) -> tuple[str, ...]:
    """Returns all names, in the order in which they were registered."""
    return tuple(self._entries)

  @property
  def expected(self) -> str:
    """The names and patterns that it knows, in words."""
    return f'one of {", ".join([*self._entries, *self._families])}'

  def knows(self, name: Any) -> bool:
    """Whether a name is registered, or is one of a family."""
    return name in self.names() or self._family_of(name) is not None

  def _family_of(self, name: Any) -> Any:
    """Returns what makes the kind of a name of a family, or None."""
    family, colon, rest = str(name).partition(':')
    if not colon or not rest:
      return None
    return next((
        value for pattern, value in self._families.items()
        if pattern.partition(':')[0] == family), None)

  def register(self, name: str, value: Any) -> Any:
    """Adds a kind.

    Args:
      name: letters, digits, `_`, `-` and `/`, not taken yet.
      value: what it stands for, or `'module:attribute'` of it.

    Returns:
      `value`.

    Raises:
      InvalidValueError: if the name is taken by something else, or is no name.
    """
    errors.check(
        isinstance(name, str) and bool(re.fullmatch(r'[\w/-]+', name)),
        self.kind, repr(name), 'a name of letters, digits, "_", "-" and "/"')
    errors.check(
        self._entries.get(name, value) is value, self.kind, name,
        'a name that is not taken', 'Register it under another name.')
    self._entries[name] = value
    return value

  def check(self, name: str, field: str | None = None) -> str:
    """Returns `name`, or raises `InvalidValueError` if it is not known.

    Args:
      name: what was asked for.
      field: the field or flag that asked; the kind by default.
    """
    errors.check(self.knows(name), field or self.kind, name, self.expected,
                 self.advice(name))
    return name

  def advice(self, name: Any) -> str:
    """Returns why a name is refused, or what was meant; empty if unknown."""
    name = str(name)
    if name in self._refused:
      return self._refused[name]
    # A file without the word before it.
    meant = [f'{pattern.partition(":")[0]}:{name}' for pattern in self._families
             if (suffix := os.path.splitext(pattern)[1])
             and os.path.splitext(name)[1] == suffix]
    meant += difflib.get_close_matches(name, self.names())
    meant += [other for other in self.names()
              if name and other.partition('/')[0] == name]
    return f'Did you mean {" or ".join(dict.fromkeys(meant))}?' if meant else ''

  def get(self, name: str, field: str | None = None) -> Any:
    """Returns what a name stands for; imports it if need be; see `check`."""
    self.check(name, field)
    if name in self._entries:
      return _imported(self._entries[name])
    return _imported(self._family_of(name))(name.partition(':')[2])

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
        self.kind, value, self.expected,
        'Register yours: register(NAME, VALUE) of its registry in '
        'tf_resflow.specs.registries.')


def _imported(value: Any) -> Any:
  """Returns what `'module:attribute'` stands for; other values as they are."""
  return pkgutil.resolve_name(value) if isinstance(value, str) else value
