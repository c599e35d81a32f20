"""Lipschitz layers one after another."""

from collections.abc import Sequence as SequenceOf
from typing import Any

import keras
import tensorflow as tf

from tf_resflow import errors
from tf_resflow.layers.lipschitz import lipschitz_layer
from tf_resflow.layers.lipschitz import parts as parts_lib


@keras.saving.register_keras_serializable('tf_resflow')
class Sequence(lipschitz_layer.LipschitzLayer):
  """The composition of Lipschitz layers; its bound is the product of theirs.

  Its norms are those of its ends, and neighbours must agree: the codomain of
  one is the domain of the next. Scales of an activation between two linear
  layers become part of their weights, see `LipschitzLayer.scales`.

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
    kwargs.setdefault('dtype', parts_lib.common_dtype(parts))
    super().__init__(**kwargs)
    self.parts = parts_lib.track(self, parts)
    orders = [None]
    for part in parts:
      errors.check(
          None in (orders[-1], part.domain) or part.domain == orders[-1],
          'domain', part.domain, f'{orders[-1]}, the order of the norm that '
          f'comes before {part.name}')
      orders.append(orders[-1] if part.codomain is None else part.codomain)
    self.domain = next(
        (p.domain for p in parts if p.domain is not None), None)
    self.codomain = orders[-1]
    self._folded = frozenset(
        i for i in range(1, len(parts) - 1)
        if parts[i - 1].absorbs_scales and parts[i].has_scales
        and parts[i + 1].absorbs_scales)

  @property
  def lipschitz_bound(self) -> float | None:
    """The product of the bounds of the parts."""
    return lipschitz_layer.product([p.lipschitz_bound for p in self.parts])

  @property
  def num_constrained(self) -> int:
    return sum(part.num_constrained for part in self.parts)

  @property
  def known_by(self) -> str:
    # 'assertion', the smaller word, if any is.
    return min((part.known_by for part in self.parts), default='construction')

  def constrained_layers(self) -> list[lipschitz_layer.LipschitzLayer]:
    return [c for part in self.parts for c in part.constrained_layers()]

  def build(self, input_shape: SequenceOf) -> None:
    for part in self.parts:
      if not part.built:
        part.build(input_shape)
      input_shape = part.compute_output_shape(input_shape)

  def compute_output_shape(self, input_shape: SequenceOf) -> tuple:
    for part in self.parts:
      input_shape = part.compute_output_shape(input_shape)
    return tuple(input_shape)

  def largest_event(self, input_shape: SequenceOf) -> int:
    sizes = [0]
    for part in self.parts:
      sizes.append(part.largest_event(input_shape))
      input_shape = part.compute_output_shape(input_shape)
    return max(sizes)

  def tensors(self) -> tuple[Any, Any]:
    variables, state = zip(*(p.tensors() for p in self.parts), strict=True)
    return list(variables), list(state)

  def converge_norms(self, variables: Any, state: Any) -> Any:
    return [part.converge_norms(v, s) for part, v, s in zip(
        self.parts, variables, state, strict=True)]

  def effective_weights(
      self, variables: Any, norms: Any, input_scale: Any = 1.0,
      output_scale: Any = 1.0) -> Any:
    del input_scale, output_scale
    # Those of the parts: an activation hands its scales to its neighbours.
    input_scales = [1.0] * len(self.parts)
    output_scales = [1.0] * len(self.parts)
    for i in self._folded:
      output_scales[i - 1], input_scales[i + 1] = self.parts[i].scales(
          variables[i])
    return [
        [] if i in self._folded else part.effective_weights(
            variables[i], norms[i], input_scales[i], output_scales[i])
        for i, part in enumerate(self.parts)]

  def evaluate(self, weights: Any, x: tf.Tensor) -> tf.Tensor:
    for i, part in enumerate(self.parts):
      x = (part.evaluate_unscaled(x) if i in self._folded else
           part.evaluate(weights[i], x))
    return x

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    for part in self.parts:
      inputs = part(inputs)
    return inputs

  def norm_estimate(self) -> float | None:
    return lipschitz_layer.product([p.norm_estimate() for p in self.parts])

  def certificate(self, target: float = 1.0) -> lipschitz_layer.Certificate:
    # A layer that keeps to its share of the target keeps the whole below it.
    certificates = [
        p.certificate(target**(p.num_constrained / max(self.num_constrained, 1))
                     ) for p in self.parts]
    return lipschitz_layer.Certificate(
        lipschitz_layer.product([c.bound for c in certificates]),
        tuple(m for c in certificates for m in c.methods))

  def structure(self) -> Any:
    return type(self), *(part.structure() for part in self.parts)

  def get_config(self) -> dict:
    return super().get_config() | {'parts': parts_lib.serialize(self.parts)}

  @classmethod
  def from_config(cls, config: dict) -> 'Sequence':
    return cls(**parts_lib.deserialize(config))
