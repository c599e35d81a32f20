"""Vectors of numbers as conditions."""

from collections.abc import Sequence
import itertools

import keras
import tensorflow as tf

from tf_resflow import errors
from tf_resflow.layers import base_layer
from tf_resflow.layers import condition_spec
from tf_resflow.layers.conditions import condition_network

_SEEDS_PER_LAYER = 4


@base_layer.configured
class VectorNetwork(condition_network.ConditionNetwork):
  """A small dense network on vectors, standardised first.

  Its last activation is tanh: whatever the condition (up to 1e30, say, in
  float32), what enters the flow lies in [-1, 1], so that a condition far from
  all others shifts no hidden layer to where numbers lose their digits.

  Args:
    condition_size: numbers of a condition.
    size: `K`, numbers of what it returns.
    hidden_units: widths of the hidden layers, with SiLU.
    mean: what is subtracted from conditions, a number each; none by default.
    std: what they are divided by then.
    names: what the numbers are called, for messages.
    seed: Python int that makes the initial weights deterministic.
    **kwargs: of `keras.layers.Layer`.

  Example:
    >>> network = layers.VectorNetwork(
    ...     2, size=4, hidden_units=(16,), mean=(5.0, 0.0), std=(2.0, 1.0))
    >>> network(tf.constant([[5.0, 1.0], [1e30, 0.0]])).shape
    TensorShape([2, 4])
  """

  def __init__(
      self, condition_size: int, size: int, hidden_units: Sequence[int] = (64,),
      mean: Sequence[float] = (), std: Sequence[float] = (),
      names: Sequence[str] = (), seed: int | None = None, **kwargs):
    super().__init__(**kwargs)
    for name, values in (('mean', mean), ('std', std), ('names', names)):
      errors.check(
          len(values) in (0, condition_size), name, list(values),
          f'{condition_size} of them, or none')
    errors.check(
        len(mean) == len(std) and all(s > 0 for s in std), 'std', list(std),
        'as many numbers as mean has, above 0')
    self.condition_size = condition_size
    self.size = size
    self.hidden_units = tuple(hidden_units)
    self.mean = tuple(mean)
    self.std = tuple(std)
    self.names = tuple(names)
    self.seed = seed
    self.condition_spec = condition_spec.ConditionSpec(
        (condition_size,), names=self.names)

  def build(self, input_shape: tuple) -> None:
    sizes = (self.condition_size, *self.hidden_units, self.size)
    self.network = keras.Sequential([
        keras.layers.Dense(
            units, 'silu' if i < len(self.hidden_units) else 'tanh',
            dtype=self.dtype_policy,
            **base_layer.uniform_initializers(
                fan_in, base_layer.shifted_seed(
                    self.seed, i * _SEEDS_PER_LAYER)))
        for i, (fan_in, units) in enumerate(itertools.pairwise(sizes))])
    self.network.build((None, self.condition_size))

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    if self.mean:
      inputs = (inputs - tf.constant(self.mean, inputs.dtype)) / tf.constant(
          self.std, inputs.dtype)
    return self.network(inputs)
