"""What the scripts in bin/ share: errors as one line, quiet start-up."""

import sys
from collections.abc import Callable

from absl import app
from absl import flags


def run(main: Callable[[], None]):
  """Runs a command-line tool and exits.

  Expected errors (bad flags, missing data, a folder that does not fit, a run
  that diverged) end in one line on stderr and exit status 2; after an
  interruption whose state is saved the status is 3. Anything else is a defect
  and shows its traceback.

  Args:
    main: the tool, called without arguments after the flags are parsed.
  """

  def run_main(argv):
    tool = argv[0].rsplit('/', 1)[-1]
    if len(argv) > 1:
      _fail(tool, f'unexpected argument {argv[1]!r}; every option is a flag, '
            'such as --name=value.')
    try:
      main()
    except (ValueError, OSError) as error:
      _fail(tool, _name_the_flag(str(error)))
    except RuntimeError as error:
      # TrainingDivergedError and TrainingInterruptedError say what to do.
      if type(error).__module__.startswith('tf_resflow.'):
        _fail(tool, str(error), 3 if 'Interrupted' in type(error).__name__
              else 2)
      raise

  app.run(run_main)


def _name_the_flag(message):
  """Writes a leading field name as the flag that sets it."""
  first = message.split(' ', 1)[0]
  return f'--{message}' if first in flags.FLAGS else message


def _fail(tool, message, status=2):
  line = ' '.join(message.split())
  print(f'{tool}: error: {line}', file=sys.stderr)
  sys.exit(status)
