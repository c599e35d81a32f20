"""Types with one defect each, which a check must find; and the sound ones."""

import itertools

import keras
import tensorflow as tf

from tests import networks
from tf_resflow import bijectors
from tf_resflow import layers
from tf_resflow.checks import running


def finds(make, check, problem):
  """Asserts that a check says what of a type is wrong."""
  subject = running.subjects.Subject('planted', running.case_of(make, (3,)))
  found = running.problem_of(running.ALL[check.__name__], subject)
  assert found and problem in found, found


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


class Dense(layers.SpectralDense):
  """A dense layer of three units, sound."""

  def __init__(self, dtype=None, **kwargs):
    super().__init__(**{'units': 3, 'coeff': 0.9, 'seed': 1} | kwargs,
                     dtype=dtype)


class Block(layers.ResidualBlock):
  """A residual block, sound."""

  def __init__(self, g=None, *arguments, dtype=None, **kwargs):
    super().__init__(g or networks.dense_g(dtype), *arguments, **kwargs)


# Lipschitz layers.


class Steep(layers.ElementwiseActivation):
  """Its slope is 1.2 where it is stated to be 1."""

  lipschitz_bound = 1.0

  def evaluate(self, weights, x):
    return 1.2 * tf.tanh(x)


class KeepsItsWeights(Dense):
  """Evaluates its own bias, whatever it is given."""

  def evaluate(self, weights, x, *context):
    y = super().evaluate(weights, x, *context)
    return y - weights[-1] + self.bias


class MisstatesItsShape(layers.ElementwiseActivation):
  """States one output more."""

  lipschitz_bound = 1.0

  def evaluate(self, weights, x):
    return tf.tanh(x)

  def compute_output_shape(self, input_shape):
    return *input_shape[:-1], input_shape[-1] + 1


class CountsCalls(Dense):
  """A call changes a variable."""

  def call(self, inputs, *args, **kwargs):
    self.bias.assign_add(tf.ones_like(self.bias.value))
    return super().call(inputs, *args, **kwargs)


class StopsGradients(Dense):
  """Its bias gets no gradient."""

  def evaluate(self, weights, x, *context):
    return super().evaluate(
        [*weights[:-1], tf.stop_gradient(weights[-1])], x, *context)


# Bijections.


class WrongSign(Scale):
  """Its log-determinant has the wrong sign."""

  def log_det(self, x):
    return -super().log_det(x)


class WrongInverse(Scale):
  """Its inverse is wrong by a thousandth."""

  def inverse_pass(self, y, settings):
    return super().inverse_pass(1.001 * y, settings)


class TightBounds(Scale):
  """States slopes that it exceeds."""

  slopes = layers.BiLipschitzBounds(0.99, 1.01)


class NoGradient(Block):
  """Its log-determinant has no gradient."""

  def forward_pass(self, x, settings):
    result = super().forward_pass(x, settings)
    return result._replace(log_det=tf.stop_gradient(result.log_det))


class ForgetsTheSeed(Block):
  """Draws the same at every seed."""

  def forward_pass(self, x, settings):
    return super().forward_pass(x, settings._replace(seed=7))


class Biased(Block):
  """Estimates are 1 percent too large; those without draws are right."""

  def forward_pass(self, x, settings):
    result = super().forward_pass(x, settings)
    estimator = settings.estimator or self.estimator
    return result if not estimator.is_random else result._replace(
        log_det=1.01 * result.log_det)


class HidesSolves(Block):
  """An inverse that did not converge goes on."""

  def inverse_pass(self, y, settings):
    return super().inverse_pass(y, settings)._replace(solves=())


class LosesItsArguments(Scale):
  """Its configuration lacks what it computes with."""

  def __init__(self, factor=None, **kwargs):
    super().__init__(**kwargs)
    self.factor = next(_FACTORS) if factor is None else factor

  def forward_pass(self, x, settings):
    return super().forward_pass(x * self.factor, settings)._replace(
        log_det=self.log_det(x) + self.shift(x))

  def inverse_pass(self, y, settings):
    result = super().inverse_pass(y, settings)
    return layers.PassResult(
        result.value / self.factor, result.log_det - self.shift(y))

  def shift(self, x):
    return x.shape[1] * tf.math.log(tf.cast(self.factor, x.dtype))


_FACTORS = itertools.count(2)


class HidesItsVariable(layers.Bijection):
  """Its weight is in no checkpoint: TensorFlow does not look into lists."""

  def __init__(self, **kwargs):
    super().__init__(**kwargs)
    self.held = [Scale(dtype=self.compute_dtype)]

  def build(self, input_shape):
    self.held[0].build(input_shape)

  def forward_pass(self, x, settings):
    return self.held[0].forward_pass(x, settings)

  def inverse_pass(self, y, settings):
    return self.held[0].inverse_pass(y, settings)


class FrozenFollows(Scale):
  """Its frozen copy follows the variables."""

  def frozen(self):
    return self


class OneSize(Scale):
  """Knows the batch size of the trace alone."""

  def log_det(self, x):
    return tf.fill([x.shape[0] or 4], tf.reduce_sum(self.scale))


class OneSizeInverse(Scale):
  """Its inverse knows the batch size of the trace alone."""

  def inverse_pass(self, y, settings):
    result = super().inverse_pass(y, settings)
    return result._replace(value=tf.ensure_shape(
        result.value, [4, *y.shape[1:]]))


class LeavesTheGraph(Scale):
  """Computes in Python, which XLA does not take along."""

  def forward_pass(self, x, settings):
    y = tf.numpy_function(lambda x: x, [x], x.dtype)
    return super().forward_pass(tf.ensure_shape(y, x.shape), settings)


class OfOnePrecision(Scale):
  """Its log-determinant is float32, whatever is asked for."""

  def log_det(self, x):
    return tf.cast(super().log_det(x), tf.float32)


class Disconnected(Scale):
  """Its weight gets no gradient."""

  def forward_pass(self, x, settings):
    return layers.PassResult(
        x * tf.stop_gradient(tf.exp(self.scale)),
        tf.stop_gradient(self.log_det(x)))


class SkipsMore(Scale):
  """Without log-determinants it computes something else."""

  def forward_pass(self, x, settings):
    result = super().forward_pass(x, settings)
    is_skipped = settings.estimator and settings.estimator.is_skipped
    return result._replace(value=0.5 * result.value) if is_skipped else result


class RenamesItsCopy(Scale):
  """Its frozen copy has another name."""

  def frozen(self):
    copy = super().frozen()
    copy.name = 'other'
    return copy


class OneWay(bijectors.ActNorm):
  """A bijector whose second log-determinant has the sign of the first."""

  def __init__(self, dtype=None):
    super().__init__([3], dtype=dtype)

  def _inverse_log_det_jacobian(self, y, **kwargs):
    return -super()._inverse_log_det_jacobian(y, **kwargs)


for _type in [*globals().values()]:
  if isinstance(_type, type) and issubclass(_type, keras.layers.Layer) and (
      _type.__module__ == __name__):
    keras.saving.register_keras_serializable('planted')(_type)
