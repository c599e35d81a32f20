"""Networks that the cases put into residual blocks, and other parts."""

import math

import keras
import tensorflow as tf

from tf_resflow import layers
from tf_resflow import models
from tf_resflow import numerics
from tf_resflow.specs import registries

# Values of `network`, with options, for small events.
SMALL_NETWORKS = ('densenet:2,growth=4', 'sll:2,width=4', 'cpl:2,width=4')


@keras.saving.register_keras_serializable('tf_resflow_tests')
class ScaledTanh(keras.layers.Layer):
  """What a user writes: `tanh(x sigmoid(scale)) / 2`, of slope 1/2 at most."""

  def build(self, input_shape):
    self.scale = self.add_weight(
        name='scale', shape=input_shape[-1:], initializer='ones')

  def call(self, inputs):
    return 0.5 * tf.tanh(inputs * tf.sigmoid(self.scale.value))


class Half(layers.LipschitzLayer):
  """`x / 2` from one stated norm to another."""

  lipschitz_bound = 0.5

  def __init__(self, domain, codomain):
    super().__init__()
    self.domain, self.codomain = domain, codomain

  def evaluate(self, weights, x):
    return 0.5 * x


@keras.saving.register_keras_serializable('tf_resflow_tests')
class LearnedNoise(layers.Augmentation):
  """`y = [x, f(e|x)]` of normal `e`, with residual blocks `f`; events `[3]`."""

  def __init__(self, **kwargs):
    super().__init__(**kwargs)
    self.q = models.VectorFlowConfig(
        event_size=2, num_blocks=2, hidden_units=(4,), estimator='fixed:2',
        condition_size=3, condition_features=4).build(self.compute_dtype)

  @property
  def parts(self):
    return [self.q.bijection]

  def augment(self, x, condition=None, *, seed=None, estimator=None):
    seed = numerics.random.as_seed(seed)
    e = numerics.random.normal(
        [tf.shape(x)[0], 2], numerics.random.fold_in(seed, 0), x.dtype)
    u, log_det = self.q.bijection.forward_and_log_det(
        e, x, seed=numerics.random.fold_in(seed, 1), estimator=estimator)
    return layers.Augmented(
        tf.concat([x, u], axis=1), log_det - self.q.base.log_prob(e))

  def project(self, y):
    return y[:, :3]

  def compute_output_shape(self, input_shape):
    return (*input_shape[:-1], input_shape[-1] + 2)


def learned_dequantization(dtype: str) -> layers.VariationalDequantization:
  """Returns one of the first of two channels with 3 levels."""
  g = layers.LipschitzSequential([
      layers.SpectralConv2D(3, 3, coeff=0.9, seed=1, dtype=dtype),
      layers.ConditionShift(4, positions=(2, 2), dtype=dtype),
      layers.Tanh(dtype=dtype),
      layers.SpectralConv2D(1, 1, coeff=0.9, seed=5, dtype=dtype)])
  return layers.VariationalDequantization(
      layers.SequentialBijection([layers.ResidualBlock(g, 'exact')]),
      keras.layers.Conv2D(4, 3, padding='same', activation='tanh', dtype=dtype,
                          kernel_initializer=keras.initializers.GlorotUniform(
                              1)), columns=[0], num_levels=3)


def learned_cells(dtype: str) -> layers.UniformDequantization:
  """Returns one with learned noise in the first of three columns."""
  noise = layers.VariationalDequantization(
      layers.ConditionalAffine(4, dtype=dtype), keras.layers.Dense(
          4, 'tanh', dtype=dtype,
          kernel_initializer=keras.initializers.GlorotUniform(1)),
      columns=[0],
      scale=layers.Standardize([1.0] * 3, [4.0] * 3, dtype=dtype))
  return layers.UniformDequantization([0], noise=noise, dtype=dtype)


def dense_g(dtype: str, activation: str = 'lipswish') -> keras.Sequential:
  """Returns a network of constrained dense layers, on events `[3]`."""
  return keras.Sequential([
      keras.Input((3,)),
      layers.SpectralDense(6, coeff=0.9, seed=1, dtype=dtype),
      registries.ACTIVATIONS.get(activation)(dtype=dtype),
      layers.SpectralDense(3, coeff=0.9, seed=5, dtype=dtype)])


def induced_g(dtype: str) -> keras.Sequential:
  """Returns a contraction in l_inf, on events `[3]`, by way of l_3."""
  return keras.Sequential([
      keras.Input((3,)),
      layers.InducedNormDense(
          6, coeff=0.9, domain=math.inf, codomain=3, seed=1, dtype=dtype),
      layers.LipSwish(dtype=dtype),
      layers.InducedNormDense(
          3, coeff=0.9, domain=3, codomain=math.inf, seed=5, dtype=dtype)])


def learned_g(dtype: str, bound: str = 'upper') -> layers.LearnedNorms:
  """Returns a contraction in a norm that it learns, on events `[3]`."""
  learned = {'domain': 'learned', 'codomain': 'learned', 'bound': bound}
  return layers.LearnedNorms([
      layers.InducedNormDense(6, coeff=0.9, seed=1, dtype=dtype, **learned),
      layers.LipSwish(dtype=dtype),
      layers.InducedNormDense(3, coeff=0.9, seed=5, dtype=dtype, **learned)])


