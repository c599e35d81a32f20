"""The conditions that come with the examples of an array file."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tf_resflow.datasets import condition_info
from tf_resflow.datasets import own_files

_MAX_LABELS = 100_000


def read(
  arrays: Mapping[str, np.ndarray], rows: Mapping[str, np.ndarray],
  check: Callable[[Any, str], None],
) -> tuple[condition_info.ConditionInfo, dict[str, np.ndarray]]:
  """Reads the array `condition`, where a model is to depend on it.

  Args:
    arrays: Those of the file, by their names.
    rows: Of the arrays without `_test`, by the names of parts; the test part is
      that of the arrays with it where it is not among them.
    check: Called with whether all is well, and what is wrong otherwise; it
      raises then.

  Returns:
    The facts, and the conditions of 'train' and 'test'.
  """
  condition = arrays['condition']
  _check('condition', condition, arrays['x'], check)
  parts = {name: condition[part] for name, part in rows.items()}
  if 'test' not in parts:
    parts['test'] = test = arrays.get('condition_test')
    check(test is not None, 'It has x_test, and no condition_test.')
    _check('condition_test', test, arrays['x_test'], check)
    check(
      (condition.shape[1:], _is_label(condition)) == (
        test.shape[1:], _is_label(test)),
      'Its condition and condition_test do not go together.',
    )
  if _is_label(condition):
    return _labels(parts, check), parts
  # A number each is a vector of one.
  parts = {name: part.reshape([len(part), -1]) for name, part in parts.items()}
  size = parts['train'].shape[1]
  mean, std = own_files.standardisation(
    [f'{i} of condition' for i in range(size)], parts['train'], parts['test'],
    check, has_density=False,
  )
  return condition_info.ConditionInfo(size=size, mean=mean, std=std), parts


def _is_label(condition):
  return np.issubdtype(condition.dtype, np.integer)


def _check(name, condition, x, check):
  """Checks an array of conditions."""
  is_right = condition.ndim > 0 and len(condition) == len(x) and (
    condition.ndim == 1 and condition.min() >= 0 if _is_label(condition) else
    np.issubdtype(condition.dtype, np.floating) and condition.ndim in (1, 2)
    and condition.size > 0 and np.all(np.isfinite(condition)))
  check(
    is_right, f'Its {name} is {condition.dtype} {list(condition.shape)}, not '
    f'finite floats [{len(x)}, K] or whole numbers [{len(x)}] from 0.',
  )


def _labels(parts, check):
  """Returns the facts about labels."""
  train, test = parts['train'], parts['test']
  check(
    train.max() < _MAX_LABELS, f'Its condition has a label {train.max()}: '
    f'labels are whole numbers below {_MAX_LABELS:,}. Numbers are floats.',
  )
  check(
    test.max() <= train.max(), f'Its test part has a condition {test.max()} '
    'that no example that trains has.',
  )
  return condition_info.ConditionInfo(num_labels=int(train.max()) + 1)
