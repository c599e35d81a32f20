"""Specs: objects written as one word, such as `roulette:poisson:2,exact=2`.

A spec is `NAME[:ARGUMENT ...][,OPTION=VALUE ...]`, without characters that are
special to shells. A registry maps the name to a type, which is imported on
demand and defines the meaning of the arguments.
"""

from collections.abc import Iterable, Mapping, Sequence
import dataclasses
import difflib
import functools
import inspect
import re
import sys
from typing import Any, ClassVar, overload, Self

from tf_resflow import errors


@dataclasses.dataclass(frozen=True)
class Spec:
  """The parts of a spec, as strings.

  Example:
    >>> Spec.parse('roulette:poisson:2,exact=4')
    Spec(name='roulette', arguments=('poisson', '2'), options={'exact': '4'})
    >>> str(Spec('adaptive', ('0.02',)))
    'adaptive:0.02'
  """

  name: str
  arguments: tuple[str, ...] = ()
  options: dict[str, str] = dataclasses.field(default_factory=dict)

  @classmethod
  def parse(cls, text: str, field: str = 'spec') -> Self:
    """Parses a spec, or raises `InvalidValueError` about a field."""
    head, *options = text.split(',')
    pairs = [option.partition('=') for option in options]
    name, *arguments = head.split(':')
    errors.check(
        bool(name) and all(arguments) and all(
            key and equals and value for key, equals, value in pairs) and
        len({key for key, _, _ in pairs}) == len(pairs), field, text,
        'NAME, NAME:ARGUMENT or NAME:ARGUMENT,OPTION=VALUE')
    return cls(name, tuple(arguments), {key: value for key, _, value in pairs})

  def __str__(self) -> str:
    options = [f'{key}={value}' for key, value in self.options.items()]
    return ','.join([':'.join([self.name, *self.arguments]), *options])


def parse_value(value_type: type, text: str) -> Any:
  """Parses a bool, int, float or str, or raises; the inverse of `text_of`."""
  if value_type is not bool:
    return value_type(text)
  # Like the flags of absl.
  is_true = text.lower() in ('true', 't', '1')
  if not is_true and text.lower() not in ('false', 'f', '0'):
    raise ValueError(text)
  return is_true


def text_of(value: Any) -> str:
  """Returns a value as text: objects as specs, tuples separated by commas."""
  if isinstance(value, Specified):
    return value.spec()
  if isinstance(value, tuple):
    return ','.join(map(text_of, value))
  is_word = value is None or isinstance(value, bool)
  return str(value).lower() if is_word else str(value)


def option(default: Any, name: str) -> Any:
  """Returns a dataclass field that specs set by `name=VALUE`."""
  return dataclasses.field(
      default=default, kw_only=True, metadata={'option': name})


