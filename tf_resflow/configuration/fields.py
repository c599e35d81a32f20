"""Fields of configurations: each stands once, with default, help and limits.

Flags, their help, files and checks all follow from the fields.
"""

from collections.abc import Callable
import dataclasses
import functools
import math
import typing
from typing import Any, Self

from tf_resflow import errors
from tf_resflow.configuration import registry
from tf_resflow.configuration import spec as spec_lib
from tf_resflow.configuration import values

_METADATA = 'tf_resflow'

_EXPECTED = {
    bool: 'true or false', int: 'a whole number', float: 'a number',
    str: 'a text'}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rules:
  """What is known of a field beside its name, type and default.

  Limits hold for numbers, and for every number of a tuple.
  """

  help: str = ''
  minimum: float | None = None
  maximum: float | None = None
  above: float | None = None
  below: float | None = None
  min_length: int = 0
  choices: tuple[str, ...] | registry.Registry | None = None
  kinds: registry.Registry | None = None
  resumable: bool | Callable[['Section', 'Section'], bool] = False
  changes_function: bool = True
  is_flag: bool = True
  flag: str | None = None

  def names(self) -> tuple[str, ...]:
    """Returns the names that the value may have, none if it is free."""
    names = self.choices or self.kinds or ()
    return names.names() if isinstance(names, registry.Registry) else names


def field(default: Any, **rules: Any) -> Any:
  """Returns a field of a `Section`.

  Args:
    default: its value where none is given.
    **rules: `help`: what it means, one sentence without its limits, names and
      default, which `--help` adds; `minimum`, `maximum`: the least and largest
      number; `above`, `below`: numbers that it must not reach; `min_length`: of
      a tuple; `choices`: the names it may have, or a `Registry` of them;
      `kinds`: a `Registry` that knows the name in front of a spec; `resumable`:
      whether it may change when a run is continued, or a function of both
      sections that says so; `changes_function`: whether models with equal
      weights compute something else where it differs; `is_flag`: False for what
      follows from other fields or the data; `flag`: the name of its flag.

  Example:
    >>> @dataclasses.dataclass(frozen=True, kw_only=True)
    ... class Kitchen(Section):
    ...   num_cooks: int = field(2, help='Who cooks.', minimum=1)
    >>> Kitchen(num_cooks=0)
    Traceback (most recent call last):
    tf_resflow.errors.InvalidValueError: num_cooks=0: expected a whole number
    from 1.
  """
  return dataclasses.field(
      default=default, metadata={_METADATA: Rules(**rules)})


def changed(section: type['Section'], name: str, default: Any) -> Any:
  """Returns a field of another section with another default."""
  (field_,) = [f for f in dataclasses.fields(section) if f.name == name]
  return dataclasses.field(default=default, metadata=field_.metadata)


@dataclasses.dataclass(frozen=True)
class Field:
  """One field of a `Section`, as flags, files and checks see it."""

  name: str
  type: Any
  default: Any
  rules: Rules

  @property
  def flag(self) -> str:
    """The name of its flag."""
    return self.rules.flag or self.name

  @property
  def is_tuple(self) -> bool:
    """Whether it holds any number of values."""
    return typing.get_origin(self.type) is tuple

  @property
  def is_optional(self) -> bool:
    """Whether it may be None."""
    return type(None) in typing.get_args(self.type)

  @property
  def element(self) -> type:
    """The type of the value, or of the values of a tuple."""
    if self.is_tuple or self.is_optional:
      (element,) = {*typing.get_args(self.type)} - {type(None), Ellipsis}
      return element
    return self.type

  @property
  def expected(self) -> str:
    """What a value has to be, in words."""
    rules = self.rules
    if rules.names():
      what = f'one of {", ".join(rules.names())}'
      return f'{what}, with arguments' if rules.kinds else what
    if self.is_tuple:
      what = 'whole numbers' if self.element is int else 'numbers'
      if rules.min_length:
        what = f'{rules.min_length} or more {what}'
    else:
      what = _EXPECTED[self.element]
    low = f'[{rules.minimum}' if rules.above is None else f'({rules.above}'
    high = f'{rules.maximum}]' if rules.below is None else f'{rules.below})'
    has_low = (rules.minimum, rules.above) != (None, None)
    if has_low and (rules.maximum, rules.below) != (None, None):
      what += f' in {low}, {high}'
    elif has_low:
      what += f' above {rules.above}' if rules.minimum is None else (
          f' from {rules.minimum}')
    if self.is_tuple:
      example = self.default or (
          (3, 4) if self.element is int else (0.5, 0.25))
      what += f', such as {values.text_of(example)}'
    return what

  def parse(self, text: str) -> Any:
    """Returns the value that a text stands for.

    Raises:
      InvalidValueError: if it stands for none.
    """
    try:
      if not self.is_tuple:
        return values.parse(self.element, text)
      parts = text.split(',') if text else []
      return tuple(values.parse(self.element, part.strip()) for part in parts)
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
    if value is None and self.is_optional:
      return None
    rules = self.rules
    if self.is_tuple:
      is_valid = isinstance(value, (tuple, list)) and (
          len(value) >= rules.min_length)
      if is_valid:
        value = tuple(self._converted(v) for v in value)
        is_valid = all(self._is_valid(v) for v in value)
    else:
      value = self._converted(value)
      is_valid = self._is_valid(value)
    errors.check(is_valid, self.flag, values.text_of(value), self.expected)
    return value

  def _converted(self, value: Any) -> Any:
    if self.element is float and type(value) is int:
      return float(value)
    return value

  def _is_valid(self, value: Any) -> bool:
    rules = self.rules
    if type(value) is not self.element:
      return False
    if rules.kinds is not None:
      value = spec_lib.Spec.parse(value, self.flag).name
    if rules.names():
      return value in rules.names()
    if self.element not in (int, float):
      return True
    return math.isfinite(value) and (
        (rules.minimum is None or value >= rules.minimum) and
        (rules.maximum is None or value <= rules.maximum) and
        (rules.above is None or value > rules.above) and
        (rules.below is None or value < rules.below))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Section:
  """A frozen dataclass whose fields are made with `field`, and checked."""

  def __post_init__(self):
    for field_ in self.fields():
      value = field_.check(getattr(self, field_.name))
      object.__setattr__(self, field_.name, value)
    self.check()

  def check(self) -> None:
    """Raises `InvalidValueError` where fields do not suit each other."""

  @classmethod
  @functools.cache
  def fields(cls) -> tuple[Field, ...]:
    """Returns what is known of the fields, in their order."""
    hints = typing.get_type_hints(cls)
    return tuple(
        Field(f.name, hints[f.name], f.default,
              f.metadata.get(_METADATA, Rules()))
        for f in dataclasses.fields(cls))

  def values(self) -> dict[str, Any]:
    """Returns the values of all fields, by their names."""
    return {f.name: getattr(self, f.name) for f in self.fields()}

  def differences(self, other: Self) -> dict[str, tuple[Any, Any]]:
    """Returns what forbids to continue a run of `other`.

    Returns:
      From the names of flags to the values here and there.
    """
    different = {}
    for field_ in self.fields():
      pair = getattr(self, field_.name), getattr(other, field_.name)
      resumable = field_.rules.resumable
      if callable(resumable):
        resumable = resumable(self, other)
      if field_.rules.is_flag and pair[0] != pair[1] and not resumable:
        different[field_.flag] = pair
    return different
