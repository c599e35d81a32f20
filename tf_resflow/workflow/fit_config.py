"""The configuration of a run on data, as `fit` takes them."""

import numbers
import os
import re
from typing import Any

import numpy as np

from tf_resflow import configuration
from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow.columns import cells
from tf_resflow.columns import column_types
from tf_resflow.columns import table_files
from tf_resflow.configuration import flagfiles
from tf_resflow.configuration import run_config
from tf_resflow.datasets import data_config
from tf_resflow.specs import fields
from tf_resflow.specs import registries
from tf_resflow.training import files

# Options of `datasets.table` and of `datasets.array`.
_OF_FRAMES = ('test', *data_config.FRAME_FIELDS)
_OF_ARRAYS = ('test', 'labels', 'condition', 'sample_weight', 'column_types')
# Data of rows, which a data frame may get as a column.
_OF_ROWS = ('groups', 'sample_weight')


def config_of(
    data: Any, settings: dict[str, Any],
    workdir: str | os.PathLike | None = None) -> configuration.Config:
  """Returns the configuration of a run on data, see `fit`.

  What a run in the folder has chosen takes the place of `auto`.
  """
  if isinstance(data, configuration.Config):
    return data.replace(**settings) if settings else data
  if 'imports' not in settings:  # These may have others.
    run_config.check_names({*settings} - {
        'model', *_OF_FRAMES, *_OF_ARRAYS, *_OF_ROWS})
  data, settings = _with_rows(data, settings)
  if isinstance(data, str | os.PathLike):
    data = _dataset_name(os.fspath(data))
  else:
    errors.check(hasattr(data, 'shape') or hasattr(data, 'with_validation'),
                 'data', f'a {type(data).__name__}',
                 'a data frame, an array, a path, a name, or a data set')
  asked = cells.as_names(settings.get('column_types') or ())
  if hasattr(data, 'shape'):
    make, names = (datasets.table, _OF_FRAMES) if cells.is_frame(data) else (
        datasets.array, _OF_ARRAYS)
    options = {name: settings.pop(name) for name in names if name in settings}
    if cells.is_frame(data) and 'condition_on' in settings:
      options['condition_on'] = settings['condition_on']
    data = make(data, **options)
  info = None if isinstance(data, str) else data
  name = info.name if info else data
  is_own = info and not (
      name in datasets.names() and datasets.info(name) is info)
  flagfile = re.split('[:/]', name)[0]
  if is_own or flagfile not in flagfiles.names():
    info = info or data_config.DataConfig(**{
        f.name: settings[f.name] for f in data_config.DataConfig.fields()
        if f.name in settings} | {'dataset': data}).read()
    flagfile = 'images' if info.is_image else 'table'
  values = {**flagfiles.settings(flagfile), **settings, 'dataset': data}
  run = workdir and files.stored_config(
      os.fspath(workdir), settings.get('imports', ()))
  if run and run.data.dataset == data_config.DataConfig(dataset=name).dataset:
    values = run.with_choices(values)
    if is_own:  # Otherwise the configuration has them.
      _check_types(workdir, asked, run.model)
  return configuration.make_config(info=info, **values)


def _check_types(workdir, asked, model):
  """Raises if types of columns were asked for that a stored run does not have.
  """
  schema = getattr(model, 'schema', None)
  stored = {column.name: column.type for column in (
      schema.modelled if schema else ())}
  wanted = dict.fromkeys(stored, 'real') if fields.NONE in asked else dict(
      text.partition(':')[::2] for text in asked)
  others = [name for name, spec in wanted.items() if not f'{stored.get(name)}:'
            .startswith(f'{_full(spec)}:')]
  files.check_equal(os.fspath(workdir), {'column_types': (
      asked, tuple(f'{name}:{stored.get(name)}' for name in others))}
                    if others else {}, mark='')


def _full(spec):
  """Returns a spec with numbers as a schema has them."""
  return column_types.ColumnType.get(
      spec, 'column_types').spec() if ':' in spec else spec


def _with_rows(data, settings):
  """Returns data and settings of which those of rows are columns."""
  is_frame, is_array = cells.is_frame(data), hasattr(data, 'shape')
  if isinstance(test := settings.get('test'), numbers.Real) and (
      is_frame or not is_array):
    errors.check(
        is_frame or isinstance(data, str | os.PathLike) and
        table_files.is_table(data), 'test', test, 'none', 'A share is one of a '
        'data frame, an array, or the path of a table.')
    settings['test_share'] = settings.pop('test')
  for name in (name for name in _OF_ROWS if name in settings):
    if isinstance(settings[name], str) or is_array and not is_frame and (
        name != 'groups'):
      continue
    errors.check(is_frame, name, 'an array', 'the name of a column', 'An array '
                 'stands beside a data frame.')
    values, settings[name] = np.asarray(settings[name]), name
    errors.check(values.shape == (len(data),), name, list(values.shape),
                 f'a column, or an array of {len(data)} rows')
    errors.check(name not in data, name, 'an array', 'a column, as the frame '
                 'has one of this name')
    data = data.assign(**{name: values})
  if 'groups' in settings:
    errors.check('test_rows' not in settings, 'groups', settings['groups'],
                 problem='cannot be used with test_rows')
    settings['test_rows'] = f'group:{settings.pop("groups")}'
  return data, settings


def _dataset_name(path):
  """Returns the name of a data set, that of a file if need be."""
  if path in registries.DATASETS:
    return path
  prefix = 'table' if table_files.is_table(path) else (
      'images' if os.path.isdir(path) else 'array')
  return f'{prefix}:{path}' if os.path.exists(path) else path
