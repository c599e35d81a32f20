"""Flagfiles by their names: `--flagfile=digits`."""

from collections.abc import Collection, Sequence
import pathlib
import re
import textwrap
from typing import Any

from absl import flags

from tf_resflow import errors
from tf_resflow.configuration import flag_parsing as flags_lib

_PACKAGE = pathlib.Path(__file__).resolve().parents[1]
# A wheel has them in the package, a checkout in bin/.
_FOLDERS = (_PACKAGE / 'flagfiles', _PACKAGE.parent / 'bin' / 'flags')


def names() -> list[str]:
  """Returns the names of the flagfiles that come with the package."""
  return sorted(
      path.stem for folder in _FOLDERS for path in folder.glob('*.flags'))


def overview() -> str:
  """Returns a list of the flagfiles, and what they are."""
  return '\n'.join(
      textwrap.fill(f'  {name:28}{_comment(find(name))}', 80,
                    subsequent_indent=' ' * 30) for name in names())


def _comment(path: str) -> str:
  """Returns the first sentence of the comment at the head of a flagfile."""
  head = re.split('^(?!#)', pathlib.Path(path).read_text(), flags=re.M)[0]
  text = ' '.join(line.strip('# ') for line in head.splitlines())
  return re.split(r' Expected:|\. |; (?![^(]*\))', text)[0].rstrip('.')


def find(value: str) -> str:
  """Returns the path of a flagfile, or raises `InvalidValueError`.

  The value is a path, which wins if it exists, or a name without `.flags`.
  """
  name = f'{value.removesuffix(".flags")}.flags'
  paths = [path for path in (
      pathlib.Path(value).expanduser(), *(f / name for f in _FOLDERS)
  ) if path.is_file()]
  advice = f'{errors.did_you_mean(value, names())} '.lstrip()
  errors.check(
      bool(paths), 'flagfile', value, 'a file of flags, or the name of one '
      'that comes with the package',
      f'{advice}tf_resflow flagfiles lists them.')
  try:
    paths[0].read_text(encoding='utf-8')
  except (OSError, UnicodeError) as error:
    raise errors.InvalidValueError(
        'flagfile', value, 'a file of flags', f'{error}.') from error
  return str(paths[0])


def settings(value: str) -> dict[str, Any]:
  """Returns what a flagfile sets, arguments of `make_config`; see `find`.

  Example:
    >>> settings('table')['hidden_units']
    (32, 32)
  """
  values = flags.FlagValues()
  flags_lib.define(values)
  values(['', *flags_lib.stored_arguments(find(value))])
  return flags_lib.run_values(values)


def resolve(
    arguments: Sequence[str], known: Collection[str] = ()) -> list[str]:
  """Returns the arguments of a command line with those of its flagfiles.

  `known` are those of flags of the tool, see `flag_parsing.stored_arguments`.
  """
  resolved, rest = [], iter(arguments)
  for argument in rest:
    name, equals, value = argument.partition('=')
    if name in ('-flagfile', '--flagfile'):
      path = find(value if equals else next(rest, ''))
      resolved += flags_lib.stored_arguments(path, known)
    else:
      resolved.append(argument)
  return resolved
