"""Fields of configurations: each stands once, with default, help and limits.

Flags, their help, files and checks all follow from the fields.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
import dataclasses
import functools
import inspect
import math
import textwrap
import typing
from typing import Any, Self

from tf_resflow import errors
from tf_resflow.specs import registry
from tf_resflow.specs import spec

# Values of fields that leave the choice to what it is for, or choose nothing.
AUTO, NONE = 'auto', 'none'

_EXPECTED = {
    bool: 'true or false', int: 'a whole number', float: 'a number',
    str: 'a text'}
_SEVERAL = {int: 'whole numbers', float: 'numbers', str: 'texts'}
_EXAMPLES = {int: (3, 4), float: (0.5, 0.25), str: ('a', 'b')}


def field(default: Any, **rules: Any) -> Any:
  """Returns a field of a `Section`.

  Args:
    default: its value where none is given.
    **rules: the attributes of `Field` behind the first three.

  Example:
    >>> @dataclasses.dataclass(frozen=True, kw_only=True)
    ... class Kitchen(Section):
    ...   num_cooks: int = field(2, help='Who cooks.', minimum=1)
    >>> Kitchen(num_cooks=0)
    Traceback (most recent call last):
    tf_resflow.errors.InvalidValueError: num_cooks=0: expected a whole number
    from 1.
  """
  return dataclasses.field(default=default, metadata=rules)


def changed(section: type['Section'], name: str, default: Any) -> Any:
  """Returns a field of another section with another default."""
  (field_,) = [f for f in dataclasses.fields(section) if f.name == name]
  return dataclasses.field(default=default, metadata=field_.metadata)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Field:
  """One field of a `Section`, as flags, files and checks see it.

  Attributes:
    name: of the field.
    type: its annotation.
    default: its value where none is given.
    flag: the name of its flag, by default that of the field.
    group: the first line of the docstring of the class that brought it in.
    help: what it means, one sentence without its limits, names and default,
      which `--help` adds.
    minimum: the least number; limits hold for every number of a tuple.
    maximum: the greatest number.
    above: a number that it must not reach.
    below: likewise.
    min_length: of a tuple.
    choices: the names it may have, or a `Registry` of them.
    resumable: whether it may change when a run is continued, or a function of
      both sections that says so.
    changes_function: whether models with equal weights compute something else
      where it differs.
    is_flag: False for what follows from other fields or the data.
    is_basic: whether the short help shows its flag.
  """

  name: str
  type: Any
  default: Any
  flag: str
  group: str = ''
  help: str = ''
  minimum: float = -math.inf
  maximum: float = math.inf
  above: float = -math.inf
  below: float = math.inf
  min_length: int = 0
  choices: tuple[str, ...] | registry.Registry | None = None
  resumable: bool | Callable[['Section', 'Section'], bool] = False
  changes_function: bool = True
  is_flag: bool = True
  is_basic: bool = False

  @functools.cached_property
  def known(self) -> registry.Registry | None:
    """The names that it may have; None if it is free."""
    return registry.Registry.of(self.flag, self.choices) if isinstance(
        self.choices, tuple) else self.choices

  @property
  def is_tuple(self) -> bool:
    """Whether it holds any number of values."""
    return typing.get_origin(self.type) is tuple

  @property
  def element(self) -> type:
    """The type of the value, or of the values of a tuple."""
    (element,) = _EXPECTED.keys() & {self.type, *typing.get_args(self.type)}
    return element

  @property
  def words(self) -> tuple[str, ...]:
    """Texts that are values as well: `1/D` of `float | Literal['1/D']`."""
    return tuple(word for part in typing.get_args(self.type)
                 for word in typing.get_args(part))

  @property
  def expected(self) -> str:
    """What a value has to be, in words."""
    if self.known:
      return ', or '.join([self.known.expected, *self.words])
    what = (_SEVERAL if self.is_tuple else _EXPECTED)[self.element]
    if self.min_length:
      what = f'{self.min_length} or more {what}'
    low = (f'({self.above}' if self.above > self.minimum else
           f'[{self.minimum}')
    high = (f'{self.below})' if self.below < self.maximum else
            f'{self.maximum}]')
    if high != 'inf]':
      what += f' in {low}, {high}'
    elif low != '[-inf':
      what += low.replace('(', ' above ').replace('[', ' from ')
    if self.is_tuple:
      example = self.default or _EXAMPLES[self.element]
      what += f', such as {spec.text_of(example)}'
    return ', or '.join([what, *self.words])

  def parse(self, text: str) -> Any:
    """Returns the value that a text stands for.

    Raises:
      InvalidValueError: if it stands for none.
    """
    if text in self.words:
      return text
    try:
      if not self.is_tuple:
        return spec.parse_value(self.element, text)
      parts = text.split(',') if text else []
      return tuple(
          spec.parse_value(self.element, part.strip()) for part in parts)
    except ValueError:
      raise errors.InvalidValueError(
          self.flag, text, self.expected) from None

  def check(self, value: Any) -> Any:
    """Returns a value as the section keeps it.

    Lists, which JSON makes of tuples, become tuples, and whole numbers floats
    where these are expected.

    Raises:
      InvalidValueError: if the value breaks a rule.
    """
    if value is None and type(None) in typing.get_args(self.type):
      return None
    is_tuple = isinstance(value, (tuple, list))
    items = tuple(
        float(item) if type(item) is int and self.element is float else item
        for item in (value if is_tuple else (value,)))
    is_valid = is_tuple == self.is_tuple and (
        len(items) >= self.min_length and all(map(self._is_valid, items)))
    value = items if is_tuple else items[0]
    errors.check(
        is_valid, self.flag, spec.text_of(value), self.expected,
        self.known.advice(value) if self.known else '')
    return value

  def _is_valid(self, value: Any) -> bool:
    if value in self.words:
      return True
    if type(value) is not self.element:
      return False
    if self.known:
      return self.known.knows(value) and (
          not self.known.takes_options or
          bool(spec.Spec.parse(value, self.flag)))
    # NaN and infinity are within no limits.
    return self.element not in (int, float) or (
        self.minimum <= value <= self.maximum and
        self.above < value < self.below)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Section:
  """A frozen dataclass whose fields are made with `field`, and checked.

  `help` of a section lists its fields with their help and default.
  """

  def __init_subclass__(cls, **kwargs):
    super().__init_subclass__(**kwargs)
    cls.__repr__ = Section.__repr__  # Not that of dataclasses.
    fields = {
        name: value for owner in (*cls.__mro__[:0:-1], cls)
        for name, value in {**vars(owner).get('__dataclass_fields__', {}),
                            **vars(owner)}.items()
        if isinstance(value, dataclasses.Field) and value.metadata.get('help')}
    cls.__doc__ = '\n'.join([
        inspect.cleandoc(vars(cls).get('__doc__') or ''), '', 'Fields:', *(
            textwrap.fill(
                f'{name}: {value.metadata["help"]} Default: {value.default!r}.',
                80, initial_indent='  ', subsequent_indent='    ')
            for name, value in fields.items())])

  def __repr__(self) -> str:
    changed_ = [f'{f.name}={value!r}' for f in self.fields()
                if (value := getattr(self, f.name)) != f.default]
    return f'{type(self).__name__}({", ".join(changed_)})'

  def __post_init__(self):
    for field_ in self.fields():
      value = field_.check(getattr(self, field_.name))
      object.__setattr__(self, field_.name, value)
    self.check()

  def check(self) -> None:
    """Raises `InvalidValueError` where fields do not suit each other."""

  def require(self, condition: bool, name: str, expected: str,
              advice: str = '') -> None:
    """Raises `InvalidValueError` for a field unless `condition` holds."""
    errors.check(condition, name, spec.text_of(getattr(self, name)), expected,
                 advice)

  def check_suits(self, condition: bool, name: str, problem: str,
                  advice: str = '') -> None:
    """Raises `InvalidValueError` for a field that others do not suit."""
    errors.check_suits(condition, name, spec.text_of(getattr(self, name)),
                       problem, advice)

  def require_defaults(
      self, names: Collection[str], where: str, advice: str) -> None:
    """Raises `InvalidValueError` for fields that make no difference here.

    Args:
      names: of the fields.
      where: what they do not go with, such as `without a condition`.
      advice: a sentence.
    """
    for field_ in self.fields():
      self.check_suits(
          field_.name not in names or
          getattr(self, field_.name) == field_.default, field_.name,
          f'has no effect {where}', advice)

  def require_lengths(
      self, names: Sequence[str], sizes: Collection[int], expected: str
  ) -> None:
    """Raises `InvalidValueError` for means and standard deviations of others.

    Args:
      names: of a mean and a standard deviation, and perhaps of more tuples.
      sizes: one of which is the length of each that is not empty.
      expected: what they hold, for the message.
    """
    for name in names:
      self.require(len(getattr(self, name)) in (0, *sizes), name, expected)
    mean, std, *_ = names
    self.require(
        len(getattr(self, mean)) == len(getattr(self, std)), std,
        f'as many numbers as {mean} has')

  @classmethod
  @functools.cache
  def fields(cls) -> tuple[Field, ...]:
    """Returns what is known of the fields, in their order."""
    hints = typing.get_type_hints(cls)
    groups = {
        name: owner.__doc__.partition('\n')[0].rstrip('.')
        for owner in (cls, *reversed(cls.__mro__[1:-1]))
        for name in vars(owner).get('__annotations__', ())}
    return tuple(
        Field(name=f.name, type=hints[f.name], default=f.default,
              group=groups[f.name], **{'flag': f.name, **f.metadata})
        for f in dataclasses.fields(cls))

  @classmethod
  def flag_fields(cls) -> list[Field]:
    """Returns the fields that are flags."""
    return [f for f in cls.fields() if f.is_flag]

  def values(self) -> dict[str, Any]:
    """Returns the values of all fields, by their names."""
    return {f.name: getattr(self, f.name) for f in self.fields()}

  def changes(self, other: Self) -> Iterator[tuple[Field, tuple[Any, Any]]]:
    """Yields the fields that differ, with their values here and there."""
    for field_ in self.fields():
      pair = getattr(self, field_.name), getattr(other, field_.name)
      if pair[0] != pair[1]:
        yield field_, pair

  def differences(self, other: Self) -> dict[str, tuple[Any, Any]]:
    """Returns what forbids to continue a run of `other`.

    Returns:
      From the names of flags to the values here and there.
    """
    return {
        f.flag: pair for f, pair in self.changes(other) if f.is_flag and not (
            f.resumable(self, other) if callable(f.resumable)
            else f.resumable)}
