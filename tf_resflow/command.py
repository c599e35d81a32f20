"""What the scripts in bin/ share: errors as one line, quiet start-up."""

from collections.abc import Callable
import json
import logging
import math
import os
import re
import sys

from absl import app
from absl import logging as absl_logging


def run(main: Callable[[], None], flag_names=()):
  """Runs a command-line tool and exits.

  Expected errors (bad flags, missing data, a folder that does not fit, a run
  that diverged) end in one line on stderr and exit status 2; after an
  interruption whose state is saved the status is 3. Anything else is a defect
  and shows its traceback.

  Args:
    main: the tool, called without arguments after the flags are parsed.
    flag_names: names that get their dashes in messages, as in `batch_size is
      0; it must be 1 or more.`
  """

  def run_main(argv):
    tool = argv[0].rsplit('/', 1)[-1]
    if len(argv) > 1:
      _fail(tool, f'unexpected argument {argv[1]!r}; every option is a flag, '
            'such as --name=value.')
    # This project's messages, but not one for every file that TensorFlow and
    # TFDS read or write.
    absl_logging.set_verbosity(absl_logging.WARNING)
    logging.getLogger('tf_resflow').setLevel(logging.INFO)
    try:
      main()
    except (ValueError, OSError) as error:
      _fail(tool, _with_dashes(str(error), flag_names))
    except RuntimeError as error:
      # TrainingDivergedError and TrainingInterruptedError say what to do.
      if type(error).__module__.startswith('tf_resflow.'):
        _fail(tool, str(error), 3 if 'Interrupted' in type(error).__name__
              else 2)
      raise

  app.run(run_main)


def check_output(path, suffixes, overwrite=False):
  """Checks that a file can be written, before the work for it.

  Args:
    path: the value of --output.
    suffixes: tuple of the endings that are known.
    overwrite: whether an existing file may be replaced.

  Raises:
    ValueError: if not; the message starts with `output`.
  """
  folder = os.path.dirname(os.path.abspath(path))
  if not path.endswith(suffixes):
    raise ValueError(
        f'output is {path}; expected a name that ends in '
        f'{" or ".join(suffixes)}.')
  if not os.path.isdir(folder):
    raise ValueError(f'output is {path}, but there is no folder {folder}.')
  if os.path.isdir(path):
    raise ValueError(f'output is {path}, which is a folder; name a file.')
  if os.path.exists(path) and not overwrite:
    raise ValueError(
        f'output is {path}, which exists; name another file, or give '
        '--overwrite to replace it.')
  if not os.access(path if os.path.exists(path) else folder, os.W_OK):
    raise ValueError(f'output is {path}, which may not be written.')


def print_json(report):
  """Prints a report, a dict, as one line of strict JSON on stdout.

  JSON has no NaN and no infinity: such a number becomes null.
  """
  print(json.dumps(_without_nan(report), allow_nan=False))


def _without_nan(value):
  if isinstance(value, dict):
    return {key: _without_nan(v) for key, v in value.items()}
  if isinstance(value, (list, tuple)):
    return [_without_nan(v) for v in value]
  if isinstance(value, float) and not math.isfinite(value):
    return None
  return value


def check_at_least(flag_values, minima):
  """Raises ValueError for a number that is not finite, or below the least.

  Args:
    flag_values: the parsed `absl.flags.FLAGS`.
    minima: dict from names of flags to numbers.
  """
  for name, least in minima.items():
    value = flag_values[name].value
    if value is not None and not least <= value < float('inf'):
      finite = ', and finite' if isinstance(value, float) else ''
      raise ValueError(
          f'{name} is {value}; it must be {least} or more{finite}.')


def check_positive(flag_values, names):
  """Raises ValueError for a given number that is not positive and finite."""
  for name in names:
    value = flag_values[name].value
    if value is not None and not 0.0 < value < float('inf'):
      raise ValueError(
          f'{name} is {value}; it must be positive and finite.')


def refuse_together(flag_values, names, other):
  """Refuses flags that would be ignored.

  Args:
    flag_values: the parsed `absl.flags.FLAGS`.
    names: of the flags.
    other: why they mean nothing, as in `--log_det=exact; it goes with ...`.

  Raises:
    ValueError: if one of them is given.
  """
  for name in names:
    if flag_values[name].present:
      raise ValueError(f'{name} is given together with {other}, leave it out.')


def _with_dashes(message, flag_names):
  """Writes the names of flags with their dashes.

  A name of several words wherever it stands, but not in a path; one of a single
  word at the start alone, elsewhere it may just be a word.
  """

  def replace(match):
    name = match[0]
    is_flag = name in flag_names and ('_' in name or match.start() == 0)
    return f'--{name}' if is_flag else name

  return re.sub(r'(?<![\w./-])\w+(?![\w/-])(?!\.\w)', replace, message)


def _fail(tool, message, status=2):
  line = ' '.join(message.split())
  print(f'{tool}: error: {line}', file=sys.stderr)
  sys.exit(status)
