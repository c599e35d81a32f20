"""Data sets in a file of one's own: an array (.npz, .npy), a table (.csv)."""

from collections.abc import Mapping, Sequence
import csv

import numpy as np

from tf_resflow import errors
from tf_resflow.datasets import dataset_info
from tf_resflow.datasets import own_files

_ARRAY = (
  'an .npz file with an array x, uint8 images [n, H, W, 1 or 3] or float '
  'vectors [n, D], and perhaps label [n], condition [n, K] (or whole numbers '
  '[n]), and the same with _test; or an .npy file of such an x')
_TABLE = (
  'a .csv file with a line of names and lines of numbers, comma-separated')
_OTHER_MARKS = {'semicolons': ';', 'tabs': '\t', 'bars': '|'}
_MAX_LABELS = 100_000


@own_files.opener('array', _ARRAY)
def open_array(path: str) -> dataset_info.DatasetInfo:
  """Reads an array of images or vectors.

  Where there is no `x_test`, a fifth of the examples, always the same, is the
  test part. Vectors are standardised by the mean and the standard deviation of
  those that train.

  Args:
    path: Of an .npz or .npy file.

  Raises:
    InvalidValueError: If it is no such file.

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
    # A validation part is the end of what trains: it should hold all classes.
    rows = {'train': own_files.split_order(num_examples)}
  else:
    rows = own_files.held_out(num_examples)
  x, labels = _parts(arrays, 'x', rows), _parts(arrays, 'label', rows)

  def conditions():
    with errors.refusing('dataset', f'array:{path}', _ARRAY):
      return _conditions(arrays, rows)

  facts = {
    'name': f'array:{path}', 'description': 'An array of your own.',
    'num_train': len(x['train']), 'num_test': len(x['test']),
    'num_classes': int(arrays['label'].max()) + 1 if 'label' in arrays else 0,
    'load_fn': lambda part: (x[part], labels[part]),
    'entry_fn': conditions if 'condition' in arrays else None,
    'fingerprint': own_files.fingerprint(
      *(part for name in sorted(arrays) for part in (name, arrays[name])))}
  shape = arrays['x'].shape[1:]
  if arrays['x'].dtype == np.uint8:
    return dataset_info.ImageInfo(image_shape=shape, **facts)
  mean, std = own_files.standardisation(
    [f'{i} of x' for i in range(*shape)], **x)
  return dataset_info.VectorInfo(
    event_size=shape[0], mean=mean, std=std, **facts)


def _check_examples(arrays, suffix):
  """Checks one array of examples and that of its labels."""
  name, labels = f'x{suffix}', arrays.get(f'label{suffix}')
  x = arrays[name]
  is_image = x.dtype == np.uint8 and x.ndim == 4 and x.shape[-1] in (1, 3)
  is_vector = np.issubdtype(x.dtype, np.floating) and x.ndim == 2
  errors.check_format(
    (is_image or is_vector) and x.size > 0,
    f'Its {name} is {x.dtype} {list(x.shape)}.')
  bad = np.argwhere(~np.isfinite(x)) if is_vector else ()
  errors.check_format(
    not len(bad), f'Its {name} holds {len(bad)} numbers that are not finite, '
    f'the first in row {bad[0][0] if len(bad) else 0}.')
  errors.check_format(
    labels is None or _are_labels(labels, len(x)), f'The labels of {name} are '
    f'{"" if labels is None else f"{labels.dtype} {list(labels.shape)}"}, '
    'not one whole number from 0 for each example.')


def _are_labels(array, num_examples):
  return (np.issubdtype(array.dtype, np.integer)
          and array.shape == (num_examples,) and array.min() >= 0)


def _check_test_part(arrays):
  """Checks that the examples for the test are of those that train."""
  x, test = arrays['x'], arrays['x_test']
  errors.check_format(
    test.shape[1:] == x.shape[1:] and test.dtype.kind == x.dtype.kind,
    f'Its x is {x.dtype} {list(x.shape)} and x_test {test.dtype} '
    f'{list(test.shape)}.')
  errors.check_format(
    ('label' in arrays) == ('label_test' in arrays), 'It has labels of x or of '
    'x_test alone: label and label_test go together.')
  errors.check_format(
    'label' not in arrays or arrays['label_test'].max() <= arrays[
      'label'].max(), 'Its label_test has a class that label lacks.')
  errors.check_format(
    len(test) >= 2, 'Its x_test has one example; a standard error needs two.')


def _parts(arrays, name, rows):
  """Returns an array of 'train' and of 'test'; None for what is not there.

  Where the rows have no 'test', the array with `_test` is that part.
  """
  if name not in arrays:
    return dict.fromkeys(('train', 'test'))
  return {'test': arrays.get(f'{name}_test')} | {
    part: arrays[name][places] for part, places in rows.items()}


def _conditions(
  arrays: Mapping[str, np.ndarray], rows: Mapping[str, np.ndarray],
) -> tuple[dataset_info.ConditionInfo, dict[str, np.ndarray]]:
  """Returns facts about the array `condition`, and both of its parts."""
  _check_condition(arrays, '')
  parts = _parts(arrays, 'condition', rows)
  train, test = parts['train'], parts['test']
  errors.check_format(
    test is not None, 'It has x_test, and no condition_test.')
  if 'test' not in rows:
    _check_condition(arrays, '_test')
  is_label = np.issubdtype(train.dtype, np.integer)
  errors.check_format(
    train.shape[1:] == test.shape[1:]
    and is_label == np.issubdtype(test.dtype, np.integer),
    'Its condition and condition_test do not go together.')
  if is_label:
    errors.check_format(
      train.max() < _MAX_LABELS, f'Its condition has a label {train.max()}: '
      f'labels are whole numbers below {_MAX_LABELS:,}. Numbers are floats.')
    errors.check_format(
      test.max() <= train.max(), f'Its test part has a condition {test.max()} '
      'that no example that trains has.')
    return dataset_info.ConditionInfo(num_labels=int(train.max()) + 1), parts
  # A number each is a vector of one.
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
    f'[{num_examples}, K] or whole numbers [{num_examples}] from 0.')


@own_files.opener('table', _TABLE)
def open_table(path: str) -> dataset_info.VectorInfo:
  """Reads a table whose columns are the numbers of vectors.

  The first line names the columns, unless it holds numbers only. A fifth of the
  rows, always the same, is the test part; vectors are standardised by the mean
  and the standard deviation of the others.

  Args:
    path: Of a .csv file.

  Raises:
    InvalidValueError: If it is no such table, naming the line and the column.

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
    description='A table of your own.')


