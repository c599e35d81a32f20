"""What bijections that take a condition share."""

from collections.abc import Iterable

import numpy as np

from tf_resflow import errors
from tf_resflow.layers import condition_spec
from tf_resflow.layers.bijections import bijection
from tf_resflow.layers.lipschitz import lipschitz_layer


def common_spec(parts: Iterable[bijection.Bijection]
                ) -> condition_spec.ConditionSpec | None:
  """Returns what the condition is that all parts with one take; or None.

  Raises:
    InvalidValueError: if they take different ones.
  """
  parts = [part for part in parts if part.takes_condition]
  # Names are for messages alone.
  kinds = {part.condition_spec._replace(names=()): part for part in parts}
  errors.check(
      len(kinds) < 2, 'condition', ' and '.join(
          f'{part.condition_spec.expected} ({part.name})'
          for part in kinds.values()),
      'one for all parts of a chain', 'layers.Conditional gives a part a '
      'network of its own, from the condition of the whole.')
  return parts[0].condition_spec if parts else None


def check_size(condition_size: int) -> None:
  """Raises `InvalidValueError` unless it is a number of numbers."""
  errors.check(
      isinstance(condition_size, (int, np.integer)) and condition_size > 0,
      'condition_size', condition_size, 'a number from 1')


def spec_of_network(network: lipschitz_layer.LipschitzLayer
                    ) -> condition_spec.ConditionSpec | None:
  """Returns what the condition of a network is, numbers `[B, K]`; or None.

  Raises:
    InvalidValueError: if its layers take conditions of several sizes.
  """
  sizes = sorted({c.condition_size for c in network.conditional_layers()})
  errors.check(
      len(sizes) < 2, 'condition_size', ' and '.join(map(str, sizes)),
      f'the same for all layers of {network.name}')
  return condition_spec.ConditionSpec((sizes[0],)) if sizes else None
