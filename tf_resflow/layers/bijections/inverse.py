"""A bijection turned around."""

from collections.abc import Sequence

import tensorflow as tf

from tf_resflow import errors
from tf_resflow.layers import base_layer
from tf_resflow.layers.bijections import bijection as bijection_lib
from tf_resflow.layers.bijections import composite


@base_layer.configured
class Inverse(composite.Composite):
  """`f^-1` of a bijection `f`: its passes change places.

  That of a residual block is an implicit block: `y` solves `y + g(y) = x`, and
  its slopes lie in `[1 / (1 + L), 1 / (1 - L)]` with `L = Lip(g)`. A residual
  block and such a one in turn are an implicit flow.

  Args:
    bijection: `f`. It keeps the shape of events, or is built.
    **kwargs: of `keras.layers.Layer`; `dtype` is that of `f`.

  Raises:
    InvalidValueError: if batches set weights of `f`, as they do in an ActNorm;
      forward passes do that, which an inverse makes none of.

  Example:
    >>> g = keras.Sequential([
    ...     layers.SpectralDense(32), layers.LipSwish(),
    ...     layers.SpectralDense(2)])
    >>> block = layers.Inverse(layers.ResidualBlock(g))
    >>> y, log_det = block.forward_and_log_det(tf.ones([5, 2]))
    >>> np.allclose(block.inverse(y), 1.0, atol=1e-4)
    True

  References:
    Lu et al., 2021, Implicit Normalizing Flows, Section 4.1.
  """

  def __init__(self, bijection: bijection_lib.Bijection, **kwargs):
    kwargs.setdefault('dtype', bijection.compute_dtype)
    super().__init__(**kwargs)
    names = [b.name for b in bijection.elementary() if b.is_data_dependent]
    errors.check(
        not names, 'bijection', ', '.join(names),
        'none whose weights batches set', 'Put it beside the Inverse.')
    self.bijection = bijection

  @property
  def parts(self) -> list[bijection_lib.Bijection]:
    return [self.bijection]

  def with_parts(self, parts: Sequence[bijection_lib.Bijection]
                 ) -> bijection_lib.Bijection:
    return Inverse(*parts, name=self.name, dtype=self.dtype_policy)

  def build(self, input_shape: tuple) -> None:
    shape = self.compute_output_shape(input_shape)
    base_layer.build_once(self.bijection, shape)
    found = tuple(self.bijection.compute_output_shape(shape))[1:]
    errors.check(
        found == tuple(input_shape[1:]), 'input_shape', tuple(input_shape),
        f'events {found}, which {self.bijection.name} returns')

  def compute_output_shape(self, input_shape: tuple) -> tuple:
    if not self.bijection.built:
      return tuple(input_shape)
    shape = self.bijection.get_build_config()['input_shape']
    return input_shape[0], *shape[1:]

  def forward_pass(self, x: tf.Tensor, settings: bijection_lib.PassSettings
                   ) -> bijection_lib.PassResult:
    return self.bijection.inverse_pass(x, settings)

  def inverse_pass(self, y: tf.Tensor, settings: bijection_lib.PassSettings
                   ) -> bijection_lib.PassResult:
    return self.bijection.forward_pass(y, settings)

  def slope_bounds(self) -> bijection_lib.SlopeBounds:
    bounds = self.bijection.slope_bounds()
    return bounds._replace(
        least=1.0 / bounds.greatest,
        greatest=1.0 / bounds.least if bounds.least else float('inf'))
