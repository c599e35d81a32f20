"""What the reader's own data have in common: errors, and the held-out part."""

from collections.abc import Callable
import functools
import os
from typing import Any

import numpy as np

from tf_resflow import errors

# Share of the examples that are held out where the data name no test part.
_TEST_SHARE = 0.2


def check(condition: Any, kind: str, path: str, expected: str,
          advice: str) -> None:
  """Raises `InvalidValueError` of the flag `--dataset=KIND:PATH`.

  Args:
    condition: Whether all is well.
    kind: Of the data, such as 'table'.
    path: Of the file or folder.
    expected: What it should be.
    advice: What it is, and what to do.
  """
  errors.check(condition, 'dataset', f'{kind}:{path}', expected, advice)


def cached_by_file(function: Callable[[str], Any]) -> Callable[[str], Any]:
  """Returns a function of a path that reads a file again when it has changed.

  Args:
    function: Of the path of a file.
  """

  @functools.lru_cache(maxsize=8)
  def read(path, unused_state):
    return function(path)

  @functools.wraps(function)
  def cached(path):
    try:
      status = os.stat(path)
    except OSError:
      return function(path)  # Which says what is wrong.
    return read(path, (status.st_mtime_ns, status.st_size))

  return cached


def split_order(num_examples: int) -> np.ndarray:
  """Returns the fixed order in which a set without parts is split.

  `RandomState` rather than `default_rng`: NumPy promises that its stream stays
  the same in every later version.

  Args:
    num_examples: Size of the whole set.

  Returns:
    Permutation of `range(num_examples)`, int `[num_examples]`.
  """
  return np.random.RandomState(0).permutation(num_examples)


def held_out(num_examples: int) -> tuple[np.ndarray, np.ndarray]:
  """Returns which examples train and which are held out, in random order.

  A fifth is held out, two at least. The choice depends on the number of the
  examples alone: no run and no seed changes it, so that nothing is tuned on
  what a test measures.

  Args:
    num_examples: Of the whole file, 4 or more.
  """
  num_test = max(2, round(_TEST_SHARE * num_examples))
  order = split_order(num_examples)
  return order[num_test:], order[:num_test]
