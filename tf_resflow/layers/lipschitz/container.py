"""Lipschitz layers that are made of others."""

from collections.abc import Sequence
import functools
from typing import Any

import tensorflow as tf

from tf_resflow.layers import base_layer
from tf_resflow.layers.lipschitz import lipschitz_layer


class Container(lipschitz_layer.LipschitzLayer):
  """A network of Lipschitz layers, `parts`.

  Subclasses keep the layers in `parts` and define `combine`, the one rule from
  which the bound, the estimate and the certificate follow, and `evaluate`,
  whose weights are a list with those of each part, and whose context follows
  the order of the parts. Where a part does not see the input, `largest_event`
  is theirs to define, too.

  Example:
    >>> class Half(layers.Container):
    ...   def __init__(self, part, **kwargs):
    ...     super().__init__(dtype=part.dtype_policy, **kwargs)
    ...     self.parts = [part]
    ...   def combine(self, constants):
    ...     return 0.5 * constants[0]
    ...   def evaluate(self, weights, x, *context):
    ...     return 0.5 * self.parts[0].evaluate(weights[0], x, *context)
    >>> Half(layers.SpectralDense(2, coeff=0.9)).lipschitz_bound
    0.45
  """

  parts: Sequence[lipschitz_layer.LipschitzLayer]

  def combine(self, constants: Sequence[float]) -> float:
    """Returns a Lipschitz constant, given one of each part.

    Args:
      constants: bounds, or estimates from below; it increases with each.
    """
    raise NotImplementedError

  def _combined(self, constants):
    return None if None in constants else self.combine(constants)

  @functools.cached_property
  def lipschitz_bound(self) -> float | None:
    return self._combined([part.lipschitz_bound for part in self.parts])

  @functools.cached_property
  def known_by(self) -> str:
    return lipschitz_layer.least_known(part.known_by for part in self.parts)

  @functools.cached_property
  def num_constrained(self) -> int:
    return sum(part.num_constrained for part in self.parts)

  @functools.cached_property
  def takes_condition(self) -> bool:
    return any(part.takes_condition for part in self.parts)

  def norm_estimate(self) -> float | None:
    return self._combined([part.norm_estimate() for part in self.parts])

  def certificate(self, target: float = 1.0) -> lipschitz_layer.Certificate:
    # A layer that keeps to its share of the target keeps a product below it.
    certificates = [
        p.certificate(target**(p.num_constrained / max(self.num_constrained, 1))
                      ) for p in self.parts]
    return lipschitz_layer.Certificate(
        self._combined([c.bound for c in certificates]),
        tuple(m for c in certificates for m in c.methods))

  def constrained_layers(self) -> list[lipschitz_layer.LipschitzLayer]:
    return [c for part in self.parts for c in part.constrained_layers()]

  def conditional_layers(self) -> list[lipschitz_layer.LipschitzLayer]:
    return [c for part in self.parts for c in part.conditional_layers()]

  def context(self, condition: Any) -> tuple:
    return tuple(t for part in self.parts for t in part.context(condition))

  def tensors(self) -> tuple[base_layer.Tensors, base_layer.Tensors]:
    variables, state = zip(*(p.tensors() for p in self.parts), strict=True)
    return list(variables), list(state)

  def converge_norms(self, variables: base_layer.Tensors,
                     state: base_layer.Tensors) -> base_layer.Tensors:
    return [part.converge_norms(v, s) for part, v, s in zip(
        self.parts, variables, state, strict=True)]

  def effective_weights(
      self, variables: base_layer.Tensors, norms: base_layer.Tensors,
      *unused_scales: float) -> base_layer.Tensors:
    return [part.effective_weights(v, n) for part, v, n in zip(
        self.parts, variables, norms, strict=True)]

  def call(self, inputs: tf.Tensor, condition: Any = None) -> tf.Tensor:
    context = self.context(condition) if self.takes_condition else ()
    return self.evaluate(self.present_weights(), inputs, *(
        base_layer.as_batch(t, inputs) for t in context))

  def largest_event(self, input_shape: tuple) -> int:
    return max(part.largest_event(input_shape) for part in self.parts)

  def structure(self) -> tuple:
    return type(self), *(part.structure() for part in self.parts)
