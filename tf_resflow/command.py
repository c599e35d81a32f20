"""What the scripts in bin/ share: errors as one line, quiet start-up."""

from collections.abc import Callable
import logging
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
