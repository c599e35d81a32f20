"""User-provided data sets: arrays (.npz, .npy) and tables (.csv)."""

from collections.abc import Mapping, Sequence
import csv
import itertools
from typing import Any

import numpy as np

from tf_resflow import errors
from tf_resflow.datasets import dataset_info
from tf_resflow.datasets import own_files

_ARRAY = (
  'an .npz file with an array x, uint8 images [n, H, W, 1 or 3] or float '
  'vectors [n, D], and perhaps label [n], condition [n, K] (or integers '
  '[n]), and the same with _test; or an .npy file of such an x')
_TABLE = (
  'a .csv file with a line of names and lines of numbers, comma-separated')
_OTHER_MARKS = {'semicolons': ';', 'tabs': '\t', 'bars': '|'}
_MAX_LABELS = 100_000


@own_files.opener('array', _ARRAY)
def open_array(path: str) -> dataset_info.DatasetInfo:
  """Opens an array of images or vectors.

  Without `x_test`, a fixed fifth of the examples is the test part. Vectors are
  standardised by the mean and standard deviation of the training part.

  Args:
    path: Path of an .npz or .npy file.

  Raises:
    InvalidValueError: If the file is invalid.

  Example:
    >>> np.savez('noise.npz', x=np.random.default_rng(0).normal(size=[50, 3]))
    >>> open_array('noise.npz').event_shape
    (3,)
  """
  with own_files.reading():
    loaded = np.load(path, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
      arrays = {'x': loaded}
    else:
      with loaded:
        arrays = dict(loaded)
  errors.check_format(
    'x' in arrays, f'Its arrays are {", ".join(arrays) or "none"}.')
  _check_examples(arrays, '')
  num_examples = len(arrays['x'])
  if 'x_test' in arrays:
    _check_examples(arrays, '_test')
    _check_test_part(arrays)
    # Shuffled, so that a validation part, which is the end, has all classes.
    rows = {'train': own_files.split_order(num_examples)}
  else:
    rows = own_files.held_out(num_examples)
  x, labels = _parts(arrays, 'x', rows), _parts(arrays, 'label', rows)

  def conditions():
    with errors.refusing('dataset', f'array:{path}', _ARRAY):
      return _conditions(arrays, rows)

  fields: dict[str, Any] = {
    'name': f'array:{path}', 'description': 'User-provided array.',
    'num_train': len(x['train']), 'num_test': len(x['test']),
    'num_classes': int(arrays['label'].max()) + 1 if 'label' in arrays else 0,
    'load_fn': lambda part: (x[part], labels[part]),
    'entry_fn': conditions if 'condition' in arrays else None,
    'fingerprint': own_files.fingerprint(
      *(part for name in sorted(arrays) for part in (name, arrays[name])))}
  shape = arrays['x'].shape[1:]
  if arrays['x'].dtype == np.uint8:
    return dataset_info.ImageInfo(image_shape=shape, **fields)
  mean, std = own_files.standardisation(
    [f'{i} of x' for i in range(*shape)], **x)
  return dataset_info.VectorInfo(
    event_size=shape[0], mean=mean, std=std, **fields)


def _check_examples(arrays, suffix):
  """Checks an array of examples and its labels."""
  name, labels = f'x{suffix}', arrays.get(f'label{suffix}')
  x = arrays[name]
  is_image = x.dtype == np.uint8 and x.ndim == 4 and x.shape[-1] in (1, 3)
  is_vector = np.issubdtype(x.dtype, np.floating) and x.ndim == 2
  errors.check_format(
    (is_image or is_vector) and x.size > 0,
    f'Its {name} is {x.dtype} {list(x.shape)}.')
  bad: Any = np.argwhere(~np.isfinite(x)) if is_vector else ()
  errors.check_format(
    not len(bad), f'Its {name} has {len(bad)} values that are not finite, the '
    f'first in row {bad[0][0] if len(bad) else 0}.')
  errors.check_format(
    labels is None or _are_labels(labels, len(x)), f'The labels of {name} are '
    f'{"" if labels is None else f"{labels.dtype} {list(labels.shape)}"}, '
    'not one non-negative integer per example.')


def _are_labels(array, num_examples):
  return (np.issubdtype(array.dtype, np.integer)
          and array.shape == (num_examples,) and array.min() >= 0)


def _check_test_part(arrays):
  """Checks that the test part is consistent with the training part."""
  x, test = arrays['x'], arrays['x_test']
  errors.check_format(
    test.shape[1:] == x.shape[1:] and test.dtype.kind == x.dtype.kind,
    f'Its x is {x.dtype} {list(x.shape)} and x_test {test.dtype} '
    f'{list(test.shape)}.')
  errors.check_format(
    ('label' in arrays) == ('label_test' in arrays),
    'It has only one of label and label_test.')
  errors.check_format(
    'label' not in arrays or arrays['label_test'].max() <= arrays[
      'label'].max(), 'Its label_test has a class that label does not have.')
  errors.check_format(
    len(test) >= 2, 'Its x_test has one example; standard errors need two.')


def _parts(arrays, name, rows):
  """Returns the 'train' and 'test' parts of an array; None if missing.

  Without rows of 'test', the array with the suffix `_test` is that part.
  """
  if name not in arrays:
    return dict.fromkeys(('train', 'test'))
  return {'test': arrays.get(f'{name}_test')} | {
    part: arrays[name][places] for part, places in rows.items()}


def _conditions(
  arrays: Mapping[str, np.ndarray], rows: Mapping[str, np.ndarray],
) -> tuple[dataset_info.ConditionInfo, dict[str, np.ndarray]]:
  """Returns the metadata of the array `condition`, and both parts."""
  _check_condition(arrays, '')
  parts = _parts(arrays, 'condition', rows)
  train, test = parts['train'], parts['test']
  errors.check_format(
    test is not None, 'It has x_test but no condition_test.')
  if 'test' not in rows:
    _check_condition(arrays, '_test')
  is_label = np.issubdtype(train.dtype, np.integer)
  errors.check_format(
    train.shape[1:] == test.shape[1:]
    and is_label == np.issubdtype(test.dtype, np.integer),
    'Its condition and condition_test differ in type or shape.')
  if is_label:
    errors.check_format(
      train.max() < _MAX_LABELS, f'Its condition has a label {train.max()}; '
      f'labels are below {_MAX_LABELS:,}. Use floats for numeric conditions.')
    errors.check_format(
      test.max() <= train.max(), f'Its test part has a condition {test.max()} '
      'that the training part does not have.')
    return dataset_info.ConditionInfo(num_labels=int(train.max()) + 1), parts
  # Scalars become vectors of size 1.
  parts = {name: part.reshape([len(part), -1]) for name, part in parts.items()}
  size = parts['train'].shape[1]
  mean, std = own_files.standardisation(
    [f'{i} of condition' for i in range(size)], **parts, has_density=False)
  return dataset_info.ConditionInfo(size=size, mean=mean, std=std), parts


def _check_condition(arrays, suffix):
  """Checks an array of conditions."""
  name, num_examples = f'condition{suffix}', len(arrays[f'x{suffix}'])
  array = arrays[name]
  errors.check_format(
    _are_labels(array, num_examples) or (
      np.issubdtype(array.dtype, np.floating) and array.ndim in (1, 2)
      and len(array) == num_examples and array.size > 0
      and np.all(np.isfinite(array))),
    f'Its {name} is {array.dtype} {list(array.shape)}, not finite floats '
    f'[{num_examples}, K] or integers [{num_examples}] from 0.')


@own_files.opener('table', _TABLE)
def open_table(path: str) -> dataset_info.VectorInfo:
  """Opens a table whose rows are vectors.

  The first line names the columns, unless it has only numbers. A fixed fifth of
  the rows is the test part; vectors are standardised by the mean and standard
  deviation of the training part.

  Args:
    path: Path of a .csv file.

  Raises:
    InvalidValueError: If the table is invalid, with the line and the column.

  Example:
    >>> with open('heights.csv', 'w') as file:
    ...   _ = file.write('height,weight\\n' + ''.join(
    ...       f'{160 + i % 7},{60 + i % 5}\\n' for i in range(20)))
    >>> open_table('heights.csv').columns
    ('height', 'weight')
  """
  names, rows = read_table(path)
  parts = {
    part: rows[places] for part, places in own_files.held_out(
      len(rows), 'lines of numbers').items()}
  mean, std = own_files.standardisation(names, **parts)
  return dataset_info.VectorInfo(
    name=f'table:{path}', event_size=len(names), columns=names,
    mean=mean, std=std,
    fingerprint=own_files.fingerprint(','.join(names), rows),
    num_train=len(parts['train']), num_test=len(parts['test']),
    load_fn=lambda part: (parts[part].astype(np.float32), None),
    description='User-provided table.')


def read_table(
  path: str, wanted: Sequence[str] | None = None,
  num_lines: int | None = None,
) -> tuple[tuple[str, ...], np.ndarray]:
  """Returns the names of the columns and the rows, float64 `[N, D]`.

  Args:
    path: Path of a .csv file.
    wanted: Names of the columns to read, in this order; by default all.
    num_lines: Number of lines to read, with that of names; by default all.

  Raises:
    FormatError: If the table is invalid, with the line and the column.
  """
  names, lines = read_cells(path, num_lines)
  wanted = names if wanted is None else tuple(wanted)
  missing = [name for name in wanted if name not in names]
  errors.check_format(not missing, f'It has no {", ".join(missing)}.')
  places = [names.index(name) for name in wanted]
  # Cells that are not numbers become NaN.
  rows = np.array(
    [[_number(cells[place]) for place in places] for _, cells in lines],
    np.float64).reshape([-1, len(places)])
  bad = np.argwhere(~np.isfinite(rows))
  if len(bad):
    row, column = bad[0]
    number, cells = lines[row]
    cell = cells[places[column]].strip()
    raise errors.FormatError(
      f'Line {number}, column {wanted[column]} '
      f'{f"holds {cell!r}, not a number" if cell else "is empty"}. Fill it or '
      'remove the line or column.')
  return wanted, rows


def read_cells(
  path: str, num_lines: int | None = None,
) -> tuple[tuple[str, ...], list[tuple[int, list[str]]]]:
  """Returns the names of the columns and the cells as text; see `read_table`.

  For each line, except that of names and empty ones, its number and its cells.
  """
  with own_files.reading(), open(path, encoding='utf-8-sig', newline='') as f:
    lines = [
      (number, cells) for number, cells in enumerate(
        itertools.islice(csv.reader(f), num_lines), 1)
      if any(cell.strip() for cell in cells)]
  errors.check_format(lines, 'It is empty.')
  first = [cell.strip() for cell in lines[0][1]]
  numbers = [_number(cell) for cell in first]
  # pandas names unnamed columns 0, 1, 2.
  has_names = None in numbers or numbers == list(range(len(first)))
  errors.check_format(
    numbers.count(None) in (0, len(first)), 'Its first line, '
    f'{", ".join(first)}, mixes names and numbers. Name all columns (not by '
    'numbers) or none.')
  for name, mark in _OTHER_MARKS.items():
    errors.check_format(
      len(first) > 1 or mark not in first[0], 'Its cells seem to be separated '
      f'by {name}: use commas, and decimal points in numbers.')
  names = tuple(first if has_names else (f'x{i}' for i in range(len(first))))
  errors.check_format(
    names[0] or not all(names[1:]), 'Its first column has no name: if it is '
    'the index of pandas, save the table with index=False.')
  errors.check_format(
    all(names) and len(set(names)) == len(names),
    f'Its first line names the columns {", ".join(map(repr, names))}: each '
    'needs a unique name.')
  lines = lines[has_names:]
  for number, cells in lines:
    errors.check_format(
      len(cells) == len(names), f'Line {number} has {len(cells)} cells, not '
      f'{len(names)} like the first one.')
  return names, lines


def _number(cell):
  """Returns the number in a cell, or None, as for '1_000'."""
  try:
    return None if '_' in cell else float(cell)
  except ValueError:
    return None
