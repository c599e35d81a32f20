"""The interface of Lipschitz layers."""

from collections.abc import Callable, Iterable, Sequence
import json
import math
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from tf_resflow import numerics
from tf_resflow.layers import base_layer
from tf_resflow.layers.base_layer import Tensors

# Sources of a bound, the strongest first: it holds for all weights, or for the
# present ones; a search found nothing above it; a user asserts it; none.
ESTIMATED = 'estimate'
BOUND_SOURCES = ('construction', 'weights', ESTIMATED, 'assertion', 'nothing')


class LipschitzLayer(base_layer.BaseLayer):
  """A layer with a known Lipschitz bound, from one norm to another.

  `|f(x) - f(x')|_q <= lipschitz_bound |x - x'|_p` at every call, whatever the
  weights: every evaluation normalises the present weights, so no training loop
  has to. A layer consists of three pure functions,

    norms   = converge_norms(variables, state)     iterations, not
                                                   differentiated
    weights = effective_weights(variables, norms)  differentiable
    y       = evaluate(weights, x, *context)       example by example

  so that a residual block can compute the first once per pass and the last as
  often as a series or a solver needs; `call` computes all three. `variables`,
  `state`, `norms` and `weights` are nested lists of tensors. Subclasses define
  `lipschitz_bound` and `evaluate`, and the others if weights are normalised.

  The bound of a layer that takes a condition `c` holds in `x` for every `c`.
  What it computes from `c` once per pass, tensors `[B, ...]`, is its
  `context(c)`; other layers ignore it, and have `evaluate(weights, x)`.

  Attributes:
    domain: the order `p` of the norm of inputs; None if the bound holds for
      every order, with `q = p`, as for elementwise activations; a
      `LearnedOrder` if it is learned.
    codomain: the order `q` of the norm of outputs, likewise.
    learns_orders: whether these are learned, see `LearnedNorms`.
    lipschitz_bound: the bound; None if it is unknown.
    bound_source: the source of the bound, one of `BOUND_SOURCES`.
    is_translation: whether it is `x -> x + shift`, and takes an `output_scale`
      that the layer before it has multiplied `x` by.
    num_constrained: number of linear maps in it whose norm is bounded.
    num_multiply_adds: number of multiply-adds of such a map per example, zero
      padding included; 0 if negligible.
    num_outputs: number of outputs of such a map per example.
    absorbs_scales: whether `effective_weights` takes an `input_scale` and an
      `output_scale`, 1 by default, for the weights of
      `x -> output_scale f(input_scale x)`.
    target_device: the device type, 'CPU' or 'GPU', that convolutions and chunk
      sizes are chosen for; None for the device of the variables. To compile a
      program for another machine, set it on every layer of a model before the
      first pass.
    is_frozen: whether it has the fixed effective weights of another layer.
    has_scales: whether it is an activation with the methods of
      `ScaledActivation`.

  Example:
    >>> class Sine(layers.ElementwiseActivation):
    ...   lipschitz_bound = 1.0
    ...   def evaluate(self, weights, x):
    ...     return tf.sin(x)
    >>> Sine().certificate()
    Certificate(bound=1.0, methods=(), order=None)
  """

  domain: Any = 2.0
  codomain: Any = 2.0
  learns_orders = False
  lipschitz_bound: float | None = None
  bound_source = 'construction'
  is_translation = False
  num_constrained = 0
  num_multiply_adds = 0
  num_outputs = 0
  absorbs_scales = False
  target_device: str | None = None
  is_frozen = False
  has_scales = False

  @property
  def is_proven(self) -> bool:
    """Whether the bound is proven, neither an estimate nor an assertion."""
    return self.bound_source in BOUND_SOURCES[:2]

  @property
  def takes_condition(self) -> bool:
    """Whether it depends on a condition beside its input."""
    return bool(self.conditional_layers())

  @property
  def norm_state(self) -> Sequence[keras.Variable]:
    """Variables that speed up the convergence of norms."""
    return ()

  def tensors(self) -> tuple[Tensors, Tensors]:
    """Returns the values of the variables, and those of `norm_state`."""
    state = {id(v) for v in self.norm_state}
    return ([tf.convert_to_tensor(v.value) for v in self.variables
             if id(v) not in state],
            [tf.convert_to_tensor(v.value) for v in self.norm_state])

  def converge_norms(self, variables: Tensors, state: Tensors) -> Tensors:
    """Returns the norms of `tensors`, by iterations until they converge."""
    return []

  def effective_weights(self, variables: Tensors, norms: Tensors) -> Tensors:
    """Returns the normalised weights, given the result of `converge_norms`."""
    return variables

  def evaluate(self, weights: Tensors, x: tf.Tensor,
               *context: tf.Tensor) -> tf.Tensor:
    """Evaluates the layer with given effective weights.

    Args:
      weights: the result of `effective_weights`.
      x: `[B, ...]`.
      *context: the result of the method `context`.
    """
    raise NotImplementedError

  def context(self, condition: Any) -> tuple[tf.Tensor, ...]:
    """Returns the tensors that are computed from a condition, for `evaluate`.

    One for each of the `conditional_layers`, `[B, ...]`, or `[1, ...]` for all
    examples.

    Args:
      condition: `[B, K]`, or `[1, K]`.
    """
    return ()

  def conditional_layers(self) -> list['LipschitzLayer']:
    """Returns the layers within that take the condition, in order."""
    return []

  def as_function(self, max_examples: Callable[[], int | None]
                  ) -> numerics.ResidualFunction:
    """Returns the layer as a `ResidualFunction`, for series and solvers."""
    return numerics.ResidualFunction(
        self.evaluate, converge_norms=self.converge_norms,
        effective_weights=self.effective_weights, max_examples=max_examples)

  def present_weights(self) -> Tensors:
    """Returns the effective weights of the present variables."""
    variables, state = self.tensors()
    return self.effective_weights(
        variables, self.converge_norms(variables, state))

  def call(self, inputs: tf.Tensor, condition: Any = None) -> tf.Tensor:
    return self.evaluate(self.present_weights(), inputs, *(
        base_layer.as_batch(t, inputs) for t in self.context(condition)))

  def norm_estimate(self) -> float | None:
    """Returns an estimate of the Lipschitz constant for the present weights.

    By power iteration from below, to a relative 1e-3, for linear layers; the
    bound itself for activations. That of a container is combined from those of
    its parts like its bound, such as their product, which usually exceeds its
    Lipschitz constant. None if it is unknown, the default of layers that are
    constrained.
    """
    return None if self.num_constrained else self.lipschitz_bound

  def certificate(self, target: float = 1.0) -> numerics.Certificate:
    """Returns a guaranteed upper bound for the present weights.

    Args:
      target: a sufficient bound; below it no slower method is tried.
    """
    return numerics.Certificate(self.lipschitz_bound)

  def constrained_layers(self) -> list['LipschitzLayer']:
    """Returns all linear layers within whose norms are constrained."""
    return [self] if self.num_constrained else []

  def save_norms(self, searches: bool | tf.Tensor = True) -> tf.Tensor:
    """Stores `norm_state` for the present weights, which saves time later.

    Args:
      searches: whether larger norms are searched, unless they were for the
        present weights, and not only followed from the stored ones; may be a
        tensor. Steps of an optimizer are small, so a search after some of them
        is enough. Calls of the layer take what is stored for the present
        weights, and search if there is nothing.

    Returns:
      The number of iterations, an int32 scalar.
    """
    return tf.constant(0)

  def max_activation_size(self, input_shape: tuple) -> int:
    """Returns the size per example of the largest intermediate tensor."""
    return math.prod(self.compute_output_shape(input_shape)[1:])

  @property
  def is_on_cpu(self) -> bool:
    """Whether computations are chosen for a CPU; see `target_device`."""
    if self.target_device is not None:
      return self.target_device == 'CPU'
    return not tf.config.list_logical_devices('GPU') or not any(
        'GPU' in v.value.device for v in self.variables)

  def settings_key(self) -> Any:
    """Returns a key of its configuration, without names and seeds of layers."""
    try:
      text = json.dumps(self.get_config(), default=str)
    except NotImplementedError:
      return self  # Without a known configuration it is like no other.
    return json.dumps(json.loads(text, object_hook=_anonymous), sort_keys=True)

  def structure(self) -> Any:
    """Returns a key that layers share if they are equal but for weights."""
    return (type(self), self.is_on_cpu, str([v.shape for v in self.variables]),
            self.settings_key())


