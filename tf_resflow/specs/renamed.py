"""Names that stand in stored files and have been replaced, from old to new.

Flagfiles, `model.json` and Keras files are read with the old names, and a
warning names the new ones. Python names and flags that are typed are not
translated.

To rename a field, a class or an argument of a constructor, change it and add a
line here: files that exist stay readable.
"""

from collections.abc import Mapping, Sequence
import logging
import re
from typing import Any

_logger = logging.getLogger(__name__)

# Fields of configurations, which are flags, too.
FIELDS: dict[str, str] = {
    'embedding': 'augmentation',
    'noise_law': 'noise_distribution',
}
# All flags, of which `--help` knows the present ones.
FLAGS: dict[str, str] = FIELDS | {'against': 'ood_dataset'}
# Classes of Keras files.
CLASSES: dict[str, str] = {
    'Asserted': 'AssertedLayer',
    'Chain': 'SequentialBijection',
    'IdentityEmbedding': 'IdentityAugmentation',
    'Sequence': 'LipschitzSequential',
    'Split': 'FactorOut',
}
# Arguments of constructors, by the present name of their class.
ARGUMENTS: dict[str, dict[str, str]] = {
    'Flow': {'embedding': 'augmentation'},
    'NoiseChannels': {'law': 'distribution'},
}


# Flags by which a run.flags is recognised; other flagfiles rarely have them.
_ALWAYS_IN_RUN_FLAGS = {'epsilon', 'checkpoints_to_keep', 'num_validation'}


def present(names: Mapping[str, str], name: str, noun: str) -> str:
  """Returns the present name of what a noun says, and warns of an old one."""
  if name not in names:
    return name
  _logger.warning('The %s %s is called %s now.', noun, name, names[name])
  return names[name]


def present_fields(values: Mapping[str, Any]) -> dict[str, Any]:
  """Returns stored values of fields under their present names."""
  return {present(FIELDS, name, 'field'): value
          for name, value in values.items()}


def present_flag(argument: str) -> str:
  """Returns a stored `--flag=value` or `--noflag` as it is written now."""
  if not argument.startswith('--'):
    return argument
  name, equals, value = argument[2:].partition('=')
  negation = 'no' if not equals and name.removeprefix('no') in FIELDS else ''
  field = present(FIELDS, name.removeprefix(negation), 'flag')
  return f'--{negation}{field}{equals}{value}'


def completed(arguments: Sequence[str]) -> list[str]:
  """Returns the arguments of a flagfile, with flags that say what was once so.

  The run.flags of former versions lacks flags whose defaults are different now.
  """
  names = {re.sub('^--(no)?|=.*', '', argument) for argument in arguments}
  added = []
  if _ALWAYS_IN_RUN_FLAGS <= names and 'patience' not in names:
    added = ['--patience=0', '--input_noise=0']
    if any(re.match('--dataset=(table|array):', a) for a in arguments):
      added.append('--column_types=none')
  return [*arguments, *added]


def present_arguments(
    class_name: str, config: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the stored arguments of a constructor under their present names."""
  names = ARGUMENTS.get(class_name, {})
  return {present(names, name, f'argument of {class_name}'): value
          for name, value in config.items()}
