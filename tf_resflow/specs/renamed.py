"""Names that stand in stored files and have been replaced, from old to new.

Flagfiles, `model.json` and Keras files are read with the old names, and a
warning names the new ones. Python names and flags that are typed are not
translated.

To rename a field, a class or an argument of a constructor, change it and add a
line here, and in docs/migration.md: files that exist stay readable.
"""

import collections
from collections.abc import Collection, Mapping, Sequence
import itertools
import logging
import re
from typing import Any

_logger = logging.getLogger(__name__)

# Fields of models, which are flags, too.
FIELDS: dict[str, str] = {
    'embedding': 'augmentation',
    'noise_law': 'noise_distribution',
}
# Flags of the configuration of a run.
RUN_FLAGS: dict[str, str] = FIELDS | {
    'condition': 'condition_on', 'split': 'test_rows'}
# All flags, of which `--help` knows the present ones.
FLAGS: dict[str, str] = RUN_FLAGS | {'against': 'ood_dataset'}
# How values begin, by the present names of their flags.
VALUES: dict[str, tuple[str, str]] = {'test_rows': ('column:', 'group:')}
# Classes of Keras files.
CLASSES: dict[str, str] = {
    'Asserted': 'AssertedLayer',
    'Chain': 'SequentialBijection',
    'IdentityEmbedding': 'IdentityAugmentation',
    'Sequence': 'LipschitzSequential',
    'Split': 'FactorOut',
}
# Arguments of constructors, by the present name of their class; '' for those
# without a successor.
ARGUMENTS: dict[str, dict[str, str]] = {
    'Flow': {'embedding': 'augmentation'},
    'NoiseChannels': {'law': 'distribution'},
    'VectorNetwork': {'names': ''},
}


# Fields of models that one field, `schema`, has replaced: lists with an entry
# for each coordinate, by their attribute of a column.
_OF_COLUMNS = {'column_names': 'name', 'column_maps': 'type',
               'column_mean': 'mean', 'column_std': 'std'}
_OF_CONDITIONS = {'condition_names': 'name', 'condition_mean': 'mean',
                  'condition_std': 'std', 'condition_places': 'position'}

# Flags that only checked something.
_WITHDRAWN = '--?image_size[= ]'
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
  values = {present(FIELDS, name, 'field'): value
            for name, value in values.items()}
  found = {name: values.pop(name) for name in (
      *_OF_COLUMNS, *_OF_CONDITIONS, 'whitening') if name in values}
  if not any(found.values()):
    return values
  conditions = _columns(found, _OF_CONDITIONS)
  places = found.get('condition_places') or ()
  columns = [{**column, 'position': position} for column, position in zip(
      _columns(found, _OF_COLUMNS), (
          i for i in itertools.count() if i not in places), strict=False)]
  for i, column in enumerate(conditions, len(columns)):
    column |= {'role': 'condition', 'position': column.get('position', i)}
  size = values.get('event_size', 0)
  if conditions and not columns:  # Of arrays that nothing was fitted to.
    columns = [{'position': i} for i in range(size)]
  return {**values, 'schema': {
      'columns': columns + _categories(conditions),
      'whitening': found.get('whitening', ())}}


def _columns(found, attributes):
  """Returns the JSON objects of coordinates, from lists by field."""
  size = max((len(found.get(name) or ()) for name in attributes), default=0)
  return [
      {attribute: [found[name][i]] if attribute in ('mean', 'std') else
       found[name][i]
       for name, attribute in attributes.items() if found.get(name)}
      for i in range(size)]


def _categories(coordinates):
  """Returns columns; coordinates `COLUMN=LEVEL` are the levels of one."""
  counts = collections.Counter(
      c['name'].partition('=')[0] for c in coordinates if '=' in c.get(
          'name', ''))
  columns: dict[str, dict[str, Any]] = {}
  for i, coordinate in enumerate(coordinates):
    name, _, level = coordinate.get('name', '').partition('=')
    if counts[name] < 2 or not level:
      columns[f'{i}'] = coordinate
      continue
    column = columns.setdefault(
        f'={name}', {**coordinate, 'name': name, 'levels': [], 'mean': [],
                     'std': []})
    column['levels'].append(level)
    for moment in ('mean', 'std'):
      column[moment] += coordinate.get(moment, [])
  return [*columns.values()]


def present_flag(argument: str, known: Collection[str] = ()) -> str:
  """Returns a stored `--flag=value` or `--noflag` as it is written now.

  Args:
    argument: the flag in a file.
    known: names of flags that a tool has, which mean what they say.
  """
  name, equals, value = argument[2:].partition('=')
  if not argument.startswith('--') or name in known:
    return argument
  negation = 'no' if not equals and name.removeprefix('no') in RUN_FLAGS else ''
  flag = present(RUN_FLAGS, name.removeprefix(negation), 'flag')
  old, new = VALUES.get(flag, ('', ''))
  if old and value.startswith(old):
    value = new + value.removeprefix(old)
  return f'--{negation}{flag}{equals}{value}'


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
  return [*(a for a in arguments if not re.match(_WITHDRAWN, a)), *added]


def present_arguments(
    class_name: str, config: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the stored arguments of a constructor under their present names."""
  names = ARGUMENTS.get(class_name, {})
  return {present(names, name, f'argument of {class_name}'): value
          for name, value in config.items() if names.get(name) != ''}
