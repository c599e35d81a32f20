"""A bijection that sees its condition through a network."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tf_resflow import errors
from tf_resflow.layers import base_layer
from tf_resflow.layers import condition_spec as spec_lib
from tf_resflow.layers.bijections import bijection as bijection_lib
from tf_resflow.layers.bijections import composite
from tf_resflow.layers.conditions import condition_network as networks


@base_layer.configured
class Conditional(composite.Composite):
  """`f(x, h(c))`: all of a bijection shares one network of conditions.

  `h` is evaluated once per pass, however many blocks the bijection has and
  whatever a series or a solver asks of them; gradients reach its weights and,
  where they are numbers, the conditions.

  Args:
    bijection: one that takes conditions `[B, K]`, or a chain of several.
    condition_network: `h`, a `layers.ConditionNetwork` such as
      `layers.LabelEmbedding`; any other Keras layer in a `layers.KerasNetwork`.
    **kwargs: of `keras.layers.Layer`; `dtype` is that of the bijection.

  Raises:
    InvalidValueError: if the bijection takes no such condition.

  Example:
    >>> g = keras.Sequential([
    ...     layers.SpectralDense(32), layers.ConditionShift(8),
    ...     layers.LipSwish(), layers.SpectralDense(2)])
    >>> flow = layers.Conditional(
    ...     layers.ResidualBlock(g), layers.LabelEmbedding(10, 8))
    >>> y, _ = flow.forward_and_log_det(tf.ones([2, 2]), condition=[3, 1])
    >>> np.allclose(flow.inverse(y, condition=[3, 1]), 1.0, atol=1e-4)
    True
  """

  def __init__(
      self, bijection: bijection_lib.Bijection,
      condition_network: networks.ConditionNetwork, **kwargs):
    kwargs.setdefault('dtype', bijection.compute_dtype)
    super().__init__(**kwargs)
    errors.check(
        isinstance(condition_network, networks.ConditionNetwork),
        'condition_network', condition_network, 'a layers.ConditionNetwork',
        'layers.KerasNetwork makes one of any Keras layer.')
    wanted = bijection.condition_spec
    errors.check(
        wanted is not None, 'bijection', bijection.name,
        'one that takes a condition', 'Put a layers.ConditionShift into its '
        'network, for instance.')
    size = condition_network.size
    errors.check(
        wanted.shape == (size,) and not wanted.num_labels, 'condition_network',
        f'{condition_network.name}, of {size} outputs', f'{wanted.expected}, '
        f'which {bijection.name} takes')
    self.bijection = bijection
    self.condition_network = condition_network

  @property
  def parts(self) -> list[bijection_lib.Bijection]:
    return [self.bijection]

  @property
  def condition_spec(self) -> spec_lib.ConditionSpec:
    return self.condition_network.condition_spec

  def with_parts(self, parts: Sequence[bijection_lib.Bijection]
                 ) -> bijection_lib.Bijection:
    return Conditional(
        *parts, base_layer.frozen_copy(self.condition_network), name=self.name,
        dtype=self.dtype_policy)

  def build(self, input_shape: tuple) -> None:
    base_layer.build_once(
        self.condition_network, (None, *self.condition_spec.shape))
    base_layer.build_once(self.bijection, input_shape)

  def compute_output_shape(self, input_shape: tuple) -> tuple:
    return self.bijection.compute_output_shape(input_shape)

  def features(self, condition: Any, x: tf.Tensor) -> tf.Tensor:
    """Returns `h(c)`, `[B, K]`, or `[1, K]` of a condition for all examples.

    Args:
      condition: see `forward_and_log_det`.
      x: `[B, ...]`, what goes with it.

    Raises:
      InvalidValueError: if it is no such condition, see `ConditionSpec`.
    """
    condition = self.condition_spec.convert(condition, self.compute_dtype)
    spec_lib.check_batch(condition, x)
    return self.condition_network(condition)

  def _settings_within(self, settings, x):
    """Returns those with `h(c)` in place of `c`."""
    return settings._replace(condition=self.features(settings.condition, x))

  def forward_pass(self, x: tf.Tensor, settings: bijection_lib.PassSettings
                   ) -> bijection_lib.PassResult:
    return self.bijection.forward_pass(x, self._settings_within(settings, x))

  def inverse_pass(self, y: tf.Tensor, settings: bijection_lib.PassSettings
                   ) -> bijection_lib.PassResult:
    return self.bijection.inverse_pass(y, self._settings_within(settings, y))

  def slope_bounds(self) -> bijection_lib.SlopeBounds:
    return self.bijection.slope_bounds()
