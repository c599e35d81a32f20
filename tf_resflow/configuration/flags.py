"""Flags of a run: defined from the fields, read and written.

Every function takes the `FlagValues` to use; the tools give absl's own.
"""

from collections.abc import Iterable, Sequence
import importlib
import os
import sys
from typing import Any

from absl import flags

from tf_resflow import errors
from tf_resflow.configuration import config as config_lib
from tf_resflow.configuration import fields
from tf_resflow.configuration import model_config
from tf_resflow.configuration import registries
from tf_resflow.configuration import sections
from tf_resflow.configuration import values as values_lib

# The flags belong to the tool that defines them, so that its --help lists them.
flags.disclaim_key_flags()

# A run's flags of version 0.1.0, all of which stood in every file.
_FLAGS_OF_0_1 = ('--truncation=', '--num_exact_terms=', '--probe=')


class _TextParser(flags.ArgumentParser):
  """Leaves a value as it is given; says in the help what it has to be."""

  def __init__(self, expected: str):
    super().__init__()
    self.syntactic_help = expected

  def flag_type(self) -> str:
    return 'string'


class _BooleanParser(flags.BooleanParser):
  """Says what was expected as everything else does."""

  def __init__(self, field: fields.Field):
    super().__init__()
    self._field = field

  def parse(self, argument: str | int) -> bool:
    try:
      return super().parse(argument)
    except ValueError:
      return self._field.parse(str(argument))


def import_modules(arguments: Sequence[str]) -> tuple[str, ...]:
  """Imports the modules that `--import` names, here and in flagfiles.

  To be called before `define`, so that flags and their help know what the
  modules register. The folder from which a tool is called is searched, too.

  Args:
    arguments: of the command line, without the name of the tool.

  Returns:
    The names of the modules.

  Raises:
    InvalidValueError: if a module cannot be imported.
    absl.flags.Error: if a flagfile cannot be read.
  """
  values = flags.FlagValues()
  define_import(values)
  values.set_gnu_getopt(True)
  values(['', *arguments], known_only=True)
  modules = _imports(values)
  if modules and os.getcwd() not in sys.path:
    sys.path.append(os.getcwd())
  for module in modules:
    expected = 'a module that can be imported'
    errors.check(
        all(part.isidentifier() for part in module.split('.')), 'import',
        module, expected, 'Write my_package.my_module.')
    try:
      importlib.import_module(module)
    except (ImportError, errors.InvalidValueError) as error:
      raise errors.InvalidValueError(
          'import', module, expected, errors.sentence(error)) from error
  return modules


def define_import(flag_values: flags.FlagValues) -> None:
  """Defines `--import` alone, for tools that take no configuration."""
  (field,) = [f for f in sections.RunConfig.fields() if f.flag == 'import']
  flags.DEFINE_multi_string(
      field.flag, None, field.rules.help, flag_values=flag_values)


def define(flag_values: flags.FlagValues) -> None:
  """Defines `--model`, `--import` and one flag per field of all models.

  Values stay texts until `config` knows the type of the model. The default of
  all flags is None; those of the fields stand in the help.
  """
  if 'import' not in flag_values:
    define_import(flag_values)
  flags.DEFINE(
      _TextParser(f'one of {", ".join(registries.MODELS.names())}'), 'model',
      None, f'Type of the model. (default: {config_lib.DEFAULT_MODEL})',
      flag_values)
  for name, owners in _owners().items():
    if name in flag_values:
      continue
    define_field(next(iter(owners.values())), _help(owners), flag_values)


def define_field(field: fields.Field, help_: str,
                 flag_values: flags.FlagValues) -> None:
  """Defines the flag of one field; its value stays a text, or None."""
  if field.element is bool:
    flag = flags.BooleanFlag(field.flag, None, help_)
    flag.parser = _BooleanParser(field)
    flags.DEFINE_flag(flag, flag_values)
  else:
    flags.DEFINE(
        _TextParser(field.expected), field.flag, None, help_, flag_values)


