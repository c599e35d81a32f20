"""User-provided data: openers of files, held-out parts, fingerprints."""

from collections.abc import Callable, Mapping, Sequence
import functools
import hashlib
from typing import Any

import numpy as np

from tf_resflow import errors
from tf_resflow.specs import reading as reading_lib

reading = reading_lib.reading
# Minimum number of examples for a density and a held-out part.
MIN_EXAMPLES = 10
# Fraction of the examples that are held out if there is no test part.
TEST_SHARE = 0.2


def opener(
    prefix: str, expected: str, options: Sequence[str] = (),
) -> Callable[[Callable], Callable]:
  """Returns a decorator of a function that opens `--dataset=PREFIX:FILE`.

  A `FormatError`, also of `reading` or `check_finite`, and errors of reading
  become an `InvalidValueError` of that flag.

  Args:
    prefix: type of the data, such as 'table'.
    expected: description of a valid file.
    options: fields of `DataConfig` that a function of `**options` takes; by
      default those that are named as its parameters.
  """
  def decorate(function):

    @functools.wraps(function)
    def opened(path, **given):
      with errors.format_errors('dataset', f'{prefix}:{path}', expected):
        try:
          return function(path, **given)
        except (OSError, ValueError) as error:
          with reading():
            raise error

    if options:  # Otherwise they are its parameters.
      opened.options = options  # type: ignore[attr-defined]
    return opened
  return decorate


def check_finite(
    values: np.ndarray, columns: Sequence[str] = (), what: str = 'It') -> None:
  """Raises `FormatError` that names the first NaN or infinity.

  Args:
    values: `[N]` or `[N, D]`; rows count from 0.
    columns: names of the D columns, or none.
    what: subject of the message.
  """
  wrong = np.argwhere(~np.isfinite(values))
  for row, *column in wrong[:1]:
    names = columns or range(values.shape[-1])
    raise errors.FormatError(
        f'{what} has {len(wrong)} values that are not finite, the first in row '
        f'{row}' + ''.join(f', column {names[i]}' for i in column) +
        f' ({values[(row, *column)]}).')


def fingerprint(*parts: Any) -> str:
  """Returns a digest of strings and arrays, 16 hexadecimal digits."""
  digest = hashlib.sha256()
  for part in parts:
    if isinstance(part, np.ndarray):
      digest.update(f'{part.dtype} {part.shape}'.encode())
      digest.update(np.ascontiguousarray(part).tobytes())
    else:
      digest.update(str(part).encode())
    digest.update(b'\0')
  return digest.hexdigest()[:16]


def relative(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Returns weights of parts, relative to the mean of 'train'; or raises.

  Raises:
    FormatError: if one is negative, or all of a part are zero.
  """
  for part, values in weights.items():
    errors.check(
        values.min(initial=0.0) >= 0.0 and (not len(values) or values.any()),
        problem=f'Its weights of {part} rows are negative, or all zero.')
  return {part: values / np.mean(weights['train'])
          for part, values in weights.items()}


def split_order(num_examples: int) -> np.ndarray:
  """Returns the fixed order in which a data set without parts is split."""
  # Unlike `default_rng`, its stream never changes between versions of NumPy.
  return np.random.RandomState(0).permutation(num_examples)


def held_out(
    num_examples: int, noun: str = 'examples', num_test: int | None = None,
    share: float = TEST_SHARE) -> dict[str, np.ndarray]:
  """Returns the indices of 'train' and 'test' examples, in random order.

  A share is held out. The split depends only on the number of examples, not on
  a seed, so that no run trains on test examples. A test part of its own, of
  `num_test`, keeps its order; a validation part, the end of the others, is
  random.

  Raises:
    FormatError: if there are too few, which it calls `noun`.
  """
  if num_test is not None:
    return {'train': split_order(num_examples), 'test': np.arange(num_test)}
  errors.check(
      num_examples >= MIN_EXAMPLES, problem=f'It has {num_examples} {noun}; at '
      f'least {MIN_EXAMPLES} are required.')
  num_test = round(share * num_examples)
  errors.check(
      1 < num_test < num_examples - 1, problem=f'A share of {share:g} of its '
      f'{num_examples} {noun} for a test leaves fewer than two in a part.')
  order = split_order(num_examples)
  return {'train': order[num_test:], 'test': order[:num_test]}
