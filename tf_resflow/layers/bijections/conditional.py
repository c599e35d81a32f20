"""A bijection that sees its condition through a network."""

from typing import Any

import tensorflow as tf

from tf_resflow import errors
from tf_resflow.layers import base_layer
from tf_resflow.layers import condition_spec as spec_lib
from tf_resflow.layers.bijections import bijection as bijection_lib
from tf_resflow.layers.conditions import condition_network as networks


@base_layer.configured
class Conditional(bijection_lib.SolvingBijection):
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
    self.condition_spec = condition_network.condition_spec
    for name in ('is_random', 'has_moving_statistics'):
      setattr(self, name, getattr(bijection, name))

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
    base_layer.build_once(
        self.condition_network, (None, *self.condition_spec.shape))
    return self.condition_network(condition)

  def transform(self, x: tf.Tensor, *, condition: Any = None, **settings: Any,
                ) -> bijection_lib.Transformed:
    base_layer.build_once(self, x.shape)
    return self.bijection.transform(
        x, condition=self.features(condition, x), **settings)

  def solve_inverse(
      self, y: tf.Tensor, *, condition: Any = None, **settings: Any,
  ) -> bijection_lib.Inverted:
    return self.bijection.solve_inverse(
        y, condition=self.features(condition, y), **settings)

  def call(self, inputs: tf.Tensor, condition: Any = None) -> tf.Tensor:
    return self.bijection(inputs, condition=self.features(condition, inputs))

  def update_statistics(
      self, x: tf.Tensor, condition: Any = None) -> tf.Tensor:
    base_layer.build_once(self, x.shape)
    return self.bijection.update_statistics(x, self.features(condition, x))

  def slope_bounds(self) -> bijection_lib.SlopeBounds:
    return self.bijection.slope_bounds()

  def frozen(self) -> bijection_lib.Bijection:
    frozen = Conditional(
        self.bijection.frozen(),
        base_layer.frozen_copy(self.condition_network), name=self.name,
        dtype=self.dtype_policy)
    frozen.built = True
    return frozen

  def elementary(self) -> list[bijection_lib.Bijection]:
    return self.bijection.elementary()
