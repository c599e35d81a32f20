"""Command-line flags of the configuration of a run, and flagfiles.

Every function takes the `FlagValues` to use; the commands pass those of absl.
"""

from collections.abc import Collection, Iterable, Sequence
import dataclasses
import importlib
import os
import re
import sys
from typing import Any

from absl import flags

from tf_resflow import errors
from tf_resflow.configuration import run_config as config_lib
from tf_resflow.configuration import sections as sections_lib
from tf_resflow.datasets import data_config
from tf_resflow.models import model_config
from tf_resflow.specs import fields
from tf_resflow.specs import registries
from tf_resflow.specs import renamed
from tf_resflow.specs import spec as spec_lib

# Help group of the flags that all commands share.
COMMON = 'Every tool'
_MODULE = 'a module that can be imported'
_SECTIONS = {'type': sections_lib.ModelTypeConfig, **config_lib.SECTIONS}


def import_modules(modules: Sequence[str]) -> None:
  """Imports modules, as those of `--import` in a command line.

  Call it before `define`, so that flags include what the modules register. The
  current folder is searched, too. Nothing else imports modules: `from_flagfile`
  refuses a run with others.

  Raises:
    InvalidValueError: if a module cannot be imported.
  """
  if modules and os.getcwd() not in sys.path:
    sys.path.append(os.getcwd())
  for module in modules:
    _import(module)


def modules_of(arguments: Sequence[str]) -> tuple[str, ...]:
  """Returns the modules of `--import` in a command line."""
  values = flags.FlagValues()
  define_import(values)
  values.set_gnu_getopt(True)
  values(['', *arguments], known_only=True)
  modules = _imports(values)
  for module in modules:
    errors.check(
        all(part.isidentifier() for part in module.split('.')), 'import',
        module, _MODULE, 'Write my_package.my_module.')
  return modules


def _import(module: str) -> None:
  errors.check(module and module[0] != '.', 'import', module, _MODULE)
  try:
    importlib.import_module(module)
  except (ImportError, errors.InvalidValueError) as error:
    raise errors.InvalidValueError(
        'import', module, _MODULE, errors.sentence(error)) from error


def define_import(flag_values: flags.FlagValues) -> None:
  """Defines only `--import`, for commands without a configuration."""
  help_ = next(
      f.help for f in sections_lib.RunConfig.fields() if f.flag == 'import')
  flags.DEFINE_multi_string(
      'import', None, help_, flag_values=flag_values, module_name=COMMON)


def define(flag_values: flags.FlagValues, shows_all: bool = True) -> None:
  """Defines `--import` and one flag per field of all model types.

  Values stay strings until `config` knows the model type. All flags default to
  None; their help states the defaults of the fields. Without `shows_all` only
  those in the short help are defined.
  """
  if 'import' not in flag_values and shows_all:
    define_import(flag_values)
  for name, owners in by_name().items():
    if name not in flag_values and (
        shows_all or next(iter(owners.values())).is_basic):
      define_field(owners, flag_values)


def define_field(
    owners: dict[str, fields.Field], flag_values: flags.FlagValues) -> None:
  """Defines the flag of one field; its value is a string or None.

  `owners` has the field of each section or model type, the first for the group.
  """
  field = next(iter(owners.values()))
  flags.DEFINE(
      flags.ArgumentParser(), field.flag, None, _help(owners), flag_values,
      module_name=field.group, boolean=field.element is bool)


def _help(owners: dict[str, fields.Field]) -> str:
  """Returns the help of a flag: meaning, defaults, models and limits."""
  texts = {name: spec_lib.text_of(field.default)
           for name, field in owners.items()}
  first, *_ = owners
  field, notes = owners[first], []
  if field.default is dataclasses.MISSING:
    notes.append('required')
  elif len({*texts.values()}) > 1:
    notes.append('default: ' + ', '.join(
        f'{text} for {name}' for name, text in texts.items()))
  elif field.default not in (None, ''):  # The help says what that means.
    notes.append(f'default: {texts[first] or "none"}')
  if first in registries.MODELS.names() and len(owners) == 1:
    notes.append(f'for model={first} only')
  if field.element is not bool and field.expected != 'a string':
    notes.append(field.expected)
  return f'{field.help} ({"; ".join(notes)})' if notes else field.help


def field_values(fields_: Iterable[fields.Field],
                 flag_values: flags.FlagValues) -> dict[str, Any]:
  """Returns the values of the flags that were given, by field name, or raises.
  """
  return {
      field.name: field.parse(flag_values[field.flag].value)
      for field in fields_ if flag_values[field.flag].value is not None}


