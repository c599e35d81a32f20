"""Types that have every property."""

import tensorflow as tf

from tests import networks
from tests.checks.planted import defects
from tf_resflow import layers


@defects.stored
class Scale(layers.Bijection):
  """`y = exp(s) x`, sound."""

  def build(self, input_shape):
    self.scale = self.add_weight(
        name='scale', shape=input_shape[1:], initializer='zeros')

  def forward_pass(self, x, settings):
    return layers.PassResult(x * tf.exp(self.scale), self.log_det(x))

  def inverse_pass(self, y, settings):
    return layers.PassResult(y * tf.exp(-self.scale), -self.log_det(y))

  def log_det(self, x):
    return tf.fill([tf.shape(x)[0]], tf.reduce_sum(self.scale))

  def frozen(self):
    scale = tf.constant(self.scale.numpy())
    copy = type(self)(name=self.name, dtype=self.dtype_policy)
    copy.built, copy.scale = True, scale
    return copy


@defects.stored
class Dense(layers.SpectralDense):
  """A dense layer of three units, sound."""

  def __init__(self, dtype=None, **kwargs):
    super().__init__(**{'units': 3, 'coeff': 0.9, 'seed': 1} | kwargs,
                     dtype=dtype)


@defects.stored
class Block(layers.ResidualBlock):
  """A residual block, sound."""

  def __init__(self, g=None, *arguments, dtype=None, **kwargs):
    super().__init__(g or networks.dense_g(dtype), *arguments, **kwargs)


@defects.stored
class Monotone(layers.MonotoneBlock):
  """A monotone block, sound."""

  def __init__(self, g=None, *arguments, dtype=None, **kwargs):
    super().__init__(g or networks.dense_g(dtype), *arguments, **kwargs)


@defects.stored
class Conditioned(layers.Bijection):
  """`y = exp(c W) x` of conditions `[2]`, sound."""

  condition_spec = layers.ConditionSpec((2,))

  def build(self, input_shape):
    self.kernel = self.add_weight(
        name='matrix', shape=(2, input_shape[-1]), initializer='ones')

  def scales(self, condition):
    """Returns `c W`, `[B, D]` or `[1, D]`."""
    condition = self.condition_spec.convert(condition, self.compute_dtype)
    return condition @ tf.convert_to_tensor(self.kernel)

  def forward_pass(self, x, settings):
    scales = self.scales(settings.condition)
    return layers.PassResult(x * tf.exp(scales), self.log_det(x, scales))

  def inverse_pass(self, y, settings):
    scales = self.scales(settings.condition)
    return layers.PassResult(y * tf.exp(-scales), -self.log_det(y, scales))

  def log_det(self, x, scales):
    return tf.reduce_sum(scales + tf.zeros_like(x), axis=1)

  def frozen(self):
    kernel = tf.constant(self.kernel.numpy())
    copy = type(self)(name=self.name, dtype=self.dtype_policy)
    copy.built, copy.kernel = True, kernel
    return copy


@defects.stored
class Embedded(layers.VectorNetwork):
  """A network of conditions `[2]`, sound."""

  def __init__(self, dtype=None, **kwargs):
    super().__init__(
        **{'condition_size': 2, 'size': 4, 'seed': 1} | kwargs, dtype=dtype)
