"""What bijections that take a condition share."""

from collections.abc import Iterable
from typing import Any

import tensorflow as tf

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


class ConditionalMap(condition_spec.ConditionMatrix, bijection.Bijection):
  """A map of an event that a condition chooses, by bounded scales and others.

  Args:
    condition_size: `K`, numbers of a condition `[B, K]`.
    per_feature: whether it takes the whole event at once; else its channels,
      the last axis, alike at all positions.
    max_log_scale: `b`, the bound of the logarithms of scales, whatever the
      condition; `default_max_log_scale` by default.
    kernel_initializer: see `ConditionMatrix`; with zeros it begins as the
      identity.
    **kwargs: of `keras.layers.Layer`.
  """

  default_max_log_scale: float

  def __init__(
      self, condition_size: int, per_feature: bool = False,
      max_log_scale: float | None = None, kernel_initializer: Any = 'zeros',
      **kwargs):
    super().__init__(condition_size, kernel_initializer, **kwargs)
    if max_log_scale is None:
      max_log_scale = self.default_max_log_scale
    errors.check(max_log_scale > 0.0, 'max_log_scale', max_log_scale,
                 'a number above 0')
    self.per_feature = per_feature
    self.max_log_scale = max_log_scale

  def bounded(self, raw: tf.Tensor) -> tf.Tensor:
    """Returns log-scales `b tanh(r / b)`."""
    return self.max_log_scale * tf.tanh(raw / self.max_log_scale)
