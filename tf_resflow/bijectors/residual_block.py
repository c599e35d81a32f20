"""Residual block as a TFP bijector."""

from collections.abc import Sequence

import keras

from tf_resflow import errors
from tf_resflow import layers
from tf_resflow import numerics
from tf_resflow.bijectors import layer_bijector
from tf_resflow.numerics import random


class ResidualBlock(layer_bijector.LayerBijector):
  """`forward(x) = x + g(x)` with `Lip(g) < 1`; the inverse is a fixed point.

  Args:
    g: a Keras layer or model that maps events to events of the same shape,
      example by example and deterministically.
    estimator: of the log-determinant, or its spec; `RussianRoulette()` by
      default: unbiased, drawn afresh at every call.
    solver: of the inverse, or its spec; `Anderson()` by default.
    memory: memory mode of the gradient, one of `registries.MEMORY_MODES`.
    lipschitz_bound: asserts the bound of a `g` whose bound is not known.
    event_shape: shape of one event; needed unless `g` or `layer` is built.
    seed: Python int or int32 `[2]` that fixes the draws of every call; None
      draws afresh.
    layer: a `layers.ResidualBlock` to adapt, in place of a new one.
    name: of the bijector.
    condition_network: what the condition passes first, for a `g` with a
      `layers.ConditionShift` or `layers.ConditionGate`.

  Raises:
    InvalidValueError: see `layers.ResidualBlock`; also if the shape of the
      events is not known, or settings are given beside a `layer`.

  Example:
    >>> g = keras.Sequential([
    ...     layers.SpectralDense(32), layers.LipSwish(),
    ...     layers.SpectralDense(2)])
    >>> flow = bijectors.ResidualBlock(g, event_shape=[2])
    >>> density = tfd.TransformedDistribution(
    ...     tfd.MultivariateNormalDiag(tf.zeros(2)), tfb.Invert(flow))
    >>> density.log_prob(tf.ones([5, 2])).shape
    TensorShape([5])
    >>> log_prob = density.log_prob(
    ...     tf.ones([5, 2]), bijector_kwargs=dict(seed=1))
    >>> density.sample(5).shape
    TensorShape([5, 2])

  References:
    Behrmann et al., 2019; Chen et al., 2019, Theorems 1 and 2.
  """

  def __init__(
      self, g: keras.layers.Layer | None = None,
      estimator: numerics.Estimator | str | None = None,
      solver: numerics.Solver | str | None = None, memory: str | None = None,
      lipschitz_bound: float | None = None,
      event_shape: Sequence[int] | None = None, seed: random.SeedLike = None,
      layer: layers.ResidualBlock | None = None, name: str = 'residual_block',
      condition_network: layers.ConditionNetwork | None = None):
    parameters = dict(locals())
    errors.check(
        layer is None or
        (g, estimator, solver, memory, lipschitz_bound) == (None,) * 5, 'layer',
        layer and layer.name, 'no settings beside a layer, whose own hold',
        'Set them there.')
    layer = layer or layers.ResidualBlock(
        g, estimator, solver, memory or 'recompute', lipschitz_bound)
    if event_shape is None:
      event_shape = _known_event_shape(g) or _known_event_shape(layer)
    errors.check(
        event_shape is not None, 'event_shape', None,
        'the shape of one event, without the batch axis',
        f'That of {name} does not follow from g. Or start g with a '
        'keras.Input.')
    if condition_network is not None:
      layer = layers.Conditional(layer, condition_network, name=layer.name)
    super().__init__(
        layer, event_shape=event_shape, seed=seed, name=name,
        parameters=parameters)

  def certificate(self) -> layers.Certificate:
    """Returns a guaranteed upper bound of `Lip(g)` for the present weights.

    See `layers.LipschitzLayer.certificate`.
    """
    (block,) = self.layer.elementary()
    return block.certificate()


def _known_event_shape(layer):
  """Returns the event shape that a built layer was built for, or None."""
  if layer is None or not layer.built:
    return None
  shape = getattr(layer, 'input_shape', None) or (
      layer.get_build_config() or {}).get('input_shape')
  return None if shape is None or None in shape[1:] else shape[1:]
