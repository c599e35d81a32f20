"""The registry of data sets: names, and patterns of files that are opened."""

from collections.abc import Collection, Mapping
import inspect
import os
from typing import Any

from tf_resflow import errors
from tf_resflow.specs import spec


class DatasetRegistry(spec.Registry):
  """A registry of names and of patterns such as `table:FILE.csv`.

  A pattern is a word and a placeholder. It stands for all texts such as
  `table:my/file.csv`, and its value is a function, the opener, of the text
  after the colon, which may have keywords as options. That text is a path,
  unless the placeholder is `NAME`.

  Args:
    noun: name of the value in messages.
    entries: maps names and patterns to `'module:attribute'`.
    suffixes: maps the word of a pattern to the ends of names of its files; by
      default that of the placeholder.

  Example:
    >>> sources = DatasetRegistry('source', {'pi': 'math:pi'})
    >>> _ = sources.register('text:FILE.txt', lambda path: f'read {path}')
    >>> sources.get('text:my/a.txt')
    'read my/a.txt'
    >>> sources.advice('my/a.txt')
    'Did you mean text:my/a.txt?'
  """

  _name_pattern = r'[\w/-]+(:[A-Z]+(\.\w+)?)?'
  _name_rule = ('a name of letters, digits, "_", "-" and "/", '
                'or a pattern such as table:FILE.csv')

  def __init__(self, noun: str, entries: Mapping[str, str],
               suffixes: Mapping[str, tuple[str, ...]] | None = None):
    super().__init__(noun, entries, takes_options=False)
    self._suffixes = suffixes or {}

  def names(self) -> tuple[str, ...]:
    return tuple(name for name in self._entries if ':' not in name)

  def _patterns(self) -> dict[str, str]:
    """Returns the patterns, by the word before the colon."""
    return {name.partition(':')[0]: name for name in self._entries
            if ':' in name}

  @property
  def expected(self) -> str:
    return ', '.join([super().expected, *self._patterns().values()])

  def split(self, text: Any) -> tuple[str, str]:
    """Splits a text into its name or pattern, empty if unknown, and the rest.
    """
    word, _, rest = str(text).partition(':')
    pattern = self._patterns().get(word)
    return (pattern, rest) if pattern and rest else super().split(text)

  def register(self, name: str, value: Any) -> Any:
    """Registers a data set by its name, or an opener by its pattern."""
    word = str(name).partition(':')[0]
    same = {word, self._patterns().get(word, word)} & {*self._entries}
    errors.check(
        same <= {str(name)}, self.noun, name, problem='is already registered',
        advice='Use another name.')
    return super().register(name, value)

  def _similar(self, name: str) -> list[str]:
    # The name of a file, without the word of its pattern.
    return [f'{word}:{name}' for word, pattern in self._patterns().items()
            if any(end and name.endswith(end) for end in self._suffixes.get(
                word, (os.path.splitext(pattern)[1],)))
            ] + super()._similar(name)

  def options_of(self, text: str) -> Collection[str]:
    """Returns the names of the options of `get` for a file; none for a name.

    They are the attribute `options` of its opener, or its parameters.
    """
    name, _ = self.split(text)
    if ':' not in name:
      return ()
    opener = self._imported(name)
    return getattr(opener, 'options', inspect.signature(opener).parameters)

  def get(self, text: str, field: str | None = None, **options: Any) -> Any:
    """Returns the value of a name, or what the opener of a file returns.

    Args:
      text: the name or file.
      field: name of the field or flag for messages; by default the noun.
      **options: of the opener, see `options_of`.

    Raises:
      InvalidValueError: if it is unknown, or the opener refuses it.
    """
    name, rest = self.split(self.check(text, field))
    value = self._imported(name)
    return value(rest, **options) if rest else value
