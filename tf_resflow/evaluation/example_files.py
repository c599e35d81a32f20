"""Reads and writes user-provided files: .npz arrays and tables.

Readers raise an `InvalidValueError` for a file that does not exist, is damaged,
or does not hold what is expected; it names the argument or flag of the file.
"""

from collections.abc import Collection, Mapping, Sequence
import dataclasses
import os
from typing import Any
import zipfile

import numpy as np

from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow import models
from tf_resflow.columns import cells
from tf_resflow.columns import rows as rows_lib
from tf_resflow.columns import schema as schema_lib
from tf_resflow.columns import table_files
from tf_resflow.specs import reading

# Metadata of the examples whose bits/dim a file holds.
_METADATA = ('dataset', 'split', 'num_levels', 'image_shape')


def read_arrays(
    path: str | os.PathLike, name: str, keys: Collection[str] | None = None,
) -> dict[str, Any]:
  """Returns the arrays of an .npz file.

  Args:
    name: of the argument or flag that names the file, for messages.
    keys: which to read, all by default; the others are None.
  """
  with errors.format_errors(
      name, path, 'an .npz file, as numpy.savez writes it'):
    reading.check_regular(path)
    errors.check(zipfile.is_zipfile(path))
    return reading.read_arrays(path, keys)


def _first(arrays, *keys):
  """Returns the first of these arrays, and its name."""
  key = next((key for key in keys if key in arrays), None)
  errors.check(key, problem=f'Its arrays are {", ".join(arrays) or "none"}.')
  return arrays[key], key


def _numbers(arrays, keys, shape, limits):
  """Returns the first of these arrays, `[n, *shape]`; `[n]` if that is `[1]`.

  `limits` are by the types that are accepted.
  """
  array, key = _first(arrays, *keys)
  if array.ndim == 1 and tuple(shape) == (1,):
    array = array[:, np.newaxis]
  low, high = next((pair for dtype, pair in limits.items()
                    if np.issubdtype(array.dtype, dtype)), (None, None))
  errors.check(
      low is not None and array.size and array.shape[1:] == tuple(shape),
      problem=f'Its {key} is {array.dtype} {list(array.shape)}.')
  errors.check(
      np.all(np.isfinite(array)) and low <= array.min() <= array.max() <= high,
      problem=f'Its {key} lies in [{array.min()}, {array.max()}].')
  return array


def read_inputs(
    path: str | os.PathLike, event_shape: Sequence[int]) -> np.ndarray:
  """Reads dequantised images or vectors from an .npz file, as float64.

  Args:
    path: of a file with the array `x`, floats `[n, H, W, C]` in [0, 1] or
      `[n, D]`.
    event_shape: `(H, W, C)` or `(D,)` of the model that they are meant for.
  """
  is_image = len(event_shape) == 3
  arrays = read_arrays(path, 'inputs', ('x',))
  expected = ('an .npz file with an array x, floats '
              f'[n, {", ".join(map(str, event_shape))}]')
  if is_image:
    expected += ' in [0, 1), dequantised as (X + U) / num_levels'
  with errors.format_errors('inputs', path, expected):
    return _numbers(arrays, ['x'], event_shape, {
        np.floating: (0.0, 1.0) if is_image else (-np.inf, np.inf)
    }).astype(np.float64)


def read_images(
    path: str | os.PathLike, model: 'models.Flow', name: str = 'path',
) -> 'datasets.Split':
  """Reads images for a model from an .npz file.

  They are its array `x`, or `image` if it has no `x`: floats are dequantised
  already and are not changed; integers are levels, and are dequantised like the
  data set of the model. An array `label` `[n]` of integers is optional.

  Args:
    path, name: see `read_arrays`.
    model: of images of the same shape and levels.
  """
  shape, num_levels = model.event_shape, model.num_levels
  arrays = read_arrays(path, name, ('x', 'image', 'label'))
  with errors.format_errors(
      name, path, 'an .npz file with an array x or image [n, '
      f'{", ".join(map(str, shape))}], integers from 0 to {num_levels - 1} or '
      'dequantised floats in [0, 1), and perhaps integers label [n]'):
    images = _numbers(arrays, ['x', 'image'], shape, {
        np.integer: (0, num_levels - 1), np.floating: (0.0, 1.0)})
    label = arrays.get('label', np.full([len(images)], -1))
    errors.check(
        label.shape == images.shape[:1] and np.issubdtype(
            label.dtype, np.integer),
        problem=f'Its label is {label.dtype} {list(label.shape)}.')
  is_integer = np.issubdtype(images.dtype, np.integer)
  return datasets.Split.of_arrays({
      'x': images.astype(np.uint8) if is_integer else images,
      'label': label.astype(np.int32)}, num_levels if is_integer else None)