def field_values(fields_: Iterable[fields.Field],
                 flag_values: flags.FlagValues) -> dict[str, Any]:
  """Returns the values of the flags that were given, by names of fields.

  Raises:
    InvalidValueError: naming the flag whose text is no value of its field.
  """
  values = {}
  for field in fields_:
    value = flag_values[field.flag].value
    if value is not None:
      values[field.name] = (
          value if isinstance(value, bool) else field.parse(value))
  return values


def names() -> tuple[str, ...]:
  """Returns the names of all flags that `define` defines."""
  return ('model', *_owners())


def _owners() -> dict[str, dict[str, fields.Field]]:
  """Returns, per flag, from the sections or models with it to their field."""
  owners = {}
  models = {n: registries.MODELS.get(n) for n in registries.MODELS.names()}
  for owner, section in {**config_lib.SECTIONS, **models}.items():
    for field in section.fields():
      if not field.rules.is_flag:
        continue
      others = owners.setdefault(field.flag, {})
      errors.check(
          all(name in models and (field.element is bool) ==
              (other.element is bool) for name, other in others.items()),
          'model', owner, f'a model without a field {field.name}',
          'There is such a flag of another kind; rename the field.')
      others[owner] = field
  return owners


def _help(owners: dict[str, fields.Field]) -> str:
  """Returns the help of a flag: meaning, defaults, and the models with it."""
  (owner, field), *others = owners.items()
  defaults = {name: 'none' if f.default in (None, ()) else values_lib.text_of(
      f.default) for name, f in owners.items()}
  if owner in config_lib.SECTIONS:
    note = f'default: {defaults[owner]}'
  elif len(set(defaults.values())) == 1:
    note = f'default: {defaults[owner]}; of models: {", ".join(owners)}'
  else:
    note = 'default: ' + ', '.join(
        f'{text} of {name}' for name, text in defaults.items())
  return f'{field.rules.help} ({note})'


def config(flag_values: flags.FlagValues) -> config_lib.Config:
  """Returns the configuration that parsed flags describe.

  Raises:
    InvalidValueError: naming the flag.
  """
  model = flag_values['model'].value or config_lib.DEFAULT_MODEL
  registries.MODELS.check(model)
  values = {'imports': _imports(flag_values)}
  values |= field_values(
      (owners[model if model in owners else next(iter(owners))]
       for name, owners in _owners().items()
       if name != 'import' and name in flag_values), flag_values)
  return config_lib.make_config(model=model, **values)


def _imports(flag_values: flags.FlagValues) -> tuple[str, ...]:
  """Returns the modules of all `--import`, each once."""
  texts = flag_values['import'].value or ()
  names_ = [name.strip() for text in texts for name in text.split(',')]
  return tuple(dict.fromkeys(name for name in names_ if name))


def to_flagfile(config: config_lib.Config) -> str:
  """Returns the text of a flagfile that replays a run."""
  lines = [f'--model={config.model.name()}']
  for section in config.sections():
    for field in section.fields():
      value = getattr(section, field.name)
      if not field.rules.is_flag or value is None:
        continue
      if isinstance(value, bool):
        lines.append(f'--{"" if value else "no"}{field.flag}')
      else:
        lines.append(f'--{field.flag}={values_lib.text_of(value)}')
  return '\n'.join(lines) + '\n'


def from_flagfile(path: str | os.PathLike) -> config_lib.Config:
  """Returns the configuration of a `run.flags` file; imports its modules.

  Raises:
    InvalidValueError: if it cannot be read, is of an older version, or a flag
      or its value is not known.
  """
  expected = 'the flags of a run of this version'
  arguments = [f'--flagfile={os.fspath(path)}']
  try:
    with open(path, encoding='utf-8') as f:
      text = f.read()
  except (OSError, UnicodeError) as error:
    raise errors.InvalidValueError(
        'file', path, expected, errors.sentence(error)) from error
  is_old = all(flag in text for flag in _FLAGS_OF_0_1)
  errors.check(not is_old, 'file', path, expected, model_config.MADE_BY_0_1)
  try:
    import_modules(arguments)
    values = flags.FlagValues()
    define(values)
    values(['', *arguments])
    return config(values)
  except errors.InvalidValueError as error:
    raise errors.InvalidValueError(
        'file', path, expected, str(error)) from error
  except flags.Error as error:
    raise errors.InvalidValueError(
        'file', path, expected, errors.sentence(error)) from error
