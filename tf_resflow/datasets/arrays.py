"""User-provided data sets of arrays (.npz, .npy)."""

from collections.abc import Sequence
import functools
import numbers
from typing import Any

import numpy as np

from tf_resflow import errors
from tf_resflow.columns import cells
from tf_resflow.columns import column_checks
from tf_resflow.datasets import dataset_info
from tf_resflow.datasets import user_files
from tf_resflow.specs import reading

_ARRAY = (
    'an .npz file with an array x, uint8 images [n, H, W, 1 or 3] or float '
    'vectors [n, D], and perhaps label [n], condition [n, K] (or integers '
    '[n]), sample_weight [n], and the same with _test; or a file of one array, '
    'which is x')
_MAX_LABELS = 100_000


@user_files.opener('array', _ARRAY)
def open_array(
    path: str, *, column_types: Sequence[str] = ()) -> dataset_info.DatasetInfo:
  """Opens an array of images or vectors, from an .npz or .npy file.

  Without `x_test`, a fixed fifth of the examples is the test part. Vectors have
  columns x0, x1, ..., of which `column_types` says the types, see
  `data_config.DataConfig`.

  Raises:
    InvalidValueError: if the file is invalid.
  """
  arrays = reading.read_arrays(path)
  if len(arrays) == 1:
    arrays = {'x': next(iter(arrays.values()))}
  return _info(f'array:{path}', arrays, column_types)


def array(
    x: Any, *, test: Any = None, labels: Any = None, condition: Any = None,
    sample_weight: Any = None, column_types: Sequence[str] = (),
    name: str = 'array',
) -> dataset_info.DatasetInfo:
  """Returns the data set of arrays, for `make_config(dataset=...)`.

  Args:
    x: images, uint8 `[N, H, W, 1 or 3]`, or vectors, floats `[N, D]`.
    test: likewise, the test part; or the share of `x` that is held out, by
      default a fifth.
    labels: integers from 0, `[N]`. With an array `test` these are two arrays,
      the second those of the test part.
    condition: floats `[N, K]` or `[N]`, or integers `[N]`, on which the model
      is conditioned; two arrays likewise.
    sample_weight: `[N]`, not negative: how often an example counts in means;
      two arrays likewise.
    column_types: of vectors with columns x0, x1, ..., see `DataConfig`.
    name: name of the data set.

  Raises:
    InvalidValueError: if an array is invalid.

  Example:
    >>> info = array(np.random.default_rng(0).normal(size=[50, 3]))
    >>> info.event_shape, info.num_train, info.num_test
    ((3,), 40, 10)
  """
  arrays: dict[str, np.ndarray] = {}
  share = user_files.TEST_SHARE
  if isinstance(test, numbers.Real):
    share, test = float(test), None
  with errors.format_errors('x', name, 'images or vectors'):
    for key, given in (
        ('x', x if test is None else (x, test)), ('label', labels),
        ('condition', condition), ('sample_weight', sample_weight)):
      if given is None:
        continue
      parts = [given] if test is None else given
      errors.check(
          test is None or len(parts) == 2, problem=f'With test, {key} is two '
          'arrays, the second of the test part.')
      for suffix, part in zip(('', '_test'), parts, strict=False):
        cells.check_unmasked(key, part)
        arrays[key + suffix] = np.asarray(part)
    info = _info(name, arrays, column_types, share)
    return info if condition is None else info.with_condition(['condition'])


