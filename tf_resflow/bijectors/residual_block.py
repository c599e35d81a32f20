"""Residual block as a TFP bijector."""

from tf_resflow import layers
from tf_resflow.bijectors import layer_bijector


class ResidualBlock(layer_bijector.LayerBijector):
  """`forward(x) = x + g(x)` with `Lip(g) < 1`; the inverse is a fixed point.

  Args:
    g: a Keras layer or model that maps events to events of the same shape,
      example by example and deterministically, or a `layers.ResidualBlock`
      (whose own settings then hold).
    log_det: estimator of the log-determinant, `numerics.RussianRoulette` by
      default: unbiased, drawn afresh at every call.
    solver: solver of the inverse, `numerics.Anderson()` by default.
    memory: memory mode of the gradient, see `numerics.MEMORY_MODES`.
    lipschitz_bound: asserts the bound of a `g` whose bound is not known.
    event_shape: shape of one event; needed unless `g` states its input shape.
    seed: Python int or int32 `[2]` that fixes the draws of every call; None
      draws afresh.
    caching: see `LayerBijector`.
    name: of the bijector.

  Raises:
    ValueError: see `layers.ResidualBlock`; also if the shape of the events is
      not known, or settings are given beside those of a `layers.ResidualBlock`.

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
      self, g, log_det=None, solver=None, memory='recompute',
      lipschitz_bound=None, event_shape=None, seed=None,
      caching=True, name='residual_block'):
    parameters = dict(locals())
    if isinstance(g, layers.ResidualBlock):
      given = (log_det, solver, lipschitz_bound)
      if any(v is not None for v in given) or memory != 'recompute':
        raise ValueError(
            f'{name}: g is a layers.ResidualBlock, whose own log_det, solver, '
            'memory and lipschitz_bound hold; set them there.')
      layer = g
    else:
      layer = layers.ResidualBlock(
          g, log_det=log_det, solver=solver, memory=memory,
          lipschitz_bound=lipschitz_bound)
    if event_shape is None:
      event_shape = _known_event_shape(layer.g)
    if event_shape is None:
      raise ValueError(
          f'{name}: the shape of one event is not known from g '
          f'({layer.g.name!r}). Pass event_shape= (without the batch axis), or '
          'start g with a keras.Input.')
    super().__init__(
        layer, event_shape=event_shape, event_ndims=len(event_shape),
        seed=seed, caching=caching, name=name, parameters=parameters)


def _known_event_shape(g):
  """Returns the event shape that a built Keras model states, or None."""
  shape = getattr(g, 'input_shape', None) if g.built else None
  return None if shape is None or None in shape[1:] else shape[1:]