def read_rows(
    source: Any, model: 'models.Flow', name: str = 'inputs',
    missing: str = 'error', condition: Any = None,
    appended: Sequence[str] = ()) -> rows_lib.Rows:
  """Reads images or vectors, and their conditions, for a flow.

  Args:
    source: path of an .npz file with arrays `x` and perhaps `condition`, see
      `read_inputs`, or an array `x`; of vectors also a table, see
      `rows.read`, or rows that were read.
    model: the flow.
    name: see `read_arrays`.
    missing, appended: see `rows.read`.
    condition: of an array.
  """
  rows = source
  is_path = isinstance(source, str | os.PathLike)
  if not model.is_image and (cells.is_frame(source) or table_files.is_table(
      source if is_path else None)):
    rows = rows_lib.read(
        model.schema, source, name, missing, appended=appended)
  elif not hasattr(source, 'is_complete'):
    if is_path and model.condition_spec is not None:
      condition = _read_conditions(source, name)
    cells.check_unmasked('rows', source)
    x = read_inputs(source, model.event_shape) if is_path else (
        np.asarray(source, None if model.is_image else np.float64))
    rows = rows_lib.Rows(
        x=x, is_complete=np.ones(len(x), bool), condition=condition)
  if model.condition_spec is None:
    return rows
  what = source if is_path else 'rows'
  condition = _checked(
      rows.condition, what, model, name, rows.frame is not None)
  errors.check(
      len(condition) == len(rows), name, what, 'as many conditions as examples,'
      f' {len(rows)}', f'It has {len(condition)}.')
  return dataclasses.replace(rows, condition=condition)


def read_condition(
    path: str | os.PathLike, model: 'models.Flow', name: str = 'inputs',
    missing: str = 'error') -> np.ndarray:
  """Reads conditions: the array `condition` of an .npz file, or columns.

  Args:
    path: of an .npz file or a table, see `columns.table_files`.
    model: a flow `p(x|c)`.
    name: see `read_arrays`.
    missing: 'error', or 'drop' to leave out rows of a table with an empty cell.

  Returns:
    `[N, ...]`, labels or float64.
  """
  is_table = table_files.is_table(path)
  given: Any = rows_lib.read(
      model.schema, path, name, 'nan' if missing == 'drop' else missing,
      (schema_lib.CONDITION,)).complete().condition if is_table else (
          _read_conditions(path, name))
  return _checked(given, path, model, name, is_table)


def _read_conditions(path, name):
  """Returns the array `condition` of an .npz file."""
  arrays = read_arrays(path, name, ('condition',))
  with errors.format_errors(name, path, 'an .npz file with conditions'):
    return _first(arrays, 'condition')[0]


def _checked(given, path, model, name, is_table):
  """Returns the conditions of a file, labels or float64, or raises."""
  spec: Any = model.condition_spec
  expected = 'an .npz file with an array condition, '
  if is_table:
    expected = f'a table with {", ".join(model.schema.condition_names)}: '
    if spec.num_labels:  # All numbers of a table are read as floats.
      given, integers = given[:, 0], given[:, 0].astype(np.int64)
      given = integers if np.array_equal(given, integers) else given
  elif spec.shape == (1,) and np.ndim(given) == 1:
    given = np.reshape(given, [-1, 1])
  try:
    found = spec.convert(given, 'float64').numpy()
    errors.check(len(found), 'condition', 'none', spec.expected)
    return found
  except errors.InvalidValueError as error:
    raise errors.InvalidValueError(
        name, path, f'{expected}{spec.expected}', f'It holds {error.value}.'
    ) from None


def write_bits(
    path: str | os.PathLike, bits: Mapping[str, np.ndarray],
    metadata: Mapping[str, Any]) -> None:
  """Writes the bits/dim of several models.

  Args:
    bits: from the name of a model to its bits/dim `[N]`, in the order of the
      split.
    metadata: `dataset`, `split`, `num_levels` and `image_shape`.
  """
  np.savez(path, **{name: metadata[name] for name in _METADATA}, **bits)


def read_bits(
    path: str | os.PathLike, num_examples: int, metadata: Mapping[str, Any],
) -> dict[str, np.ndarray]:
  """Reads a file of `write_bits`, to compare its models with another one.

  Args:
    path: of the .npz file. One without metadata is accepted.
    num_examples: number of examples that the other model is evaluated on.
    metadata: of these, see `write_bits`.

  Returns:
    From names to bits/dim `[num_examples]`.
  """
  arrays = read_arrays(path, 'compare')
  with errors.format_errors(
      'compare', path, 'bits/dim of the same examples, as tf_resflow baselines '
      '--output writes them'):
    for name in [key for key in _METADATA if key in arrays]:
      stored = arrays.pop(name).tolist()
      right = np.asarray(metadata[name]).tolist()
      errors.check(
          stored == right, problem=f'Its {name} is {stored}, not {right}.')
    errors.check(arrays, problem='It holds no model.')
    for name, values in arrays.items():
      errors.check(
          values.shape == (num_examples,)
          and np.issubdtype(values.dtype, np.floating)
          and np.all(np.isfinite(values)),
          problem=f'Its {name} is {values.dtype} {list(values.shape)}, not '
          f'finite floats ({num_examples},).')
  return arrays