def conv_g(dtype: str, activation: str = 'lipswish') -> keras.Sequential:
  """Returns a network of constrained convolutions, on events `[4, 4, 2]`."""
  make_activation = registries.ACTIVATIONS.get(activation)
  return keras.Sequential([
      keras.Input((4, 4, 2)),
      make_activation(dtype=dtype),
      layers.SpectralConv2D(6, 3, coeff=0.9, seed=1, dtype=dtype),
      make_activation(dtype=dtype),
      layers.SpectralConv2D(6, 1, coeff=0.9, seed=5, dtype=dtype),
      make_activation(dtype=dtype),
      layers.SpectralConv2D(2, 3, coeff=0.9, seed=9, dtype=dtype)])


def conditional_g(dtype: str) -> layers.LipschitzSequential:
  """A dense network of events `[3]` and conditions `[4]`."""
  return layers.LipschitzSequential([
      layers.SpectralDense(6, coeff=0.9, seed=1, dtype=dtype),
      layers.ConditionShift(4, dtype=dtype),
      layers.LipSwish(dtype=dtype),
      layers.SpectralDense(3, coeff=0.9, seed=5, dtype=dtype),
      layers.ConditionGate(4, dtype=dtype)])


def conditional_conv_g(dtype: str) -> layers.LipschitzSequential:
  """A network of convolutions, on events `[4, 4, 2]`, conditions `[4]`."""
  return layers.LipschitzSequential([
      layers.LipSwish(dtype=dtype),
      layers.SpectralConv2D(6, 3, coeff=0.9, seed=1, dtype=dtype),
      layers.ConditionShift(4, dtype=dtype),
      layers.LipSwish(dtype=dtype),
      layers.SpectralConv2D(2, 3, coeff=0.9, seed=9, dtype=dtype)])


def conditional_network(dtype: str) -> layers.LipschitzSequential:
  """What a coupling of events `[4]` takes, with conditions `[4]`."""
  first, second = (
      layers.KerasLayer(keras.layers.Dense(
          size, kernel_initializer=keras.initializers.GlorotUniform(seed),
          dtype=dtype)) for seed, size in ((1, 6), (2, 4)))
  return layers.LipschitzSequential([
      first, layers.ConditionShift(4, dtype=dtype), layers.Tanh(dtype=dtype),
      second])


def mixed_g(dtype):
  """A dense network on images, with a layer of Keras and a nested sequence."""
  return layers.LipschitzSequential([
      layers.Reshape((-1,), dtype=dtype),
      layers.SpectralDense(5, coeff=0.9, seed=1, dtype=dtype),
      layers.LipSwish(beta_initial=1.5, dtype=dtype),
      layers.LipschitzSequential([
          layers.SpectralDense(4, coeff=0.9, seed=5, dtype=dtype),
          layers.LipSwish(dtype=dtype)]),
      layers.as_lipschitz_layer(keras.layers.Activation('tanh', dtype=dtype)),
      layers.SpectralDense(12, coeff=0.9, seed=9, use_bias=False, dtype=dtype),
      layers.Reshape((2, 2, 3), dtype=dtype)])


def plain_network(kind, sizes, dtype: str, **kwargs) -> keras.Sequential:
  """What a user writes: two layers of Keras, the second one bare."""
  return keras.Sequential([
      kind(size, activation=activation, dtype=dtype, **kwargs,
           kernel_initializer=keras.initializers.GlorotUniform(seed))
      for seed, (size, activation) in enumerate(
          zip(sizes, ('tanh', None), strict=True))])


def moving_mean(dtype: str) -> layers.MovingMean:
  """Returns a layer with means that are not zero, on events `[2, 3, 2]`."""
  layer = layers.MovingMean(dtype=dtype)
  layers.build_once(layer, (None, 2, 3, 2))
  layer.moving_mean.assign([0.3, -0.5])
  return layer


def _linear(kind, *sizes, **settings):
  return lambda dtype: kind(*sizes, seed=1, dtype=dtype, **settings)


# Cases of linear layers: what makes one, and the shape of an event.
LINEAR = {
    'spectral_dense': (_linear(layers.SpectralDense, 3), (5,)),
    'spectral_conv': (_linear(layers.SpectralConv2D, 3, 3), (4, 5, 2)),
    'spectral_conv_narrow': (
        _linear(layers.SpectralConv2D, 1, (3, 5)), (4, 5, 3)),
    'spectral_conv_1x1': (_linear(layers.SpectralConv2D, 3, 1), (4, 4, 2)),
    'induced_rows': (_linear(
        layers.InducedNormDense, 3, domain=1.5, codomain=math.inf), (5,)),
    'induced_columns': (_linear(
        layers.InducedNormDense, 3, domain=1, codomain=2), (5,)),
    'induced_spectral': (_linear(layers.InducedNormDense, 3), (5,)),
    'induced_upper': (_linear(
        layers.InducedNormDense, 3, domain=3, codomain=1.5), (5,)),
    'induced_estimate': (_linear(
        layers.InducedNormDense, 3, domain=1.5, codomain=3, bound='estimate'),
                         (5,)),
    'induced_conv_rows': (_linear(
        layers.InducedNormConv2D, 3, 3, domain=math.inf, codomain=math.inf),
                          (2, 3, 2)),
    'induced_conv_upper': (_linear(
        layers.InducedNormConv2D, 2, 3, domain=1.5, codomain=3), (3, 4, 2)),
    'induced_conv_1x1': (_linear(
        layers.InducedNormConv2D, 3, 1, domain=3, codomain=1.5), (3, 4, 2)),
    'induced_released': (_linear(
        layers.InducedNormConv2D, 3, 1, coeff=0.5, domain=1.5, codomain=3,
        bound='released'), (3, 4, 2)),
    'learned_norms': (learned_g, (3,)),
    'sequence_induced': (
        lambda dtype: layers.as_lipschitz_layer(induced_g(dtype)), (3,)),
}
