"""Files of per-example bits/dim, by which models are compared in pairs."""

import numpy as np

from tf_resflow.evaluation import archives
from tf_resflow.evaluation import statistics

# What the numbers are of, beside the arrays of the models.
_FACTS = ('dataset', 'split', 'num_levels', 'image_shape')


def write_bits(path, bits, facts):
  """Writes the bits/dim of several models.

  Args:
    path: of the .npz file.
    bits: dict from the name of a model to its bits/dim `[N]`, in the order of
      the split.
    facts: dict with `dataset`, `split`, `num_levels` and `image_shape`.
  """
  np.savez(path, **{name: facts[name] for name in _FACTS}, **bits)


def read_bits(path, num_examples, facts):
  """Reads what `write_bits` wrote, for comparisons with another model.

  Args:
    path: of the .npz file. One that says nothing of the data set is taken as
      it is.
    num_examples: number of examples that the other model is evaluated on.
    facts: what these are, see `write_bits`.

  Returns:
    A dict from names to bits/dim `[num_examples]`.

  Raises:
    OSError: if the file cannot be opened.
    ValueError: if it is no such file, holds no model, or other examples.
  """
  arrays = archives.read_arrays(path, 'compare')
  for name in _FACTS:
    if name not in arrays:
      continue
    stored = arrays.pop(name)
    if stored.tolist() != np.asarray(facts[name]).tolist():
      raise ValueError(
          f'compare is {path}, which is of the {name} {stored.tolist()}, not '
          f'{np.asarray(facts[name]).tolist()}; only the same examples make '
          'pairs.')
  if not arrays:
    raise ValueError(
        f'compare is {path}, which holds no bits/dim; expected an array '
        f'({num_examples},) for every model.')
  for name, values in arrays.items():
    if values.shape != (num_examples,):
      raise ValueError(
          f'compare is {path}: {name} has the shape {values.shape}, expected '
          f'({num_examples},), one value per evaluated example, as '
          'bin/baselines --output writes them.')
    if not np.issubdtype(values.dtype, np.floating):
      raise ValueError(
          f'compare is {path}: {name} has the dtype {values.dtype}; expected '
          'floats.')
    if not np.all(np.isfinite(values)):
      raise ValueError(
          f'compare is {path}: {np.sum(~np.isfinite(values))} values of {name} '
          'are not finite.')
  return arrays


def paired_differences(bits, others):
  """Compares a model with others on the same examples.

  Args:
    bits: bits/dim `[N]` of the model.
    others: dict from names to bits/dim `[N]`.

  Returns:
    A dict from names to `statistics.PairedDifference`, of `bits` less the
    other's: negative where the model needs fewer bits.
  """
  return {name: statistics.paired_difference(bits, other)
          for name, other in others.items()}
