"""Values written as one word: `roulette:poisson:2,exact=2`.

A spec is `NAME[:ARGUMENT ...][,OPTION=VALUE ...]`, made of characters that no
shell reads. What the arguments mean is up to the kind that the name stands for.
"""

from collections.abc import Mapping
import dataclasses
import functools
import inspect
from typing import Any, ClassVar, Self, TYPE_CHECKING

from tf_resflow import errors

if TYPE_CHECKING:
  from tf_resflow.specs import registry as registry_lib


@dataclasses.dataclass(frozen=True)
class Spec:
  """The parts of a spec, all of them text.

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
    """Returns the parts of `text`; `field` names it in messages.

    Raises:
      InvalidValueError: if `text` is no spec.
    """
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


def parse_value(kind: type, text: str) -> Any:
  """Returns the value of a type that a text stands for.

  Args:
    kind: bool, int, float or str.
    text: what `text_of` returns, or a like text.

  Raises:
    ValueError: if it stands for none.
  """
  if kind is not bool:
    return kind(text)
  # As absl's flags.
  words = {'true': True, 't': True, '1': True,
           'false': False, 'f': False, '0': False}
  if text.lower() not in words:
    raise ValueError(text)
  return words[text.lower()]


def text_of(value: Any) -> str:
  """Returns the text of a value, which `parse_value` reads.

  That is the spec of what has one; a tuple has commas.
  """
  if isinstance(value, Specified):
    return value.spec()
  if isinstance(value, tuple):
    return ','.join(map(text_of, value))
  is_word = value is None or isinstance(value, bool)
  return str(value).lower() if is_word else str(value)


def option(default: Any, name: str) -> Any:
  """Returns a dataclass field that a spec gives as `name=VALUE` only."""
  return dataclasses.field(
      default=default, kw_only=True, metadata={'option': name})


@dataclasses.dataclass(frozen=True)
class Specified:
  """A base of frozen dataclasses that a spec can name.

  Fields are the arguments of the spec, in their order; those made with
  `option` are its options. A field holds a float, int, str, bool, None, or
  another `Specified`, which then takes all arguments that are left.
  """

  registry: ClassVar['registry_lib.Registry']

  def __init_subclass__(cls, **kwargs):
    super().__init_subclass__(**kwargs)
    cls.__repr__ = Specified.__repr__  # Not that of dataclasses.

  def __repr__(self) -> str:
    try:
      return self.spec()
    except errors.InvalidValueError:
      return f'{type(self).__name__}()'  # It is not registered.

  @classmethod
  def get(cls, value: Self | str | None,
          field: str | None = None) -> Self | None:
    """Returns the object that a spec names; others are returned as they are.

    Args:
      value: a spec, an object of this class, or None.
      field: what holds it, for messages; the kind of object by default.

    Raises:
      InvalidValueError: if the spec does not name a registered kind or its
        arguments do not suit it.
    """
    if not isinstance(value, str):
      return value
    field = field or cls.registry.noun
    spec = Spec.parse(value, field)
    try:
      return cls.registry.get(spec.name, field).from_spec(spec, value, field)
    except errors.InvalidValueError as error:
      if (error.name, error.value) == (field, value):
        raise
      # Of a part; the message starts with the whole, as it was given.
      raise errors.InvalidValueError(
          field, value, 'a spec whose parts are valid', str(error)) from error

  @classmethod
  def from_spec(cls, spec: Spec, text: str, field: str) -> Self:
    """Returns the object of a spec whose name stands for this class."""
    fields = dataclasses.fields(cls)
    return cls(**_arguments(
        spec, text, field,
        {f.name: f for f in fields if 'option' not in f.metadata},
        {f.metadata['option']: f for f in fields if 'option' in f.metadata}))

  def spec(self) -> str:
    """Returns the spec that `get` turns into an equal object."""
    fields = dataclasses.fields(self)
    arguments = [text_of(getattr(self, f.name)) for f in fields
                 if 'option' not in f.metadata]
    options = {
        f.metadata['option']: text_of(getattr(self, f.name)) for f in fields
        if 'option' in f.metadata and getattr(self, f.name) != f.default}
    return str(Spec(
        self.registry.name_of(type(self)), tuple(arguments), options))


def bind(value: Any, text: str, field: str) -> Any:
  """Returns what a name stands for, with what its spec says beside the name.

  Args:
    value: a function or a class. Those of its parameters whose default is a
      number, a text or a bool are the arguments of the spec, in their order,
      and its options.
    text: the spec, such as `densenet:3,growth=16`.
    field: what holds it, for messages.

  Returns:
    A `functools.partial`.

  Raises:
    InvalidValueError: if `value` takes no such arguments.
  """
  known = {
      p.name: p for p in inspect.signature(value).parameters.values()
      if isinstance(p.default, (bool, int, float, str)) and p.name[0] != '_'
  } if callable(value) else {}
  return functools.partial(value, **_arguments(
      Spec.parse(text, field), text, field, known, known))


def _arguments(
    spec: Spec, text: str, field: str, positional: Mapping[str, Any],
    options: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the values of the parameters that a spec gives, by their names.

  Args:
    spec: the parts of `text`.
    text: for messages.
    field: likewise.
    positional: parameters, with `name` and `default`, in the order of the
      arguments.
    options: by the names of the options.
  """
  kind, parameters = spec.name, list(positional.values())
  arguments, last = list(spec.arguments), len(parameters) - 1
  if parameters and arguments[last:] and isinstance(
      parameters[last].default, Specified):
    arguments[last:] = [':'.join(arguments[last:])]
  errors.check(len(arguments) <= len(parameters), field, text,
               f'at most {len(parameters)} arguments of {kind}')
  for key in spec.options:
    errors.check(key in options, field, text, (
        f'{kind} with the options {", ".join(options)}' if options
        else f'{kind}, which has no options'))
  given = list(zip(parameters, arguments, strict=False))
  given += [(options[key], value) for key, value in spec.options.items()]
  values = {}
  for parameter, value in given:
    errors.check(parameter.name not in values, field, text,
                 f'{parameter.name} of {kind} once')
    try:
      values[parameter.name] = _parse(parameter.default, value)
    except errors.InvalidValueError:
      raise
    except ValueError:
      raise errors.InvalidValueError(
          field, text, f'a value of {parameter.name} of {kind} like '
          f'{text_of(parameter.default)}') from None
  return values


def _parse(default: Any, text: str) -> Any:
  """Returns a value like a default, or a number where that is None."""
  if isinstance(default, Specified):
    return type(default).get(text)
  if default is None:
    return None if text == 'none' else parse_value(float, text)
  return parse_value(type(default), text)
