"""What a flow takes of a batch: data, and conditions where it has some."""

from typing import Any

import numpy as np

from tf_resflow import errors
from tf_resflow import models


def inputs_of(batch: Any) -> tuple[Any, ...]:
  """Returns `(x,)`, or `(x, condition)`.

  Args:
    batch: one of `datasets.evaluation_batches`, or such a tuple, or `x`.
  """
  if isinstance(batch, dict):
    return tuple(batch[key] for key in ('x', 'condition') if key in batch)
  return batch if isinstance(batch, tuple) else (batch,)


def slices(
    model: models.Flow, x: np.ndarray, condition: Any, batch_size: int,
) -> list[tuple[np.ndarray, ...]]:
  """Returns `[N, ...]` in batches `(x,)`, or `(x, condition)`.

  Args:
    model: a flow.
    x: events or latents.
    condition: see `conditions_for`.
    batch_size: examples of all but the last batch.
  """
  condition = conditions_for(model, condition, len(x))
  arrays = (x,) if condition is None else (x, condition)
  return [tuple(a[i:i + batch_size] for a in arrays)
          for i in range(0, len(x), batch_size)]


def conditions_for(
    model: models.Flow, condition: Any, num_examples: int) -> np.ndarray | None:
  """Returns the conditions of so many examples; None where there are none.

  Args:
    model: a flow.
    condition: `[N, ...]`, or that of a single example for all.
    num_examples: `N`.

  Raises:
    InvalidValueError: if it is no condition of the flow, or there are other
      than `N`, or 1.
  """
  condition = as_conditions(model, condition)
  if condition is None:
    return None
  # Of batches that are cut first, the last one might have one, for all.
  errors.check(
      len(condition) in (1, num_examples), 'condition',
      f'a batch of {len(condition)}', f'one of {num_examples}, or of 1 for all')
  return np.broadcast_to(condition, [num_examples, *condition.shape[1:]])


def as_conditions(model: models.Flow, condition: Any) -> np.ndarray | None:
  """Returns conditions `[N, ...]`, `[1, ...]` for one; None for a flow without.

  Args:
    model: a flow.
    condition: any number of them, or that of a single example.

  Raises:
    InvalidValueError: if it is no condition of the flow.
  """
  spec = model.condition_spec
  if spec is None:
    model.check_condition(condition)
    return None
  return spec.convert(condition, model.compute_dtype).numpy()
