"""What bijections that take a condition share."""

from collections.abc import Iterable

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
  specs = {part.condition_spec: part.name for part in parts}
  specs.pop(None, None)
  errors.check(
      len(specs) < 2, 'condition', ' and '.join(
          f'{spec.expected} ({name})' for spec, name in specs.items()),
      'one for all parts of a chain', 'layers.Conditional gives a part a '
      'network of its own, from the condition of the whole.')
  return next(iter(specs), None)


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
