"""The problems of a table, all of which one message names."""

from collections.abc import Sequence
import dataclasses
import enum
import shlex
from typing import Any

from tf_resflow import errors
from tf_resflow.specs import spec

_MAX_COLUMNS = 30


class Remedy(enum.Enum):
  """What leaves the cause of a problem out."""

  DROP = 'drop'
  MISSING = 'missing'
  NONE = 'none'


@dataclasses.dataclass(frozen=True)
class Problem:
  """A problem of a table.

  Attributes:
    column: Name of the column; empty for the whole table.
    text: What is wrong, such as 'is infinite in line 3'.
    remedy: What leaves it out.
  """

  column: str
  text: str
  remedy: Remedy = Remedy.DROP


class Problems:
  """Collects the problems of a table.

  Args:
    drop: Names of columns that are already left out.
    is_file: Whether options are flags, not arguments in Python.

  Example:
    >>> problems = Problems()
    >>> problems.add('age', 'is empty in line 7', Remedy.MISSING)
    >>> problems.add('city', "holds text, 'Rome' in line 2")
    >>> problems.check()
    Traceback (most recent call last):
    tf_resflow.errors.FormatError: It has problems:
      age: is empty in line 7
      city: holds text, 'Rome' in line 2
    Add --drop=city --missing=drop to leave these out.
  """

  def __init__(self, drop: Sequence[str] = (), is_file: bool = True):
    self._drop = tuple(drop)
    self._is_file = is_file
    self._problems: list[Problem] = []

  def add(self, column: str, text: str, remedy: Remedy = Remedy.DROP) -> None:
    """Adds a problem; see `Problem`."""
    self._problems.append(Problem(column, text, remedy))

  @property
  def dropped(self) -> list[str]:
    """Names of columns that have to be left out."""
    return list(dict.fromkeys(
      problem.column for problem in self._problems
      if problem.remedy is Remedy.DROP))

  def check(self) -> None:
    """Raises `FormatError` if there are problems."""
    errors.check_format(not self._problems, self._message())

  def _message(self):
    texts: dict[str, list[str]] = {}
    for problem in self._problems:
      texts.setdefault(problem.column, []).append(problem.text)
    lines = [f'  {column}: {"; ".join(parts)}' if column else
             f'  {"; ".join(parts)}' for column, parts in texts.items()]
    if len(lines) > _MAX_COLUMNS:
      lines[_MAX_COLUMNS:] = [f'  ... ({len(lines):,} columns in all)']
    return '\n'.join(['It has problems:', *lines, self._advice()])

  def _advice(self):
    # A flag separates names by commas, and strips them.
    unnamable = [name for name in self.dropped
                 if self._is_file and (',' in name or name != name.strip())]
    names = (*self._drop, *(
      name for name in self.dropped if name not in unnamable))
    options: dict[str, Any] = {}
    if len(names) > len(self._drop):
      options['drop'] = names
    if any(problem.remedy is Remedy.MISSING for problem in self._problems):
      options['missing'] = 'drop'
    sentences = []
    if unnamable:
      sentences.append(
        f'Rename {", ".join(map(repr, unnamable))}, without commas and spaces '
        'at the ends.')
    if options:
      given = ' '.join(
        shlex.quote(f'--{key}={spec.text_of(value)}') if self._is_file else
        f'{key}={value!r}' for key, value in options.items())
      sentences.append(f'Add {given} to leave these out.')
    if any(problem.remedy is Remedy.NONE for problem in self._problems):
      sentences.append('Mend the file.')
    return ' '.join(sentences)