class Registry:
  """A table from the names in flags and files to types.

  Types of this package are listed as `'module:attribute'`, so that names can be
  listed and checked without importing TensorFlow. `register` adds user-defined
  types. A name may be followed by arguments and options, such as
  `densenet:3,growth=16`; see `bind`.

  Args:
    noun: name of the value in messages.
    entries: maps names to `'module:attribute'`; `'.module'` is one of this
      package.
    takes_options: whether arguments and options may follow a name.
    with_arguments: whether its types have arguments, for messages.

  Example:
    >>> numbers = Registry('number', {'pi': 'math:pi', 'root': 'math:sqrt'})
    >>> numbers.register('power', lambda x, exponent=2: x**exponent)(3)
    9
    >>> numbers.names()
    ('pi', 'root', 'power')
    >>> numbers.get('pi')
    3.141592653589793
    >>> 'power:3' in numbers, numbers.get('power:3')(2)
    (True, 8)
    >>> numbers.get('three')
    Traceback (most recent call last):
    tf_resflow.errors.InvalidValueError: number=three: expected one of pi, ...
  """

  _name_pattern = r'[\w/-]+'
  _name_rule = 'a name of letters, digits, "_", "-" and "/"'

  def __init__(self, noun: str, entries: Mapping[str, str],
               takes_options: bool = True, with_arguments: bool = False):
    self.noun = noun
    self._entries: dict[str, Any] = {
        name: f'tf_resflow{path}' if path.startswith('.') else path
        for name, path in entries.items()}
    self.takes_options = takes_options
    self._with_arguments = with_arguments

  @classmethod
  def from_names(cls, noun: str, names: Iterable[str]) -> Self:
    """Returns a registry of names alone."""
    return cls(noun, dict.fromkeys(names, ''), takes_options=False)

  def names(self) -> tuple[str, ...]:
    """Returns all names, in the order in which they were registered."""
    return tuple(self._entries)

  @property
  def expected(self) -> str:
    """Description of what is registered, for messages."""
    return f'one of {", ".join(self.names())}' + (
        ', with arguments' if self._with_arguments else '')

  def split(self, text: Any) -> tuple[str, str]:
    """Splits a text into its registered name, empty if unknown, and the rest.
    """
    text = str(text)
    name = re.split('[:,]', text, maxsplit=1)[0] if (
        self.takes_options) else text
    return (name, text[len(name):]) if name in self._entries else ('', text)

  def __contains__(self, text: Any) -> bool:
    """Returns whether a text begins with what is registered."""
    return bool(self.split(text)[0])

  def register(self, name: str, value: Any) -> Any:
    """Registers a type.

    Args:
      name: a new name of letters, digits, `_`, `-` and `/`.
      value: the type, or its `'module:attribute'`.

    Returns:
      `value`.

    Raises:
      InvalidValueError: if the name is invalid or already registered.
    """
    errors.check(
        isinstance(name, str) and bool(re.fullmatch(self._name_pattern, name)),
        self.noun, repr(name), self._name_rule)
    errors.check(
        self._entries.get(name, value) is value, self.noun, name,
        problem='is already registered', advice='Use another name.')
    self._entries[name] = value
    return value

  def check(self, name: str, field: str | None = None) -> str:
    """Returns a registered name or spec, or raises an error; see `get`."""
    if name not in self:
      raise errors.InvalidValueError(
          field or self.noun, name, self.expected, self.advice(name))
    return name

  def advice(self, name: Any) -> str:
    """Returns similar names, as a question; may be empty."""
    similar = dict.fromkeys(self._similar(str(name)))
    return f'Did you mean {" or ".join(similar)}?' if similar else ''

  def _similar(self, name: str) -> list[str]:
    """Returns registered names that may be meant."""
    return difflib.get_close_matches(
        re.split('[:,]', name, maxsplit=1)[0], self.names()) + [
            other for other in self.names()
            if name and other.partition('/')[0] == name]

  def get(self, text: str, field: str | None = None) -> Any:
    """Returns the value of a name or spec; imports it if necessary.

    Args:
      text: the name or spec.
      field: name of the field or flag for messages; by default the noun.

    Raises:
      InvalidValueError: if the name is unknown or its arguments are invalid.
    """
    name, rest = self.split(self.check(text, field))
    value = self._imported(name)
    return bind(value, text, field or self.noun) if rest else value

  def _imported(self, name: str) -> Any:
    """Returns the value of a name; imports that of `'module:attribute'`."""
    value = self._entries[name]
    if not isinstance(value, str):
      return value
    module, _, attribute = value.partition(':')
    __import__(module)  # AutoGraph would follow importlib, and warn.
    return getattr(sys.modules[module], attribute)

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


