"""Specs: objects written as one word, such as `roulette:poisson:2,exact=2`.

A spec is `NAME[:ARGUMENT ...][,OPTION=VALUE ...]`, without characters that are
special to shells. The registered type defines the meaning of the arguments.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import functools
import inspect
from typing import Any, ClassVar, overload, Self, TYPE_CHECKING

from tf_resflow import errors

if TYPE_CHECKING:
  from tf_resflow.specs import registry as registry_lib


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
  words = {'true': True, 't': True, '1': True,
           'false': False, 'f': False, '0': False}
  if text.lower() not in words:
    raise ValueError(text)
  return words[text.lower()]


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

  registry: ClassVar['registry_lib.Registry']

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
    errors.check_suits(
        key in options, field, text, f'has an unknown option {key}',
        f'Options of {name}: {", ".join(options) or "none"}.')
  given = list(zip(parameters, arguments, strict=False))
  given += [(options[key], value) for key, value in spec.options.items()]
  values = {}
  for parameter, value in given:
    errors.check_suits(parameter.name not in values, field, text,
                       f'sets {parameter.name} of {name} twice')
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
