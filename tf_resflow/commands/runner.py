"""Runs a tool: flags, help, errors as one line, a quiet start."""

from collections.abc import Sequence
import difflib
import importlib
import logging
import pathlib
import signal
import sys
from types import ModuleType

from absl import flags
from absl import logging as absl_logging

from tf_resflow import errors
from tf_resflow.commands import flagfiles
from tf_resflow.commands import manual
from tf_resflow.commands import startup
from tf_resflow.configuration import flags as flags_lib

_BAD_INPUT = 2
_INTERRUPTED = 128 + signal.SIGINT
# Errors of files and devices, not of programs; TensorFlow has its own kinds.
_OPERATING_ERRORS = (
    'NotFoundError', 'PermissionDeniedError', 'ResourceExhaustedError',
    'DataLossError')


def run(name: str, arguments: Sequence[str], program: str = 'bin/') -> int:
  """Runs a tool.

  Expected errors (bad flags, missing data, a folder that does not fit, a run
  that diverged) end in one line on stderr and status 2; after an interruption
  whose state is saved the status is 3. Anything else is a defect and shows its
  traceback.

  Args:
    name: of the tool, that of its module.
    arguments: of its command line.
    program: what stands before the name of a tool where it is called.

  Returns:
    The exit status.
  """
  tool = importlib.import_module(f'tf_resflow.commands.{name}')
  flag_values = _common_flags()
  try:
    arguments = flagfiles.resolve(arguments)
    flags_lib.import_modules(arguments)
    flag_values = _define(tool)
    _parse(flag_values, arguments)
    if flag_values.help:
      text = manual.text(tool, flag_values, _common_flags())
      print(text.replace('bin/', program), end='')
      return 0
    values = [tool.Options.parse(flag_values, arguments)]
    if tool.Options.takes_configuration:
      values.append(flags_lib.config(flag_values))
    _start_logging()
    startup.load_tensorflow(show_log=flag_values.tf_log)
    tool.main(*values)
    return 0
  except flags.UnrecognizedFlagError as error:
    return fail(name, _unknown(error.flagname, flag_values))
  except (ValueError, OSError, flags.Error) as error:
    return fail(name, _message(error, flag_values))
  except errors.ExpectedError as error:
    return fail(name, str(error), error.exit_status)
  except KeyboardInterrupt:
    return fail(name, 'interrupted.', _INTERRUPTED)
  except Exception as error:  # pylint: disable=broad-exception-caught
    kind = type(error)
    if (not kind.__module__.startswith('tensorflow.') or
        kind.__name__ not in _OPERATING_ERRORS):
      raise
    return fail(name, error.message)


def command(name: str, arguments: Sequence[str]) -> list[str]:
  """Returns the command that runs a tool of this package in a new process."""
  root = str(pathlib.Path(__file__).resolve().parents[2])
  code = (f'import sys; sys.path.insert(0, {root!r}); from tf_resflow.commands '
          f'import runner; sys.exit(runner.run({name!r}, sys.argv[1:]))')
  return [sys.executable, '-c', code, *arguments]


def _common_flags() -> flags.FlagValues:
  """Returns the flags that every tool has."""
  flag_values = flags.FlagValues()
  flags.DEFINE_string(
      'flagfile', None, 'Take flags from this file, a path or the name of one '
      'that comes with the package; later flags win.', flag_values)
  flags_lib.define_import(flag_values)
  flags.DEFINE_bool(
      'tf_log', False, "Show TensorFlow's own log; the environment variable "
      'TF_CPP_MIN_LOG_LEVEL does so, too.', flag_values)
  flags.DEFINE_bool('help', False, 'Show this.', flag_values, short_name='h')
  return flag_values


def _define(tool: ModuleType) -> flags.FlagValues:
  """Returns all flags of a tool."""
  flag_values = _common_flags()
  if tool.Options.takes_configuration:
    flags_lib.define(flag_values)
  tool.Options.define(flag_values)
  return flag_values


def _parse(flag_values: flags.FlagValues,
           arguments: Sequence[str]) -> flags.FlagValues:
  """Parses a command line."""
  flag_values.set_gnu_getopt(True)
  _, *rest = flag_values(['', *arguments])
  errors.check(not rest, 'argument', ''.join(rest[:1]),
               'flags alone, such as --name=value')
  return flag_values


def _start_logging() -> None:
  """Shows this package's messages, but not one for every file TFDS reads."""
  flags.FLAGS.mark_as_parsed()  # Until then absl warns with every message.
  absl_logging.use_absl_handler()
  absl_logging.set_verbosity(absl_logging.WARNING)
  logging.getLogger('tf_resflow').setLevel(logging.INFO)


def _message(error: BaseException, flag_values: flags.FlagValues) -> str:
  """Returns a message with the name of its flag, where there is one."""
  if isinstance(error, errors.InvalidValueError) and error.name in flag_values:
    return error.message(f'--{error.name}')
  return errors.sentence(error)


def _unknown(name: str, flag_values: flags.FlagValues) -> str:
  similar = difflib.get_close_matches(name, list(flag_values), n=1)
  advice = f' Did you mean --{similar[0]}?' if similar else ''
  return f'--{name} is no flag of this tool.{advice} --help lists them all.'


def fail(name: str, message: str, status: int = _BAD_INPUT) -> int:
  """Says what went wrong, in one line on stderr; returns the exit status."""
  print(f'{name}: error: {" ".join(message.split())}', file=sys.stderr)
  return status
