"""Flags of a run: defined from the fields, read and written.

Every function takes the `FlagValues` to use; the tools give absl's own.
"""

from collections.abc import Callable, Iterable, Sequence
import dataclasses
import importlib
import os
import sys
from typing import Any

from absl import flags

from tf_resflow import errors
from tf_resflow.configuration import run_config as config_lib
from tf_resflow.models import model_config
from tf_resflow.specs import fields
from tf_resflow.specs import registries
from tf_resflow.specs import renamed
from tf_resflow.specs import spec as spec_lib

# The group of the flags that every tool has.
COMMON = 'Every tool'
_SECTIONS = {'kind': config_lib.ModelTypeConfig, **config_lib.SECTIONS}


def import_modules(
    arguments: Sequence[str], before_fn: Callable[[], None] | None = None,
) -> tuple[str, ...]:
  """Imports the modules that `--import` names, here and in flagfiles.

  To be called before `define`, so that flags and their help know what the
  modules register. The folder from which a tool is called is searched, too.

  Args:
    arguments: of the command line, without the name of the tool.
    before_fn: called first, if there are such modules.

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
  if modules and before_fn is not None:
    before_fn()
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
  help_ = next(
      f.help for f in config_lib.RunConfig.fields() if f.flag == 'import')
  flags.DEFINE_multi_string(
      'import', None, help_, flag_values=flag_values, module_name=COMMON)


def define(flag_values: flags.FlagValues, shows_all: bool = True) -> None:
  """Defines `--import` and one flag per field of all models.

  Values stay texts until `config` knows the type of the model. The default of
  all flags is None; those of the fields stand in the help.

  Args:
    flag_values: get the flags.
    shows_all: False for those alone that the short help shows.
  """
  if 'import' not in flag_values and shows_all:
    define_import(flag_values)
  for name, owners in by_name().items():
    if name not in flag_values and (
        shows_all or next(iter(owners.values())).is_basic):
      define_field(owners, flag_values)


def define_field(
    owners: dict[str, fields.Field], flag_values: flags.FlagValues) -> None:
  """Defines the flag of one field; its value stays a text, or None.

  Args:
    owners: from sections or models to their field of that name; the first one
      says in which group the help shows the flag.
    flag_values: get the flag.
  """
  field = next(iter(owners.values()))
  flags.DEFINE(
      flags.ArgumentParser(), field.flag, None, _help(owners), flag_values,
      module_name=field.group, boolean=field.element is bool)


def _help(owners: dict[str, fields.Field]) -> str:
  """Returns the help of a flag: meaning, defaults, models with it, limits."""
  texts = {name: spec_lib.text_of(field.default) or 'none'
           for name, field in owners.items()}
  first, *_ = owners
  field = owners[first]
  if field.default is dataclasses.MISSING:
    note = 'required'
  elif len({*texts.values()}) > 1:
    note = 'default: ' + ', '.join(
        f'{text} of {name}' for name, text in texts.items())
  else:
    note = f'default: {texts[first]}'
    if first in registries.MODELS.names():
      note += f'; of models: {", ".join(owners)}'
  is_free = field.element is bool or field.expected == 'a text'
  return f'{field.help} ({note})' + ('' if is_free else f' ({field.expected})')


def field_values(fields_: Iterable[fields.Field],
                 flag_values: flags.FlagValues) -> dict[str, Any]:
  """Returns the values of the flags that were given, by names of fields.

  Raises:
    InvalidValueError: naming the flag whose text is no value of its field.
  """
  return {
      field.name: field.parse(flag_values[field.flag].value)
      for field in fields_ if flag_values[field.flag].value is not None}


def by_name() -> dict[str, dict[str, fields.Field]]:
  """Returns, per flag of `define`, from sections or models to their field."""
  owners = {}
  models = {n: registries.MODELS.get(n) for n in registries.MODELS.names()}
  for owner, section in {**_SECTIONS, **models}.items():
    for field in section.flag_fields():
      others = owners.setdefault(field.flag, {})
      errors.check(
          all(name in models and (field.element is bool) ==
              (other.element is bool) for name, other in others.items()),
          'model', owner, f'a model without a field {field.name}',
          'There is such a flag of another kind; rename the field.')
      others[owner] = field
  return owners


def config(
    flag_values: flags.FlagValues,
    model: model_config.ModelConfig | None = None) -> config_lib.Config:
  """Returns the configuration that parsed flags describe.

  Args:
    flag_values: the parsed flags.
    model: what the model has to know of the data is taken from this one; the
      data are asked by default.

  Raises:
    InvalidValueError: naming the flag.
  """
  kind, data = (
      section(**field_values(section.flag_fields(), flag_values))
      for section in (config_lib.ModelTypeConfig, config_lib.DataConfig))
  model_name = kind.model or data.info().model
  fields_ = [
      owners.get(model_name, next(iter(owners.values())))
      for name, owners in by_name().items() if name != 'import']
  return config_lib.make_config(
      inferred=model and model.inferred_fields(), imports=_imports(flag_values),
      **(field_values(fields_, flag_values) | {'model': model_name}))


def _imports(flag_values: flags.FlagValues) -> tuple[str, ...]:
  """Returns the modules of all `--import`, each once."""
  texts = flag_values['import'].value or ()
  names_ = [name.strip() for text in texts for name in text.split(',')]
  return tuple(dict.fromkeys(name for name in names_ if name))


def to_flagfile(config: config_lib.Config) -> str:
  """Returns the text of a flagfile that replays a run."""
  return ''.join(
      _argument(field.flag, getattr(section, field.name))
      for section in config.sections() for field in section.flag_fields())


def _argument(name: str, value: Any) -> str:
  """Returns the line of a flag, or nothing for None."""
  if isinstance(value, bool):
    return f'--{"" if value else "no"}{name}\n'
  return '' if value is None else f'--{name}={spec_lib.text_of(value)}\n'


def stored_arguments(path: str | os.PathLike) -> list[str]:
  """Returns the arguments in a flagfile, with present names for old ones.

  Raises:
    absl.flags.Error: if it cannot be read.
  """
  return list(map(renamed.present_flag, flags.FlagValues(
      ).read_flags_from_files([f'--flagfile={os.fspath(path)}'])))


def from_flagfile(
    path: str | os.PathLike, model_path: str | os.PathLike | None = None,
) -> config_lib.Config:
  """Returns the configuration of a `run.flags` file; imports its modules.

  Args:
    path: of the file.
    model_path: of the `model.json` beside it, which knows what its model has to
      know of the data; the data are asked by default.

  Raises:
    InvalidValueError: if it cannot be read, or a flag or its value is not
      known.
  """
  try:
    with open(path, encoding='utf-8') as f:
      f.read()  # What is wrong with a file, absl says in more words.
    arguments = stored_arguments(path)
    import_modules(arguments)
    values = flags.FlagValues()
    define(values)
    values(['', *arguments])
    return config(values, model_path and model_config.load(model_path))
  except (OSError, UnicodeError, errors.InvalidValueError,
          flags.Error) as error:
    raise errors.InvalidValueError(
        'file', path, 'the flags of a run of this version',
        errors.sentence(error)) from error
