"""The text of `--help`: the manual of a tool, then its flags by groups."""

import inspect
import textwrap
from types import ModuleType

from absl import flags

from tf_resflow.commands import flagfiles


def summary(tool: ModuleType) -> str:
  """Returns what a tool does, in one line."""
  return inspect.getdoc(tool).partition('\n')[0]


def text(tool: ModuleType, flag_values: flags.FlagValues) -> str:
  """Returns the help of a tool.

  Args:
    tool: its module.
    flag_values: its flags, after those that every tool has.
  """
  common, *groups = flag_values.flags_by_module_dict()
  return '\n'.join([
      inspect.getdoc(tool), *map(flag_values.module_help, [*groups, common]),
      '', textwrap.fill('Flagfiles that come with the package: '
                        f'{", ".join(flagfiles.names())}.', 80), ''])
