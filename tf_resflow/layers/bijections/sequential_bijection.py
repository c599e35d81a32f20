"""Compositions of bijections."""

from collections.abc import Sequence
import functools
import itertools

import tensorflow as tf

from tf_resflow import numerics
from tf_resflow.layers import base_layer
from tf_resflow.layers.bijections import bijection as bijection_lib
from tf_resflow.layers.bijections import composite
from tf_resflow.layers.conditions import conditioning


@base_layer.configured
class SequentialBijection(base_layer.Composition, composite.CompositeBijection):
  """The composition of bijections, the first one applied first.

  Parts with random log-determinants are numbered, and their seeds are
  `fold_in(seed, number)`.

  Args:
    parts: the bijections; those that take a condition take the same one.
    **kwargs: of `keras.layers.Layer`; `dtype` is that of the parts.

  Raises:
    InvalidValueError: if the dtypes of the parts differ, or their conditions.

  Example:
    >>> flow = layers.SequentialBijection([
    ...     layers.Standardize([0.5], [0.25]), layers.ActNorm()])
    >>> y, log_det = flow.forward_and_log_det(tf.random.normal([64, 1]))
    >>> flow.inverse(y).shape
    TensorShape([64, 1])
  """

  def __init__(self, parts: Sequence[bijection_lib.Bijection], **kwargs):
    super().__init__(parts, **kwargs)
    conditioning.common_spec(parts)  # Raises if there are several.

  def build(self, input_shape: tuple) -> None:
    super().build(input_shape)
    self.share_traces({})

  def _with_settings(self, settings):
    """Returns the parts, each with its settings, which have its own seed."""
    draws = self.is_random and (
        settings.estimator is None or settings.estimator.is_random)
    settings = settings._replace(
        seed=numerics.random.as_seed(settings.seed) if draws else None)
    numbers = itertools.count()
    return [
        (part, settings._replace(seed=numerics.random.fold_in(
            settings.seed, next(numbers))) if draws and part.is_random
         else settings) for part in self.parts]

  def forward_pass(self, x: tf.Tensor, settings: bijection_lib.PassSettings
                   ) -> bijection_lib.PassResult:
    result = bijection_lib.PassResult(x, bijection_lib.zero_log_det(x))
    for part, own in self._with_settings(settings):
      result = result.then(part.forward_pass(result.value, own))
    return result

  def inverse_pass(self, y: tf.Tensor, settings: bijection_lib.PassSettings
                   ) -> bijection_lib.PassResult:
    result = bijection_lib.PassResult(y, bijection_lib.zero_log_det(y))
    for part, own in reversed(self._with_settings(settings)):
      result = result.then(part.inverse_pass(result.value, own))
    return result

  def bi_lipschitz_bounds(self) -> bijection_lib.BiLipschitzBounds:
    return functools.reduce(bijection_lib.BiLipschitzBounds.then,
                            (part.bi_lipschitz_bounds() for part in self.parts),
                            bijection_lib.BiLipschitzBounds(1.0, 1.0))

  def with_parts(self, parts: Sequence[bijection_lib.Bijection]
                 ) -> bijection_lib.Bijection:
    return SequentialBijection(parts, name=self.name, dtype=self.dtype_policy)
