"""What the flags of a tool are: fields of a frozen dataclass."""

from collections.abc import Iterator, Sequence
import dataclasses
from typing import Any, ClassVar, Self

from absl import flags

from tf_resflow import errors
from tf_resflow.configuration import fields
from tf_resflow.configuration import flags as flags_lib
from tf_resflow.configuration import values as values_lib


def required(**rules: Any) -> Any:
  """Returns a field that has to be given; see `fields.field`."""
  return fields.field(dataclasses.MISSING, **rules)


class MissingFlagError(errors.InvalidValueError):
  """A flag has to be given; `expected` is its help."""

  def message(self, name: str) -> str:
    """Returns the message under a name, such as that of the flag."""
    return f'{name} is missing. {self.expected}'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(fields.Section):
  """The flags of a tool, parsed and checked.

  A tool derives its own from the groups that it shares with others. Each class
  is a group of `--help`, under the first line of its docstring; it checks
  its fields in `check`, and has the methods that they are for.

  Attributes:
    arguments: the command line.
    given: names of the flags in it.
    takes_configuration: whether the tool has the flags of a run's configuration
      as well; its `main` then takes that, too.

  Example:
    >>> @dataclasses.dataclass(frozen=True, kw_only=True)
    ... class Greeting(Options):
    ...   '''What is said.'''
    ...   text: str = required(help='What to say.')
    ...   num_times: int = fields.field(1, help='How often.', minimum=1)
    >>> Greeting(text='hello').num_times
    1
  """

  takes_configuration: ClassVar[bool] = False

  arguments: tuple[str, ...] = fields.field((), is_flag=False)
  given: tuple[str, ...] = fields.field((), is_flag=False)

  @classmethod
  def define(cls, flag_values: flags.FlagValues) -> None:
    """Defines one flag per field."""
    for field in cls.flag_fields():
      flags_lib.define_field(field, _help(field), flag_values)

  @classmethod
  def parse(cls, flag_values: flags.FlagValues,
            arguments: Sequence[str]) -> Self:
    """Returns what parsed flags say.

    Args:
      flag_values: the parsed flags.
      arguments: the command line that they come from.

    Raises:
      InvalidValueError: naming a flag that is missing, or whose value is
        refused.
    """
    values = flags_lib.field_values(cls.flag_fields(), flag_values)
    for field in cls.flag_fields():
      if field.default is dataclasses.MISSING and not values.get(field.name):
        raise MissingFlagError(field.flag, None, field.rules.help)
    given = tuple(name for name in flag_values if flag_values[name].present)
    return cls(**values, arguments=tuple(arguments), given=given)

  @classmethod
  def flag_fields(cls) -> list[fields.Field]:
    """Returns the fields that are flags."""
    return [field for field in cls.fields() if field.rules.is_flag]

  def refuse(self, names: Sequence[str], where: str, advice: str) -> None:
    """Raises `InvalidValueError` for flags that would be ignored.

    Args:
      names: of the flags.
      where: what they do not go with, such as `with --inputs`.
      advice: what they do go with, a sentence.
    """
    for field in self.flag_fields():
      if field.flag in names and field.flag in self.given:
        raise errors.InvalidValueError(
            field.flag, values_lib.text_of(getattr(self, field.name)),
            f'no such flag {where}', advice)


def groups(section: type[fields.Section]) -> Iterator[tuple[str, list[str]]]:
  """Yields the groups of a section: a title, and the names of its flags."""
  flag_names = {
      f.name: f.flag for f in section.fields() if f.rules.is_flag}
  for owner in (*section.__mro__[1:], section):
    names = [flag_names.pop(name) for name in vars(owner).get(
        '__annotations__', ()) if name in flag_names]
    if names:
      yield owner.__doc__.partition('\n')[0], names


def _help(field: fields.Field) -> str:
  if field.default is dataclasses.MISSING:
    note = 'required'
  elif field.default in (None, ()):
    return field.rules.help
  else:
    note = f'default: {values_lib.text_of(field.default)}'
  return f'{field.rules.help} ({note})'
