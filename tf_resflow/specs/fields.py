"""Fields of configurations: their flags, help, limits and files follow."""

from collections.abc import Callable, Collection, Iterator
import dataclasses
import functools
import math
import os
import typing
from typing import Any, Self

from tf_resflow import errors
from tf_resflow.specs import spec

# Values of fields that select a default, or nothing.
AUTO, NONE = 'auto', 'none'

_EXPECTED = {
    bool: 'true or false', int: 'an integer', float: 'a number',
    str: 'a string'}
_SEVERAL = {int: 'integers', float: 'numbers', str: 'strings'}
_EXAMPLES = {int: (3, 4), float: (0.5, 0.25), str: ('a', 'b')}


def field(default: Any, **rules: Any) -> Any:
  """Returns a field of a `Section`.

  Args:
    default: default value.
    **rules: attributes of `Field`.

  Example:
    >>> @dataclasses.dataclass(frozen=True, kw_only=True)
    ... class PoolConfig(Section):
    ...   num_threads: int = field(2, help='Number of threads.', minimum=1)
    >>> PoolConfig(num_threads=0)
    Traceback (most recent call last):
    tf_resflow.errors.InvalidValueError: num_threads=0: expected an integer
    >= 1.
  """
  return dataclasses.field(default=default, metadata=rules)


