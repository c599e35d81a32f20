"""Runs a tool: flags, help, errors as one line."""

from collections.abc import Callable, Sequence
import importlib
import inspect
import os
import pathlib
import re
import signal
import sys
import textwrap
from types import ModuleType

from absl import flags

import tf_resflow
from tf_resflow import errors
from tf_resflow.commands import startup
from tf_resflow.configuration import flag_parsing as flags_lib
from tf_resflow.configuration import flagfiles
from tf_resflow.specs import renamed
from tf_resflow.training import signals

TOOLS = (
    'train', 'evaluate', 'score', 'sample', 'ood', 'fid', 'export', 'convert',
    'baselines', 'benchmark', 'check', 'study', 'reproduce')

# Tools that continue a run where it was stopped.
_CONTINUED = ('train', 'study', 'reproduce')
# Errors of files and devices, not of programs; TensorFlow has its own kinds.
_OPERATING_ERRORS = (
    'NotFoundError', 'PermissionDeniedError', 'ResourceExhaustedError',
    'DataLossError')
# Spellings of --help that people use.
_HELP = {'--help': '--help=basic', '-help': '--help=basic',
         '-h': '--help=basic', '--helpfull': '--help=all'}


def main() -> None:
  """Runs the console script `tf_resflow TOOL --FLAG=VALUE ...`, and exits."""
  name, *arguments = sys.argv[1:] or ['--help']
  if name in TOOLS:
    sys.exit(run(name, arguments))
  texts = {
      '--help': _overview, '-h': _overview, 'help': _overview,
      '--version': lambda: f'tf_resflow {tf_resflow.__version__}',
      'flagfiles': flagfiles.overview}
  if name in texts:
    sys.exit(_until_closed(lambda: print(texts[name]())))
  sys.exit(fail('tf_resflow', ' '.join(filter(None, [
      f'unknown tool {name!r}.', errors.did_you_mean(name, [*TOOLS, *texts]),
      f'The tools are {", ".join(TOOLS)}; tf_resflow --help explains them.']))))


def _overview() -> str:
  return '\n'.join([
      'Residual Flows: invertible residual networks as generative models.', '',
      '  tf_resflow train --flagfile=digits --workdir=runs/digits',
      '  tf_resflow evaluate --workdir=runs/digits',
      '  tf_resflow sample --workdir=runs/digits --output=samples.png', '',
      'Tools, each of which explains itself with --help:',
      *(f'  {name:12}{inspect.getdoc(_tool(name)).splitlines()[0]}'
        for name in TOOLS), '',
      'tf_resflow flagfiles lists the configurations for --flagfile.'])


def _help(tool: ModuleType, shows_all: bool) -> str:
  """Returns the text of `--help`: what a tool does, then flags by groups."""
  flag_values = _common_flags(shows_all)
  tool.Options.define(flag_values, shows_all)
  hint = 'tf_resflow flagfiles lists the configurations for --flagfile.'
  if tool.Options.takes_configuration and not shows_all:
    hint = f'--help=all shows the other flags of the configuration. {hint}'
  common, *groups = flag_values.flags_by_module_dict()
  return '\n'.join([
      inspect.getdoc(tool), *map(flag_values.module_help, [*groups, common]),
      '', textwrap.fill(hint, 80)])


def _tool(name: str) -> ModuleType:
  return importlib.import_module(f'tf_resflow.commands.{name}')


def run(name: str, arguments: Sequence[str]) -> int:
  """Runs a tool on the arguments of its command line; returns the exit status.

  Expected errors (bad flags, missing data, a folder that does not fit, a run
  that diverged) end in one line on stderr and status 2; signals in one line and
  status 3 where the same command continues, else 128 + the number of the
  signal; that of SIGPIPE, without a line, where nobody reads stdout any more.
  Anything else is a defect and shows its traceback.
  """
  for stream in ('stdout', 'stderr'):  # None where they are closed.
    if getattr(sys, stream) is None:
      setattr(sys, stream, open(os.devnull, 'w', encoding='utf-8'))
  with signals.Stop(name, continues=name in _CONTINUED) as stop:
    return _until_closed(lambda: _run(name, arguments, stop))


def _until_closed(write_fn: Callable[[], int | None]) -> int:
  """Returns the exit status of what writes to stdout, as `| head` ends it."""
  try:
    status = write_fn()
    sys.stdout.flush()
    return status or 0
  except BrokenPipeError:
    # What is buffered is flushed at exit, too.
    signals.drop_output(sys.stdout.fileno())
    return 128 + signal.SIGPIPE


