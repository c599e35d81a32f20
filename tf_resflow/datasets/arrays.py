"""User-provided data sets of arrays (.npz, .npy)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tf_resflow import errors
from tf_resflow.datasets import column_fits
from tf_resflow.datasets import dataset_info
from tf_resflow.datasets import own_files

_ARRAY = (
  'an .npz file with an array x, uint8 images [n, H, W, 1 or 3] or float '
  'vectors [n, D], and perhaps label [n], condition [n, K] (or integers '
  '[n]), and the same with _test; or a file of one array, which is x')
_MAX_LABELS = 100_000


@own_files.opener('array', _ARRAY)
def open_array(
  path: str, *, column_types: Sequence[str] = ()) -> dataset_info.DatasetInfo:
  """Opens an array of images or vectors.

  Without `x_test`, a fixed fifth of the examples is the test part. Vectors are
  standardised by the mean and standard deviation of the training part.

  Args:
    path: Path of an .npz or .npy file.
    column_types: Types of columns x0, x1, ... of vectors, see
      `tables.open_table`.

  Raises:
    InvalidValueError: If the file is invalid.

  Example:
    >>> np.savez('noise.npz', x=np.random.default_rng(0).normal(size=[50, 3]))
    >>> open_array('noise.npz').event_shape
    (3,)
  """
  arrays = own_files.read_arrays(path)
  if len(arrays) == 1:
    (array,) = arrays.values()
    arrays = {'x': array}
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
  names = [f'{i} of x' for i in range(*shape)]
  own_files.check_columns(names, **x)
  return dataset_info.VectorInfo(
    event_size=shape[0], asked_types=column_fits.asked_types(
      f'array:{path}', [f'x{i}' for i in range(*shape)], column_types),
    **fields)


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
  own_files.check_columns(
    [f'{i} of condition' for i in range(size)], **parts)
  return dataset_info.ConditionInfo(
    size=size, **own_files.moments(np.float64(parts['train']))), parts


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