@dataclasses.dataclass(frozen=True)
class Specified:
  """Base class of frozen dataclasses that are written as specs.

  Fields are the arguments of the spec, in order; those defined by `option` are
  its options. A field holds a float, int, str, bool, None, or another
  `Specified`, which takes all remaining arguments.

  Example:
    >>> estimator = numerics.Estimator.get('roulette:poisson:3,exact=4')
    >>> estimator.num_exact_terms, estimator
    (4, roulette:poisson:3.0,exact=4)
  """

  registry: ClassVar[Registry]

  def __init_subclass__(cls: Any, **kwargs):
    super().__init_subclass__(**kwargs)
    cls.__repr__ = Specified.__repr__  # Not that of dataclasses.

  def __repr__(self) -> str:
    try:
      return self.spec()
    except errors.InvalidValueError:
      return f'{type(self).__name__}()'  # It is not registered.

  @overload
  @classmethod
  def get(cls, value: None, field: str | None = None) -> None: ...

  @overload
  @classmethod
  def get(cls, value: Self | str, field: str | None = None) -> Self: ...

  @classmethod
  def get(cls, value: Self | str | None,
          field: str | None = None) -> Self | None:
    """Returns the object of a spec; returns objects unchanged.

    Args:
      value: a spec, an object of this class, or None.
      field: name of the field for messages; by default that of the registry.

    Raises:
      InvalidValueError: if the name is unknown or its arguments are invalid.
    """
    if not isinstance(value, str):
      return value
    field = field or cls.registry.noun
    spec = Spec.parse(value, field)
    try:
      return cls.registry.get(spec.name, field).from_spec(spec, field)
    except errors.InvalidValueError as error:
      if (error.name, error.value) == (field, value):
        raise
      # The error is of a part; the message shows the whole spec, too.
      raise errors.InvalidValueError(
          field, value, 'a valid spec', str(error)) from error

  @classmethod
  def from_spec(cls, spec: Spec, field: str) -> Self:
    """Returns the object of a spec with the name of this class."""
    fields = dataclasses.fields(cls)
    return cls(**_arguments(
        spec, field, [f for f in fields if 'option' not in f.metadata],
        {f.metadata['option']: f for f in fields if 'option' in f.metadata}))

  def spec(self) -> str:
    """Returns the spec, which `get` converts to an equal object."""
    fields = dataclasses.fields(self)
    arguments = [text_of(getattr(self, f.name)) for f in fields
                 if 'option' not in f.metadata]
    options = {
        f.metadata['option']: text_of(getattr(self, f.name)) for f in fields
        if 'option' in f.metadata and getattr(self, f.name) != f.default}
    return str(Spec(
        self.registry.name_of(type(self)), tuple(arguments), options))


def bind(value: Any, text: str, field: str) -> Any:
  """Binds the arguments and options of a spec to a function or class.

  Its parameters with a number, string or bool as the default are the arguments
  of the spec, in order, and its options.
  """
  known = {
      p.name: p for p in inspect.signature(value).parameters.values()
      if isinstance(p.default, (bool, int, float, str)) and p.name[0] != '_'
  } if callable(value) else {}
  return functools.partial(value, **_arguments(
      Spec.parse(text, field), field, list(known.values()), known))


def _arguments(
    spec: Spec, field: str, parameters: Sequence[Any],
    options: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the values of parameters in a spec, by parameter name.

  Parameters have `name` and `default`; `options` is by names of options.
  """
  name, text = spec.name, str(spec)
  arguments, last = list(spec.arguments), len(parameters) - 1
  if parameters and arguments[last:] and isinstance(
      parameters[last].default, Specified):
    arguments[last:] = [':'.join(arguments[last:])]
  errors.check(len(arguments) <= len(parameters), field, text,
               f'at most {len(parameters)} arguments of {name}')
  for key in spec.options:
    errors.check(
        key in options, field, text, problem=f'has an unknown option {key}',
        advice=f'Options of {name}: {", ".join(options) or "none"}.')
  given = list(zip(parameters, arguments, strict=False))
  given += [(options[key], value) for key, value in spec.options.items()]
  values = {}
  for parameter, value in given:
    errors.check(
        parameter.name not in values, field, text,
        problem=f'sets {parameter.name} of {name} twice')
    try:
      values[parameter.name] = _parse(parameter.default, value)
    except errors.InvalidValueError:
      raise
    except ValueError:
      raise errors.InvalidValueError(
          field, text, f'a value of {parameter.name} of {name} such as '
          f'{text_of(parameter.default)}') from None
  return values


def _parse(default: Any, text: str) -> Any:
  """Parses a value of the type of a default, or a number for None."""
  if isinstance(default, Specified):
    return type(default).get(text)
  if default is None:
    return None if text == 'none' else parse_value(float, text)
  return parse_value(type(default), text)
