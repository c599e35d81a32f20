"""Bijections one after another."""

from collections.abc import Sequence
import functools
import itertools
from typing import Any

import tensorflow as tf

from tf_resflow import numerics
from tf_resflow.layers import base_layer
from tf_resflow.layers.bijections import bijection
from tf_resflow.layers.bijections import conditioning


@base_layer.configured
class Chain(base_layer.Composition, bijection.SolvingBijection):
  """The composition of bijections, the first one applied first.

  The parts whose log-determinants are drawn are numbered, and draw from
  `fold_in(seed, number)`.

  Args:
    parts: the bijections; those that take a condition take the same one.
    **kwargs: of `keras.layers.Layer`; `dtype` is that of the parts.

  Raises:
    InvalidValueError: if the dtypes of the parts differ, or their conditions.

  Example:
    >>> flow = layers.Chain([
    ...     layers.Standardize([0.5], [0.25]), layers.ActNorm()])
    >>> y, log_det = flow.forward_and_log_det(tf.random.normal([64, 1]))
    >>> flow.inverse(y).shape
    TensorShape([64, 1])
  """

  def __init__(self, parts: Sequence[bijection.Bijection], **kwargs):
    super().__init__(parts, **kwargs)
    self.is_random = any(part.is_random for part in parts)
    self.condition_spec = conditioning.common_spec(parts)
    self.has_moving_statistics = any(
        part.has_moving_statistics for part in parts)

  def build(self, input_shape: tuple) -> None:
    super().build(input_shape)
    self.share_functions({})

  def transform(
      self, x: tf.Tensor, *, condition: Any = None,
      seed: numerics.random.SeedLike = None,
      estimator: numerics.Estimator | None = None) -> bijection.Transformed:
    base_layer.build_once(self, x.shape)
    numbers = itertools.count()
    draws = self.is_random and (estimator is None or estimator.is_random)
    seed = numerics.random.as_seed(seed) if draws else None
    log_det, solves, features = bijection.zero_log_det(x), (), ()
    for part in self.parts:
      result = part.transform(
          x, condition=condition, estimator=estimator,
          seed=numerics.random.fold_in(seed, next(numbers))
          if draws and part.is_random else None)
      x = result.y
      log_det += result.log_det
      solves += result.solves
      features += result.features
    return bijection.Transformed(x, log_det, solves, features)

  def call(self, inputs: tf.Tensor, condition: Any = None) -> tf.Tensor:
    # Layer by layer: the first batch needs no graph of its own.
    for part in self.parts:
      inputs = base_layer.call_with(part, inputs, condition)
    return inputs

  def update_statistics(
      self, x: tf.Tensor, condition: Any = None) -> tf.Tensor:
    base_layer.build_once(self, x.shape)
    for part in self.parts:
      x = part.update_statistics(x, condition)
    return x

  def solve_inverse(self, y: tf.Tensor, **settings: Any) -> bijection.Inverted:
    solves = ()
    for part in reversed(self.parts):
      result = part.solve_inverse(y, **settings)
      y = result.x
      solves += result.solves
    return bijection.Inverted(y, solves)

  def slope_bounds(self) -> bijection.SlopeBounds:
    return functools.reduce(
        bijection.SlopeBounds.then,
        (part.slope_bounds() for part in self.parts),
        bijection.SlopeBounds(1.0, 1.0))

  def frozen(self) -> bijection.Bijection:
    return Chain([part.frozen() for part in self.parts], name=self.name,
                 dtype=self.dtype_policy)

  def elementary(self) -> list[bijection.Bijection]:
    return [b for part in self.parts for b in part.elementary()]
