"""The console script: `tf_resflow TOOL --FLAG=VALUE ...`."""

import importlib
import sys

from tf_resflow.commands import manual
from tf_resflow.commands import runner

TOOLS = (
    'train', 'evaluate', 'sample', 'fid', 'export', 'convert', 'baselines',
    'benchmark', 'scaling')


def main() -> None:
  """Runs the tool that the first argument names, and exits."""
  name, *arguments = sys.argv[1:] or ['--help']
  if name in TOOLS:
    sys.exit(runner.run(name, arguments, program='tf_resflow '))
  if name in ('-h', '--help', 'help'):
    print(_overview())
    sys.exit()
  sys.exit(runner.fail('tf_resflow', (
      f'{name} is no tool; expected one of {", ".join(TOOLS)}, or --help.')))


def _overview() -> str:
  """Returns the list of all tools."""
  lines = [
      'Residual Flows: invertible residual networks as generative models.', '',
      '  tf_resflow train --flagfile=digits --workdir=runs/digits',
      '  tf_resflow evaluate --workdir=runs/digits',
      '  tf_resflow sample --workdir=runs/digits --output=samples.png', '',
      'Tools, each of which explains itself with --help:']
  for name in TOOLS:
    tool = importlib.import_module(f'tf_resflow.commands.{name}')
    lines.append(f'  {name:12}{manual.summary(tool)}')
  return '\n'.join(lines)
