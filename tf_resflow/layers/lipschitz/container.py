"""Lipschitz layers that are composed of others, such as a sequence."""

from collections.abc import Iterable, Sequence
import functools
import itertools
import math
from typing import Any

import keras
import tensorflow as tf

from tf_resflow import errors
from tf_resflow import numerics
from tf_resflow.layers import base_layer
from tf_resflow.layers.base_layer import Tensors
from tf_resflow.layers.lipschitz import lipschitz_layer


class LipschitzContainer(
    base_layer.Composition, lipschitz_layer.LipschitzLayer):
  """A network of Lipschitz layers, `parts`.

  Subclasses set `parts`, by the constructor or later in theirs, and define
  `combine`, the one rule from which the bound, the estimate and the certificate
  follow, and `evaluate`. Its `weights` are a list with the weights of each part
  and then the variables of the container itself, one entry each; its `context`
  has the tensors of the parts in their order. By default every part has the
  input of the network, and they have equal output shapes; otherwise subclasses
  define `shapes`.

  Example:
    >>> @layers.configured
    ... class Scaled(layers.LipschitzContainer):
    ...   def __init__(self, part, scale=0.5, **kwargs):
    ...     super().__init__([part], **kwargs)
    ...     self.part, self.scale = part, scale
    ...   def combine(self, constants):
    ...     return self.scale * constants[0]
    ...   def evaluate(self, weights, x, *context):
    ...     return self.scale * self.part.evaluate(weights[0], x, *context)
    >>> Scaled(layers.SpectralDense(2, coeff=0.9)).lipschitz_bound
    0.45
  """

  def combine(self, constants: Sequence[float]) -> float:
    """Returns the Lipschitz constant, which must increase with each part's."""
    raise NotImplementedError

  def _combined(self, constants):
    return None if None in constants else self.combine(constants)

  @functools.cached_property
  def lipschitz_bound(self) -> float | None:
    return self._combined([part.lipschitz_bound for part in self.parts])

  @functools.cached_property
  def bound_source(self) -> str:
    return lipschitz_layer.weakest_source(
        part.bound_source for part in self.parts)

  @functools.cached_property
  def num_constrained(self) -> int:
    return sum(part.num_constrained for part in self.parts)

  def norm_estimate(self) -> float | None:
    return self._combined([part.norm_estimate() for part in self.parts])

  def certificate(self, target: float = 1.0) -> numerics.Certificate:
    # A layer that keeps to its share of the target keeps a product below it.
    certificates = [
        p.certificate(target**(p.num_constrained / max(self.num_constrained, 1))
                      ) for p in self.parts]
    return numerics.Certificate(
        self._combined([c.bound for c in certificates]),
        tuple(m for c in certificates for m in c.methods))

  def constrained_layers(self) -> list[lipschitz_layer.LipschitzLayer]:
    return [c for part in self.parts for c in part.constrained_layers()]

  def conditional_layers(self) -> list[lipschitz_layer.LipschitzLayer]:
    return [c for part in self.parts for c in part.conditional_layers()]

  def context(self, condition: Any) -> tuple:
    return tuple(t for part in self.parts for t in part.context(condition))

  @property
  def _own_variables(self) -> Sequence[keras.Variable]:
    """Variables that no part has."""
    of_parts = {id(v) for part in self.parts for v in part.variables}
    return [v for v in self.variables if id(v) not in of_parts]

  def tensors(self) -> tuple[Tensors, Tensors]:
    variables, state = zip(*(p.tensors() for p in self.parts), strict=True)
    return [*variables, *(tf.convert_to_tensor(v.value)
                          for v in self._own_variables)], list(state)

  def converge_norms(self, variables: Tensors, state: Tensors) -> Tensors:
    return [part.converge_norms(v, s) for part, v, s in zip(
        self.parts, variables, state, strict=False)]

  def effective_weights(self, variables: Tensors, norms: Tensors) -> Tensors:
    return [*(part.effective_weights(v, n) for part, v, n in zip(
        self.parts, variables, norms, strict=False)),
            *variables[len(self.parts):]]

  def shapes(self, input_shape: tuple) -> Iterable[tuple]:
    """Returns the input shapes of all parts, then the output shape."""
    shapes = {tuple(part.compute_output_shape(input_shape))
              for part in self.parts}
    errors.check(len(shapes) == 1, 'parts', f'outputs {sorted(shapes)}',
                 'equal output shapes', f'Define {type(self).__name__}.shapes.')
    return *(input_shape for _ in self.parts), *shapes

  def max_activation_size(self, input_shape: tuple) -> int:
    *shapes, output_shape = self.shapes(input_shape)
    return max([math.prod(output_shape[1:]), *(
        part.max_activation_size(shape)
        for part, shape in zip(self.parts, shapes, strict=True))])

  def structure(self) -> tuple:
    return (type(self), self.settings_key(),
            str([v.shape for v in self._own_variables]),
            *(part.structure() for part in self.parts))


@base_layer.configured
class LipschitzSequential(LipschitzContainer):
  """The composition of Lipschitz layers; its bound is the product of theirs.

  Its domain is that of the first layer and its codomain that of the last, and
  neighbours must agree: the codomain of one is the domain of the next. Scales
  of a `ScaledActivation` between two linear layers, with translations before it
  or not, become part of their weights.

  Args:
    parts: the layers, the first one applied first.

  Raises:
    InvalidValueError: if the dtypes of the parts differ, or the norms of
      neighbours.
  """

  def __init__(self, parts: Sequence[lipschitz_layer.LipschitzLayer], **kwargs):
    super().__init__(parts, **kwargs)
    self.domain = self.codomain = None
    for part in parts:
      errors.check(
          self.codomain is None or part.domain in (None, self.codomain),
          'domain', part.domain,
          f'{self.codomain}, the codomain of the layer before {part.name}')
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

  def combine(self, constants: Sequence[float]) -> float:
    return math.prod(constants)

  _own_variables = ()
  shapes = base_layer.Composition.shapes

  def structure(self) -> tuple:
    return type(self), *(part.structure() for part in self.parts)

  def effective_weights(self, variables: Tensors, norms: Tensors) -> Tensors:
    # Neighbours of an activation absorb its scales.
    scales: list[dict[str, Any]] = [{} for _ in self.parts]
    for i, before in self._folded.items():
      a, b = self.parts[i].scales(variables[i])  # Of x -> b h(a x).
      scales[i + 1]['input_scale'] = b
      for k in before:
        scales[k]['output_scale'] = a
    return [
        [] if i in self._folded else part.effective_weights(
            variables[i], norms[i], **scales[i])
        for i, part in enumerate(self.parts)]

  def evaluate(self, weights: Tensors, x: tf.Tensor,
               *context: tf.Tensor) -> tf.Tensor:
    tensors = iter(context)
    for i, part in enumerate(self.parts):
      x = part.evaluate_unscaled(x) if i in self._folded else part.evaluate(
          weights[i], x, *itertools.islice(tensors, self._num_contexts[i]))
    return x

  def call(self, inputs: tf.Tensor, condition: Any = None) -> tf.Tensor:
    for part in self.parts:
      inputs = base_layer.call_with(part, inputs, condition)
    return inputs