def changed(section: type['Section'], name: str, default: Any) -> Any:
  """Returns a field of `section` with another default."""
  (field_,) = [f for f in dataclasses.fields(section) if f.name == name]
  return dataclasses.field(default=default, metadata=field_.metadata)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Field:
  """Metadata of one field of a `Section`.

  Attributes:
    flag: name of its flag, by default that of the field.
    group: title in the help, the first docstring line of its class.
    help: its meaning, without limits, choices and default, which `--help` adds.
    minimum: inclusive lower limit, for each number of a tuple.
    maximum: inclusive upper limit.
    above: exclusive lower limit.
    below: exclusive upper limit.
    min_length: minimum length of a tuple.
    choices: valid names, or a `Registry` of them.
    resumable: whether it may change when a run is continued, or a function of
      both sections that returns this.
    changes_function: whether models with equal weights but other values compute
      different functions, or a function of both values that returns this.
    is_flag: False if its value follows from other fields or the data.
    is_basic: whether the short help shows its flag.
    placeholders: further literal values, in place of which one is chosen when a
      run begins, see `Section.filled`.
    is_open: whether names may be registered later; who uses them checks them.
    convert: function that returns a valid value of another type, also of what
      JSON has of it, or raises; limits and choices do not apply then.
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
  choices: tuple[str, ...] | spec.Registry | None = None
  resumable: bool | Callable[['Section', 'Section'], bool] = False
  changes_function: bool | Callable[[Any, Any], bool] = True
  is_flag: bool = True
  is_basic: bool = False
  placeholders: tuple[str, ...] = ()
  is_open: bool = False
  convert: Callable[[Any], Any] | None = None

  @functools.cached_property
  def valid(self) -> spec.Registry | None:
    """Registry of the valid names, if they are restricted."""
    return spec.Registry.from_names(self.flag, self.choices) if isinstance(
        self.choices, tuple) else self.choices

  @property
  def is_tuple(self) -> bool:
    """Whether the value is a tuple."""
    return typing.get_origin(self.type) is tuple

  @property
  def element(self) -> type:
    """Type of the value, or of the elements of a tuple."""
    (element,) = _EXPECTED.keys() & {self.type, *typing.get_args(self.type)}
    return element

  @property
  def words(self) -> tuple[str, ...]:
    """Additional literal values: `1/D` of `float | Literal['1/D']`."""
    return self.placeholders + tuple(
        word for part in typing.get_args(self.type)
        for word in typing.get_args(part))

  @property
  def expected(self) -> str:
    """Description of valid values for messages and help."""
    if self.valid:
      return ', or '.join([self.valid.expected, *self.words])
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
      what += low.replace('(', ' > ').replace('[', ' >= ')
    if self.is_tuple:
      example = _EXAMPLES[self.element] if self.default in (
          (), dataclasses.MISSING) else self.default
      what += f', such as {spec.text_of(example)}'
    return ', or '.join([what, *self.words])

  def parse(self, text: str) -> Any:
    """Parses a string, in which ~ in front is the home folder, or raises."""
    if text in self.words:
      return text
    try:
      if not self.is_tuple:
        return spec.parse_value(self.element, os.path.expanduser(text))
      parts = map(str.strip, text.split(',') if text else [])
      return tuple(spec.parse_value(
          self.element, os.path.expanduser(part)) for part in parts)
    except ValueError:
      raise errors.InvalidValueError(
          self.flag, text, self.expected) from None

  def check(self, value: Any) -> Any:
    """Returns a valid value, or raises `InvalidValueError`.

    Lists, as read from JSON, become tuples, and integers become floats if these
    are expected.
    """
    if self.convert:
      return self.convert(value)
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
        self.valid.advice(value) if self.valid else '')
    return value

  def _is_valid(self, value: Any) -> bool:
    if value in self.words:
      return True
    if type(value) is not self.element:
      return False
    if self.valid:
      return self.is_open or value in self.valid and (
          not self.valid.takes_options or
          bool(spec.Spec.parse(value, self.flag)))
    # Rejects NaN and infinity.
    return self.element not in (int, float) or (
        self.minimum <= value <= self.maximum and
        self.above < value < self.below)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Section:
  """Base class of frozen dataclasses with validated fields.

  Fields are defined by `field`; `--help=all` of the tools explains them.
  """

  def __init_subclass__(cls: Any, **kwargs):
    super().__init_subclass__(**kwargs)
    cls.__repr__ = Section.__repr__  # Not that of dataclasses.

  def __repr__(self) -> str:
    changed_ = [f'{name}={value!r}'
                for name, value in self.non_default_values().items()]
    return f'{type(self).__name__}({", ".join(changed_)})'

  def __post_init__(self):
    for field_ in self.fields():
      value = field_.check(getattr(self, field_.name))
      object.__setattr__(self, field_.name, value)
    self.check()

  def check(self) -> None:
    """Raises `InvalidValueError` if fields are incompatible."""

  def require(self, ok: object, name: str, expected: str = '',
              advice: str = '', *, problem: str = '') -> None:
    """Raises `InvalidValueError` for a field unless `ok`; see `errors.check`.
    """
    errors.check(ok, name, spec.text_of(getattr(self, name)), expected, advice,
                 problem=problem)

  def require_defaults(
      self, names: Collection[str], where: str, advice: str = '') -> None:
    """Raises `InvalidValueError` if fields are set that have no effect `where`.
    """
    for field_ in self.fields():
      default = spec.text_of(field_.default) or '""'
      self.require(
          field_.name not in names or
          getattr(self, field_.name) == field_.default, field_.name,
          problem=f'has no effect {where}', advice=advice or
          f'Leave it out, or at its default, {default}.')

  @classmethod
  @functools.cache
  def fields(cls) -> tuple[Field, ...]:
    """Returns the metadata of the fields, in order."""
    hints = typing.get_type_hints(cls)
    groups = {
        name: (owner.__doc__ or '').partition('\n')[0].rstrip('.')
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
    """Returns the values of all fields, by name."""
    return {f.name: getattr(self, f.name) for f in self.fields()}

  def non_default_values(self) -> dict[str, Any]:
    """Returns the values that differ from the defaults, by name."""
    return {f.name: value for f in self.fields()
            if (value := getattr(self, f.name)) != f.default}

  def filled(self, **values: Any) -> Self:
    """Returns the section with values in place of its placeholders."""
    return dataclasses.replace(self, **{
        f.name: values[f.name] for f in self.fields()
        if f.name in values and getattr(self, f.name) in f.placeholders})

  def changes(self, other: Self) -> Iterator[tuple[Field, tuple[Any, Any]]]:
    """Yields the fields that differ, with the values of `self` and `other`."""
    for field_ in self.fields():
      pair = getattr(self, field_.name), getattr(other, field_.name)
      if pair[0] != pair[1]:
        yield field_, pair

  def differences(self, other: Self) -> dict[str, tuple[Any, Any]]:
    """Returns the changes that prevent continuing a run of `other`, by flag."""
    return {
        f.flag: pair for f, pair in self.changes(other) if f.is_flag and not (
            f.resumable(self, other) if callable(f.resumable)
            else f.resumable)}
