"""The .npz files that users name: given images, and bits/dim of models."""

from collections.abc import Collection, Mapping, Sequence
import os
from typing import Any
import zipfile
import zlib

import numpy as np

from tf_resflow import errors
from tf_resflow import layers

# What bits/dim are of, beside the arrays of the models.
_FACTS = ('dataset', 'split', 'num_levels', 'image_shape')


def read_arrays(
    path: str | os.PathLike, name: str, keys: Collection[str] | None = None,
) -> dict[str, np.ndarray | None]:
  """Returns the arrays of an .npz file.

  Args:
    path: of the file.
    name: of the argument or flag that names the file, for messages.
    keys: which to read, all by default; the others are None.

  Raises:
    InvalidValueError: if there is no such file, or it is damaged, or holds
      objects.
    OSError: if it cannot be opened.
  """
  expected = 'an .npz file, as numpy.savez writes it'
  errors.check(os.path.exists(path), name, path, expected, 'It does not exist.')
  errors.check(
      os.path.isfile(path) and zipfile.is_zipfile(path), name, path, expected)
  try:
    with np.load(path) as archive:
      arrays = {
          key: archive[key] if keys is None or key in keys else None
          for key in archive.files}
  # What zipfile and zlib raise where bytes are damaged, or encrypted.
  except (EOFError, NotImplementedError, RuntimeError, ValueError,
          zipfile.BadZipFile, zlib.error) as error:
    raise errors.InvalidValueError(
        name, path, expected, f'It cannot be read: {error}.') from error
  for key, array in arrays.items():
    errors.check(isinstance(array, (np.ndarray, type(None))), name, path,
                 expected, f'Its {key} is not an array.')
  return arrays


def read_inputs(
    path: str | os.PathLike, event_shape: Sequence[int]) -> np.ndarray:
  """Reads dequantised images or vectors from an .npz file.

  Args:
    path: of a file with the array `x`, floats `[n, H, W, C]` in [0, 1] or
      `[n, D]`.
    event_shape: `(H, W, C)` or `(D,)` of the model that they are meant for.

  Returns:
    `x` as float64.

  Raises:
    InvalidValueError: if it is no such file, or `x` does not suit the model.
    OSError: if the file cannot be opened.
  """
  arrays = read_arrays(path, 'inputs', keys=('x',))
  x = arrays.get('x')
  is_image = len(event_shape) == 3

  def check(condition, advice):
    errors.check(
        condition, 'inputs', path, 'an .npz file with an array x, floats '
        f'[n, {", ".join(map(str, event_shape))}]'
        f'{" in [0, 1)" if is_image else ""}', advice)

  check(x is not None, f'Its arrays are {", ".join(arrays) or "none"}.')
  check(np.issubdtype(x.dtype, np.floating), f'Its x has the dtype {x.dtype}: '
        'dequantise integers as (X + U) / num_levels.')
  check(x.ndim > 0 and len(x) > 0 and x.shape[1:] == tuple(event_shape),
        f'Its x has the shape {x.shape}.')
  is_inside = not is_image or (x.min() >= 0 and x.max() <= 1)
  check(np.all(np.isfinite(x)) and is_inside,
        f'Its x lies in [{x.min()}, {x.max()}].')
  return x.astype(np.float64)


def read_condition(
    path: str | os.PathLike, spec: layers.ConditionSpec, name: str = 'inputs',
) -> np.ndarray:
  """Reads the array `condition` of an .npz file.

  Args:
    path: of the file.
    spec: what the conditions of the flow are.
    name: of the argument or flag that names the file, for messages.

  Raises:
    InvalidValueError: if it is no such file, or its conditions do not suit.
    OSError: if the file cannot be opened.
  """
  arrays = read_arrays(path, name, keys=('condition',))
  condition = arrays.get('condition')

  def check(is_right, advice):
    errors.check(
        is_right, name, path, 'an .npz file with an array condition, '
        f'{spec.expected}', advice)

  check(condition is not None,
        f'Its arrays are {", ".join(arrays) or "none"}.')
  if condition.ndim == 1 and spec.shape == (1,):
    condition = condition[:, np.newaxis]  # A number each.
  is_whole = np.issubdtype(condition.dtype, np.integer)
  check(condition.ndim > 0 and condition.shape[1:] == spec.shape and (
      condition.size > 0) and (
      is_whole or (not spec.num_labels and np.issubdtype(
          condition.dtype, np.floating))),
        f'Its condition is {condition.dtype} {list(condition.shape)}.')
  lies = f'Its condition lies in [{condition.min()}, {condition.max()}].'
  check(not spec.num_labels or (
      condition.min() >= 0 and condition.max() < spec.num_labels), lies)
  check(is_whole or np.all(np.isfinite(condition)), lies)
  return condition


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
  arrays = read_arrays(path, 'compare')

  def check(condition, expected, advice):
    errors.check(condition, 'compare', path, expected, advice)

  for name in [fact for fact in _FACTS if fact in arrays]:
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
    check(np.all(np.isfinite(values)), expected,
          f'{np.sum(~np.isfinite(values))} of its {name} are not finite.')
  return arrays