def _run(name: str, arguments: Sequence[str], stop: signals.Stop) -> int:
  """Runs a tool; see `run`."""
  try:
    flag_values = _common_flags()
    arguments = flagfiles.resolve(arguments, [
        field.flag for field in _tool(name).Options.flag_fields()])
    name, *needed = _answering(name, arguments)
    return _run_tool(name, [*needed, *arguments], flag_values)
  except errors.ExpectedError as error:
    return fail(name, errors.sentence(error), error.exit_status)
  except stop.caught_exceptions:
    return fail(name, stop.message, stop.status)
  except BrokenPipeError:
    raise
  except Exception as error:  # pylint: disable=broad-exception-caught
    message = _message(error, flag_values)
    if not message:
      raise
    return fail(name, message)


def _message(error: Exception, flag_values: flags.FlagValues) -> str:
  """Returns what is said of an expected error; nothing of a defect."""
  kind = type(error)
  if isinstance(error, flags.UnrecognizedFlagError):
    return _unknown_flag(error)
  if isinstance(error, errors.InvalidValueError) and error.name in flag_values:
    return error.message(f'--{error.name}')  # All problems of a table, too.
  is_expected = isinstance(
      error, (ValueError, OSError, flags.Error, MemoryError)) or (
          kind.__module__.startswith('tensorflow.') and
          kind.__name__ in _OPERATING_ERRORS)
  return errors.sentence(error) if is_expected else ''


def _run_tool(
    name: str, arguments: Sequence[str], flag_values: flags.FlagValues) -> int:
  """Parses flags, starts TensorFlow and runs the tool, or shows its help."""
  is_own_process = 'tensorflow' not in sys.modules
  tool = _tool(name)
  # A user's module imports TensorFlow.
  if modules := flags_lib.modules_of(arguments):
    startup.load_tensorflow()
  flags_lib.import_modules(modules)
  tool.Options.define(flag_values)
  _, *rest = flag_values(['', *(
      _HELP.get(argument, argument) for argument in arguments)])
  if rest and tool.Options.positional:
    flag_values[tool.Options.positional].parse(rest.pop(0))
  if rest:
    return fail(name, f'unexpected argument {rest[0]!r}; flags are written '
                '--name=value.')
  if flag_values.help:
    print(_help(tool, flag_values.help == 'all'))
    return 0
  startup.start_logging()
  values = [tool.Options.parse(flag_values, arguments)]
  if tool.Options.takes_configuration:
    values.append(values[0].make_config(flag_values))
  startup.load_tensorflow()
  if is_own_process and values[0].sets_up_training:
    startup.set_up_training(*(v.run.jit_compile for v in values[1:]))
  tool.main(*values)
  return 0


def _answering(name, arguments):
  """Returns the tool that answers a command, and arguments that it needs then.

  Flags may have moved to another tool.
  """
  for flag, answer in getattr(_tool(name), 'MOVED', {}).items():
    if any(re.match(f'--?{flag}(=|$)', argument) for argument in arguments):
      print(f'note: --{flag} is answered by tf_resflow {" ".join(answer)}.',
            file=sys.stderr)
      return answer
  return (name,)


def _unknown_flag(error: flags.UnrecognizedFlagError) -> str:
  if error.flagname in flags_lib.by_name():
    return (f'--{error.flagname} belongs to the configuration of a run, which '
            'this tool takes from its workdir. Leave it out, or the flagfile '
            'that has it.')
  _, _, suggestion = str(error).partition('. ')
  suggestion = suggestion.replace(' ?', '?')  # Where one may click on it.
  if error.flagname in renamed.FLAGS:
    suggestion = f'Did you mean --{renamed.FLAGS[error.flagname]}?'
  return (f'unknown flag --{error.flagname}. {suggestion} --help=all lists the '
          'flags.')


def command(name: str, arguments: Sequence[str]) -> list[str]:
  """Returns the command that runs a tool of this package in a new process."""
  root = str(pathlib.Path(__file__).resolve().parents[2])
  return [  # -P: nothing is imported from the current folder.
      sys.executable, '-P', '-c', f'import sys; sys.path.insert(0, {root!r}); '
      'from tf_resflow.commands import runner; '
      f'sys.exit(runner.run({name!r}, sys.argv[1:]))', *arguments]


def _common_flags(shows_all: bool = True) -> flags.FlagValues:
  flag_values = flags.FlagValues()
  flag_values.set_gnu_getopt(True)
  where = {'flag_values': flag_values, 'module_name': flags_lib.COMMON}
  flags.DEFINE_string(
      'flagfile', None, 'Take flags from this file, a path or the name of one '
      'that comes with the package; later flags win.', **where)
  if shows_all:
    flags_lib.define_import(flag_values)
  flags.DEFINE_enum(
      'help', None, ['basic', 'all'], 'Show what the tool does and its flags; '
      '--help=all shows all of them.', short_name='h', **where)
  return flag_values


def fail(name: str, message: str, status: int = 2) -> int:
  """Says what went wrong on stderr; returns the exit status."""
  print(f'{signals.line_start()}{name}: error: {message}', file=sys.stderr)
  return status