def _anonymous(config):
  """Returns a configuration without the name and the seed of a layer."""
  left_out = ('name', 'seed') if 'trainable' in config else ()
  return {k: v for k, v in config.items() if k not in left_out}


class ElementwiseActivation(LipschitzLayer):
  """An elementwise activation: its largest slope bounds it in every l_p."""

  domain = codomain = None


class ScaledActivation(LipschitzLayer):
  """An activation `x -> b h(a x)`.

  Between two linear layers that absorb scales, `a` and `b` become part of their
  weights, and the activation only computes `h`: two passes less over a hidden
  layer.
  """

  has_scales = True

  def scales(self, variables: Tensors) -> tuple[Any, Any]:
    """Returns `a` and `b`."""
    raise NotImplementedError

  def evaluate_unscaled(self, x: tf.Tensor) -> tf.Tensor:
    """Returns `h(x)`."""
    raise NotImplementedError

  def evaluate(self, weights: Tensors, x: tf.Tensor) -> tf.Tensor:
    input_scale, output_scale = self.scales(weights)
    return output_scale * self.evaluate_unscaled(input_scale * x)


class Constraint(NamedTuple):
  """The constrained linear layers of networks, as registered under a name.

  Attributes:
    dense: `dense(units, coeff=, seed=, name=, dtype=)` returns a
      `LipschitzLayer` on vectors.
    conv2d: `conv2d(filters, kernel_size, coeff=, seed=, name=, dtype=)` returns
      one on images; None if there is none.
    takes_orders: whether both also take `domain=`, `codomain=` and `bound=`,
      like induced-norm layers; otherwise bounds hold in l_2.
  """

  dense: Callable
  conv2d: Callable | None = None
  takes_orders: bool = False


def weakest_source(sources: Iterable[str]) -> str:
  """Returns the source of a bound that follows from those of these sources."""
  return max(sources, key=BOUND_SOURCES.index, default=BOUND_SOURCES[0])