def by_name() -> dict[str, dict[str, fields.Field]]:
  """Returns, for each flag, the sections or models with their field."""
  owners: dict[str, dict[str, fields.Field]] = {}
  models = {n: registries.MODELS.get(n) for n in registries.MODELS.names()}
  for owner, section in {**_SECTIONS, **models}.items():
    for field in section.flag_fields():
      others = owners.setdefault(field.flag, {})
      errors.check(
          all(name in models and (field.element is bool) ==
              (other.element is bool) for name, other in others.items()),
          'model', owner, problem=f'has a field {field.name} that clashes with '
          'a flag of that name', advice='Rename the field.')
      others[owner] = field
  return owners


def config(
    flag_values: flags.FlagValues,
    model: model_config.ModelConfig | None = None) -> config_lib.Config:
  """Returns the configuration given by parsed flags, or raises.

  The model supplies the fields that follow from the data, by default the data
  set does, which is opened.
  """
  source: dict[str, Any]
  if model is None:
    info = _section(data_config.DataConfig, flag_values).open()
    source, name = {'info': info}, info.model
  else:
    source, name = {'inferred': model.inferred_fields()}, model.name()
  return config_lib.make_config(**source, **run_values(flag_values, name))


def run_values(
    flag_values: flags.FlagValues, model: str | None = None) -> dict[str, Any]:
  """Returns the values of flags as arguments of `make_config`.

  The model type, if no flag says it, is by default that of the data.
  """
  model_name = _section(
      sections_lib.ModelTypeConfig, flag_values).model or model or _section(
          data_config.DataConfig, flag_values).open().model
  fields_ = [
      owners.get(model_name, next(iter(owners.values())))
      for name, owners in by_name().items() if name != 'import']
  return field_values(fields_, flag_values) | {
      'model': model_name, 'imports': _imports(flag_values)}


def _section(section: Any, flag_values: flags.FlagValues) -> Any:
  return section(**field_values(section.flag_fields(), flag_values))


def _imports(flag_values: flags.FlagValues) -> tuple[str, ...]:
  """Returns the modules of all `--import` flags, without duplicates."""
  names = ','.join(flag_values['import'].value or ()).split(',')
  return tuple(dict.fromkeys(filter(None, map(str.strip, names))))


def to_flagfile(config: config_lib.Config) -> str:
  """Returns the contents of a flagfile that reproduces a run.

  A comment tells their number, by which lost lines are noticed.
  """
  lines = [_argument(field.flag, getattr(section, field.name))
           for section in config.sections() for field in section.flag_fields()]
  return ''.join([f'# {len(lines) - lines.count("")} flags\n', *lines])


def _argument(name: str, value: Any) -> str:
  """Returns the flagfile line of a flag; empty for None."""
  if isinstance(value, bool):
    return f'--{"" if value else "no"}{name}\n'
  return '' if value is None else f'--{name}={spec_lib.text_of(value)}\n'


def stored_arguments(
    path: str | os.PathLike, known: Collection[str] = ()) -> list[str]:
  """Returns the arguments in a flagfile; old flag names become current ones.

  Names in `known` are those of flags that a tool has, and stay.
  """
  arguments = flags.FlagValues().read_flags_from_files(
      [f'--flagfile={os.fspath(path)}'])
  return renamed.completed(
      [renamed.present_flag(argument, known) for argument in arguments])


def from_flagfile(
    path: str | os.PathLike, model_path: str | os.PathLike | None = None,
    imports: Iterable[str] = (),
) -> config_lib.Config:
  """Reads the configuration in a `run.flags` file, without running its code.

  Args:
    path: of the file.
    model_path: of the `model.json` next to it, which has the fields that follow
      from the data; by default they are inferred from the data set.
    imports: modules to import first, for types that they register.

  Raises:
    InvalidValueError: if the file is unreadable, a flag or its value is
      invalid, or the file names a module that this process has not imported.
  """
  for module in imports:
    _import(module)
  try:
    with open(path, encoding='utf-8') as f:
      text = f.read()  # Errors of files are clearer here than from absl.
    stated = re.match(r'# (\d+) flags\n', text)  # Not by former versions.
    errors.check(
        '--' in text and text.count('\n--') >= int(stated[1] if stated else 0),
        'run.flags', problem='has lost lines', advice='Restore them.')
    nested = re.search(r'^\s*--?flagfile\b', text, re.MULTILINE)
    errors.check(
        not nested, 'flagfile', problem='cannot be used in a run',
        advice='Write its lines there.')
    arguments = stored_arguments(path)
    missing = [m for m in modules_of(arguments) if m not in sys.modules]
    if not missing:
      values = flags.FlagValues()
      define(values)
      values(['', *arguments])
      return config(
          values, model_config.load(model_path) if model_path else None)
  except (OSError, UnicodeError, errors.InvalidValueError,
          flags.Error) as error:
    raise errors.InvalidValueError(
        'file', path, 'the flags of a run of this version',
        errors.sentence(error)) from error
  raise errors.InvalidValueError(
      'file', path,
      problem=f'needs {", ".join(missing)}, and to import a module runs its '
      'code', advice=f'If you trust it, give --import={",".join(missing)}; in '
      f'Python load(workdir, imports={missing}).')
