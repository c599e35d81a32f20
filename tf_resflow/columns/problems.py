"""All problems of a table, and what leaves them out."""

from collections.abc import Sequence
import shlex
from typing import Any

from tf_resflow import errors
from tf_resflow.specs import spec

# Largest number of columns that a message lists.
_MAX_COLUMNS = 30


class Problems:
  """Collects the problems of a table.

  Attributes:
    where: which file following problems are in, if not the first.
    dropped: names of columns that have to be left out.
    categories: those of them that can be conditions.
    hints: by column, what is a problem beside others only.

  Args:
    drop: names of columns that are already left out.
    options: how advice names options, as 'flags' or 'arguments'; 'none' for
      files without options, and '' for no advice.

  Example:
    >>> problems = Problems()
    >>> problems.add('age', 'is empty in line 7', 'missing')
    >>> problems.add('city', "holds text such as 'Rome' in line 2")
    >>> problems.check()
    Traceback (most recent call last):
    tf_resflow.errors.FormatError: It has problems:
      age: is empty in line 7
      city: holds text such as 'Rome' in line 2
    Add --drop=city --missing=drop to leave these out.
  """

  def __init__(self, drop: Sequence[str] = (), options: str = 'flags'):
    self.where = ''
    self.dropped: list[str] = []
    self.categories: list[str] = []
    self.hints: dict[str, str] = {}
    self._options = options
    self._drop = tuple(drop)
    self._remedies: set[str] = set()
    self._texts: dict[str, list[str]] = {}

  def add(self, column: str, text: str, remedy: str = 'drop') -> None:
    """Adds a problem.

    Args:
      column: name of the column; empty for the whole table.
      text: what is wrong, such as 'is infinite in line 3'.
      remedy: option that leaves it out, 'drop' or 'missing'; or 'fix'.
    """
    if remedy == 'drop' and column not in self.dropped:
      self.dropped.append(column)
      if self._options == 'flags' and (
          ',' in column or column != column.strip()):
        text += f' (rename {column!r}, without commas and outer spaces)'
        remedy = 'fix'
      else:
        self._drop += (column,)
    self._remedies.add(
        remedy if self._options in ('flags', 'arguments') else 'fix')
    self._texts.setdefault(column, []).append(self.where + text)

  def check(self) -> None:
    """Raises `FormatError` if there are problems."""
    for column, text in self.hints.items() if self._texts else ():
      self.add(column, text)
    lines = [f'  {column}: {"; ".join(texts)}' if column else
             f'  {"; ".join(texts)}' for column, texts in self._texts.items()]
    if not lines:
      return
    if not self._options and len(lines) == 1:
      raise errors.FormatError(f'Its column {lines[0].strip()}.')
    if len(lines) > _MAX_COLUMNS:
      lines[_MAX_COLUMNS:] = [f'  ... ({len(lines):,} columns in all)']
    raise errors.FormatError(
        '\n'.join(['It has problems:', *lines, *self._advice()]))

  def _advice(self):
    """Returns what to do, a list of one line, or of none."""
    if not self._options:
      return []
    drop = self._drop if 'drop' in self._remedies else ()
    missing = 'drop' if 'missing' in self._remedies else ''
    advice = []
    if drop or missing:
      advice.append(f'Add {self.text_of(drop=drop, missing=missing)} to leave '
                    'these out.')
    # But for those that have to be renamed.
    if names := tuple(name for name in self.categories if name in drop):
      others = tuple(name for name in drop if name not in names)
      given = self.text_of(drop=others, missing=missing, condition_on=names)
      advice.append(
          f'Or add {given} to model the others given {spec.text_of(names)}.')
    if 'fix' in self._remedies:
      advice.append('Fix the file.')
    return [' '.join(advice)]

  def text_of(self, **options: Any) -> str:
    """Returns options as flags or arguments, but for empty ones."""
    if self._options == 'flags':
      return ' '.join(shlex.quote(f'--{name}={spec.text_of(value)}')
                      for name, value in options.items() if value)
    return ', '.join(
        f'{name}={value!r}' for name, value in options.items() if value)
