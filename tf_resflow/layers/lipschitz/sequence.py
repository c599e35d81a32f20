"""Lipschitz layers one after another."""

from collections.abc import Sequence as SequenceOf
import itertools
import math
from typing import Any

import tensorflow as tf

from tf_resflow import errors
from tf_resflow.layers import base_layer
from tf_resflow.layers.lipschitz import container
from tf_resflow.layers.lipschitz import lipschitz_layer


@base_layer.configured
class Sequence(base_layer.Composition, container.Container):
  """The composition of Lipschitz layers; its bound is the product of theirs.

  Its norms are those of its ends, and neighbours must agree: the codomain of
  one is the domain of the next. Scales of an activation between two linear
  layers, with translations before it or not, become part of their weights, see
  `LipschitzLayer.has_scales`.

  Args:
    parts: the layers, the first one applied first.
    **kwargs: of `keras.layers.Layer`; `dtype` is that of the parts.

  Raises:
    InvalidValueError: if the dtypes of the parts differ, or their norms do not
      chain.

  Example:
    >>> g = layers.Sequence([
    ...     layers.SpectralDense(8, coeff=0.9), layers.ELU(),
    ...     layers.SpectralDense(2, coeff=0.5)])
    >>> g.lipschitz_bound
    0.45
  """

  def __init__(self, parts: SequenceOf[lipschitz_layer.LipschitzLayer],
               **kwargs):
    super().__init__(parts, **kwargs)
    self.domain = self.codomain = None
    for part in parts:
      errors.check(
          self.codomain is None or part.domain in (None, self.codomain),
          'domain', part.domain, f'{self.codomain}, the order of the norm that '
          f'comes before {part.name}')
      self.domain = self.domain or part.domain
      self.codomain = part.codomain or self.codomain
    self._folded = {}
    for i in range(1, len(parts) - 1):
      first = i - 1
      while first > 0 and parts[first].is_translation:
        first -= 1
      if (parts[first].absorbs_scales and parts[i].has_scales
          and parts[i + 1].absorbs_scales):
        self._folded[i] = range(first, i)
    self._num_contexts = [len(part.conditional_layers()) for part in parts]

  def combine(self, constants: SequenceOf[float]) -> float:
    return math.prod(constants)

  def largest_event(self, input_shape: tuple) -> int:
    return max((part.largest_event(shape) for part, shape in zip(
        self.parts, self.shapes(input_shape), strict=False)), default=0)

  def effective_weights(
      self, variables: base_layer.Tensors, norms: base_layer.Tensors,
      input_scale: float | tf.Tensor = 1.0,
      output_scale: float | tf.Tensor = 1.0) -> base_layer.Tensors:
    # Those of the parts: an activation hands its scales to its neighbours.
    input_scales = [1.0] * len(self.parts)
    output_scales = [1.0] * len(self.parts)
    for i, before in self._folded.items():
      output_scale, input_scales[i + 1] = self.parts[i].scales(variables[i])
      for k in before:
        output_scales[k] = output_scale
    return [
        [] if i in self._folded else part.effective_weights(
            variables[i], norms[i], input_scales[i], output_scales[i])
        for i, part in enumerate(self.parts)]

  def evaluate(
      self, weights: base_layer.Tensors, x: tf.Tensor,
      *context: tf.Tensor) -> tf.Tensor:
    context = iter(context)
    for i, part in enumerate(self.parts):
      x = part.evaluate_unscaled(x) if i in self._folded else part.evaluate(
          weights[i], x, *itertools.islice(context, self._num_contexts[i]))
    return x

  def call(self, inputs: tf.Tensor, condition: Any = None) -> tf.Tensor:
    for part in self.parts:
      inputs = base_layer.call_with(part, inputs, condition)
    return inputs
