"""Files of per-example bits/dim, by which models are compared in pairs."""

from collections.abc import Mapping
import os
from typing import Any

import numpy as np

from tf_resflow import errors
from tf_resflow.evaluation import archives
from tf_resflow.evaluation import statistics

# What the numbers are of, beside the arrays of the models.
_FACTS = ('dataset', 'split', 'num_levels', 'image_shape')


def write_bits(
    path: str | os.PathLike, bits: Mapping[str, np.ndarray],
    facts: Mapping[str, Any]) -> None:
  """Writes the bits/dim of several models.

  Args:
    path: of the .npz file.
    bits: from the name of a model to its bits/dim `[N]`, in the order of the
      split.
    facts: `dataset`, `split`, `num_levels` and `image_shape`.
  """
  np.savez(path, **{name: facts[name] for name in _FACTS}, **bits)


def read_bits(
    path: str | os.PathLike, num_examples: int, facts: Mapping[str, Any],
) -> dict[str, np.ndarray]:
  """Reads what `write_bits` wrote, for comparisons with another model.

  Args:
    path: of the .npz file. One that says nothing of the data set is taken as
      it is.
    num_examples: number of examples that the other model is evaluated on.
    facts: what these are, see `write_bits`.

  Returns:
    From names to bits/dim `[num_examples]`.

  Raises:
    OSError: if the file cannot be opened.
    InvalidValueError: if it is no such file, holds no model, or other examples.
  """
  arrays = archives.read_arrays(path, 'compare')

  def check(condition, expected, advice=''):
    errors.check(condition, 'compare', path, expected, advice)

  for name in _FACTS:
    if name not in arrays:
      continue
    stored, right = arrays.pop(name).tolist(), np.asarray(facts[name]).tolist()
    check(stored == right, f'a file of the {name} {right}',
          f'It is of {stored}; only the same examples make pairs.')
  check(arrays, 'a file with bits/dim', 'It holds no model.')
  expected = (f'floats ({num_examples},) for every model, one per evaluated '
              'example, as bin/baselines --output writes them')
  for name, values in arrays.items():
    check(values.shape == (num_examples,), expected,
          f'Its {name} has the shape {values.shape}.')
    check(np.issubdtype(values.dtype, np.floating), expected,
          f'Its {name} has the dtype {values.dtype}.')
    num_bad = np.sum(~np.isfinite(values))
    check(num_bad == 0, expected, f'{num_bad} of its {name} are not finite.')
  return arrays


def paired_differences(
    bits: np.ndarray, others: Mapping[str, np.ndarray],
) -> dict[str, statistics.PairedDifference]:
  """Compares a model with others on the same examples.

  Args:
    bits: bits/dim `[N]` of the model.
    others: from names to bits/dim `[N]`.

  Returns:
    From names to the differences of `bits` less the other's: negative where the
    model needs fewer bits.
  """
  return {name: statistics.paired_difference(bits, other)
          for name, other in others.items()}
