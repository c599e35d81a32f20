"""The text of `--help`: the manual of a tool, then its flags by groups."""

from collections.abc import Iterable
import inspect
import textwrap
from types import ModuleType

from absl import flags

from tf_resflow.commands import flagfiles
from tf_resflow.commands import options
from tf_resflow.configuration import config as config_lib
from tf_resflow.configuration import registries

_WIDTH = 80
# What is not worth saying of a value.
_FREE = 'a text'
Group = tuple[str, list[str]]


def summary(tool: ModuleType) -> str:
  """Returns what a tool does, in one line."""
  return inspect.getdoc(tool).partition('\n')[0]


def text(tool: ModuleType, flag_values: flags.FlagValues,
         common: Iterable[str]) -> str:
  """Returns the help of a tool.

  Args:
    tool: its module.
    flag_values: its flags.
    common: names of the flags that every tool has.
  """
  common = list(dict.fromkeys(flag_values[name].name for name in common))
  sections = [*options.groups(tool.Options)]
  if tool.Options.takes_configuration:
    sections += _configuration()
  blocks, shown = [inspect.getdoc(tool)], set(common)
  for title, names in [*sections, ('Every tool.', common)]:
    names = [n for n in names if n not in shown or names is common]
    shown.update(names)
    if names:
      texts = [_flag(flag_values[name]) for name in names]
      blocks.append('\n'.join([f'{title.rstrip(".")}:', *texts]))
  blocks.append(textwrap.fill(
      'Flagfiles that come with the package: '
      f'{", ".join(flagfiles.names())}.', _WIDTH))
  return '\n\n'.join(blocks) + '\n'


def _configuration() -> list[Group]:
  """Returns the groups of the configuration of a run."""
  data, *others = config_lib.SECTIONS.values()
  models = [registries.MODELS.get(name) for name in registries.MODELS.names()]
  return [group for section in (data, config_lib.KindConfig, *models, *others)
          for group in options.groups(section)]


def _flag(flag: flags.Flag) -> str:
  """Returns a flag, its help, and what values it takes."""
  name = f'[no]{flag.name}' if flag.boolean else flag.name
  lines = textwrap.wrap(
      f'--{name}: {" ".join(flag.help.split())}', _WIDTH, initial_indent='  ',
      subsequent_indent='    ', break_on_hyphens=False)
  expected = flag.parser.syntactic_help
  if expected not in ('', _FREE) and not flag.boolean:
    lines += textwrap.wrap(
        f'({expected})', _WIDTH, initial_indent='    ',
        subsequent_indent='    ', break_on_hyphens=False)
  return '\n'.join(lines)