def _info(name, arrays, column_types, share=user_files.TEST_SHARE):
  """Returns the metadata of arrays, by their names in a file."""
  errors.check(0.0 < share < 1.0, 'test', share, 'a share in (0, 1)')
  parts_of = functools.partial(_parts, arrays, share)
  x = parts_of('x')
  labels: dict[str, Any] = dict.fromkeys(x)
  num_classes = 0
  if 'label' in arrays or {'x_test', 'label_test'} <= arrays.keys():
    labels = parts_of('label')
    num_classes = int(arrays['label'].max()) + 1
    errors.check(
        labels['test'].max() < num_classes,
        problem='Its label_test has a class that label does not have.')
  errors.check(
      len(x['test']) >= 2,
      problem='Its x_test has one example; standard errors need two.')

  def conditions():
    with errors.format_errors('dataset', name, _ARRAY):
      return _conditions(parts_of('condition'))

  fields: dict[str, Any] = {
      'name': name, 'num_classes': num_classes,
      'num_train': len(x['train']), 'num_test': len(x['test']),
      'test_rows': 'given' if 'x_test' in arrays else 'random',
      'load_fn': lambda part: (x[part], labels[part]),
      'conditions_fn': conditions if 'condition' in arrays else None,
      'weights': user_files.relative(parts_of('sample_weight'))
      if 'sample_weight' in arrays else None,
      'fingerprint': user_files.fingerprint(
          *(part for name in sorted(arrays) for part in (name, arrays[name])),
          *[share] * (share != user_files.TEST_SHARE))}
  shape = arrays['x'].shape[1:]
  if arrays['x'].dtype == np.uint8:
    return dataset_info.ImageInfo(image_shape=shape, **fields)
  _check_columns('x', x)
  return dataset_info.VectorInfo(
      event_size=shape[0], asked_types=cells.as_names(column_types), **fields)


def _is_good(name, array, num_examples):
  """Returns whether an array has the type and shape that its name says."""
  is_float = np.issubdtype(array.dtype, np.floating)
  if name == 'x':
    return array.size > 0 and (is_float and array.ndim == 2 or (
        array.dtype == np.uint8 and array.ndim == 4
        and array.shape[-1] in (1, 3)))
  if name == 'sample_weight':
    return array.shape == (num_examples,) and array.dtype.kind in 'fiu'
  if np.issubdtype(array.dtype, np.integer):
    return array.shape == (num_examples,) and array.min() >= 0
  return (name == 'condition' and is_float and array.ndim in (1, 2)
          and len(array) == num_examples and array.size > 0)


def _parts(arrays, share, name):
  """Returns the 'train' and 'test' parts of an array, or raises."""
  names = [name] + [f'{name}_test'] * ('x_test' in arrays)
  for key in names:
    errors.check(
        key in arrays,
        problem=f'It has no {key}, but {", ".join(arrays) or "nothing"}.')
    array, num_examples = arrays[key], len(arrays[key.replace(name, 'x')])
    errors.check(
        _is_good(name, array, num_examples), problem=f'Its {key} of '
        f'{num_examples} examples is {array.dtype} {list(array.shape)}.')
    user_files.check_finite(array, what=f'Its {key}')
  array, test = arrays[name], arrays[names[-1]]
  errors.check(
      array.shape[1:] == test.shape[1:] and (
          array.dtype.kind == 'f') == (test.dtype.kind == 'f'),
      problem=f'Its {name} is {array.dtype} {list(array.shape)} and '
      f'{name}_test {test.dtype} {list(test.shape)}.')
  order = user_files.held_out(
      len(array), num_test=len(test) if 'x_test' in arrays else None,
      share=share)
  return {'train': array[order['train']], 'test': test[order['test']]}


def _check_columns(name, parts):
  """Raises `FormatError` if a column cannot be learned."""
  for i, (train, test) in enumerate(zip(*(
      np.float64(part).T for part in parts.values()), strict=True)):
    problem = column_checks.column_problem(train, test, name == 'condition')
    errors.check(not problem, problem=f'Column {i} of {name} {problem}.')


def _conditions(parts):
  """Returns the 'train' and 'test' parts of the array `condition`, checked.
  """
  if parts['train'].dtype.kind in 'iu':
    largest, other = (int(part.max()) for part in parts.values())
    errors.check(
        largest < _MAX_LABELS, problem=f'Its condition has a label {largest}; '
        f'labels are below {_MAX_LABELS:,}. Use floats for numeric conditions.')
    errors.check(
        other <= largest, problem=f'Its test part has a condition {other} that '
        'the training part does not have.')
    return parts
  # Scalars become vectors of size 1.
  parts = {name: part.reshape([len(part), -1]) for name, part in parts.items()}
  _check_columns('condition', parts)
  return parts