def read_table(
  path: str, wanted: Sequence[str] | None = None,
) -> tuple[tuple[str, ...], np.ndarray]:
  """Returns the names of the columns and the rows, float64 `[N, D]`.

  Args:
    path: Of a .csv file.
    wanted: Names of the columns to read, in this order; all by default.

  Raises:
    FormatError: If it is no such table, naming the line and the column.
  """
  names, lines = read_cells(path)
  wanted = names if wanted is None else tuple(wanted)
  missing = [name for name in wanted if name not in names]
  errors.check_format(not missing, f'It has no {", ".join(missing)}.')
  places = [names.index(name) for name in wanted]
  # What is no number is NaN.
  rows = np.array(
    [[_number(cells[place]) for place in places] for _, cells in lines],
    np.float64).reshape([-1, len(places)])
  bad = np.argwhere(~np.isfinite(rows))
  if len(bad):
    row, column = bad[0]
    number, cells = lines[row]
    raise errors.FormatError(
      f'Line {number}, column {wanted[column]} holds '
      f'{cells[places[column]].strip()!r}, not a number. Fill it, or leave the '
      'line or the column out.')
  return wanted, rows


def read_cells(
  path: str) -> tuple[tuple[str, ...], list[tuple[int, list[str]]]]:
  """Returns the names of the columns, and the cells as text.

  Of every line but that of names and empty ones, its number and its cells; see
  `read_table`.
  """
  with own_files.reading(), open(path, encoding='utf-8-sig', newline='') as f:
    lines = [
      (number, cells) for number, cells in enumerate(csv.reader(f), 1)
      if any(cell.strip() for cell in cells)]
  errors.check_format(lines, 'It is empty.')
  first = [cell.strip() for cell in lines[0][1]]
  numbers = [_number(cell) for cell in first]
  # pandas calls columns without names 0, 1, 2.
  has_names = None in numbers or numbers == list(range(len(first)))
  errors.check_format(
    numbers.count(None) in (0, len(first)), 'Its first line, '
    f'{", ".join(first)}, mixes names and numbers. Give every column a name '
    'that is no number, or none.')
  for name, mark in _OTHER_MARKS.items():
    errors.check_format(
      len(first) > 1 or mark not in first[0], f'Its cells seem to lie between '
      f'{name}: write it with commas, and numbers with decimal points.')
  names = tuple(first if has_names else (f'x{i}' for i in range(len(first))))
  errors.check_format(
    all(names) and len(set(names)) == len(names),
    f'Its first line names the columns {", ".join(map(repr, names))}: every '
    'one needs a name of its own.')
  lines = lines[has_names:]
  for number, cells in lines:
    errors.check_format(
      len(cells) == len(names), f'Line {number} has {len(cells)} cells, not '
      f'{len(names)} as the first one.')
  return names, lines


def _number(cell):
  """Returns the number in a cell, or None; '1_000' is none."""
  try:
    return None if '_' in cell else float(cell)
  except ValueError:
    return None
