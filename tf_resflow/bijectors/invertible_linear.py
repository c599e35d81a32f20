"""Invertible linear maps as TFP bijectors."""

from collections.abc import Sequence

from tf_resflow import layers
from tf_resflow.bijectors import layer_bijector


class _MatrixBijector(layer_bijector.LayerBijector):
  """What both have in common: the layer's arguments."""

  _layer_class: type[layers.Bijection]
  _default_name: str

  def __init__(
      self, event_shape: Sequence[int], parameterization: str = 'free',
      seed: int | None = None,
      initial_matrix: Sequence[Sequence[float]] | None = None,
      dtype: str = 'float32', layer: layers.Bijection | None = None,
      caching: bool = True, name: str | None = None):
    # A `copy` of the bijector shares the layer.
    layer = layer or self._layer_class(
        parameterization, seed, initial_matrix, dtype=dtype)
    super().__init__(
        layer, event_shape, caching=caching, name=name or self._default_name,
        parameters=locals())


class InvertibleLinear(_MatrixBijector):
  """`forward(x) = W x` of an event as a vector; `W` is trained.

  See `layers.InvertibleLinear`.

  Args:
    event_shape: shape of one event, such as `[D]`.
    parameterization: 'free' or 'lu', what is trained.
    seed: Python int that makes the first matrix, a random permutation,
      deterministic.
    initial_matrix: the first matrix `[D, D]`, in place of a permutation.
    dtype: float32 or float64.
    layer: a `layers.InvertibleLinear` to adapt, in place of a new one.
    caching: see `LayerBijector`.
    name: of the bijector.

  Example:
    >>> linear = bijectors.InvertibleLinear(
    ...     [2], initial_matrix=[[0.0, 2.0], [1.0, 0.0]])
    >>> linear.forward([[3.0, 4.0]]).numpy().tolist()
    [[8.0, 3.0]]

  References:
    Kingma and Dhariwal, 2018, Glow, Section 3.2.
  """

  _layer_class = layers.InvertibleLinear
  _default_name = 'invertible_linear'


class InvertibleConv1x1(_MatrixBijector):
  """`forward(x) = W x` of the channels of every pixel; `W` is trained.

  See `layers.InvertibleConv1x1`.

  Args:
    event_shape: `[H, W, C]`.
    parameterization: 'free' or 'lu', what is trained.
    seed: Python int that makes the first matrix, a random permutation,
      deterministic.
    initial_matrix: the first matrix `[C, C]`, in place of a permutation.
    dtype: float32 or float64.
    layer: a `layers.InvertibleConv1x1` to adapt, in place of a new one.
    caching: see `LayerBijector`.
    name: of the bijector.

  Example:
    >>> bijectors.InvertibleConv1x1([4, 4, 3], 'lu').forward(
    ...     tf.zeros([5, 4, 4, 3])).shape
    TensorShape([5, 4, 4, 3])

  References:
    Kingma and Dhariwal, 2018, Glow, Section 3.2.
  """

  _layer_class = layers.InvertibleConv1x1
  _default_name = 'invertible_conv_1x1'
