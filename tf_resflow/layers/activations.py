"""Activations with a known Lipschitz constant."""

import keras
import tensorflow as tf

# max_z d/dz [z sigmoid(z)], rounded up; swish_beta(z) = swish(beta z) / beta
# has the same maximal slope for every beta > 0.
_SWISH_MAX_SLOPE = 1.09983933


class LipschitzActivation(keras.layers.Layer):
  """An elementwise activation that states its `lipschitz_constant`.

  Example:
    >>> class Sine(layers.LipschitzActivation):
    ...   lipschitz_constant = 1.0
    ...   def call(self, inputs):
    ...     return tf.sin(inputs)
    >>> layers.known_bound(Sine())
    1.0
  """

  # A subclass that states none has an unknown constant.
  lipschitz_constant = None

  def compute_output_shape(self, input_shape):
    return input_shape


@keras.saving.register_keras_serializable('tf_resflow')
class LipSwish(LipschitzActivation):
  """LipSwish: `x sigmoid(softplus(beta) x) / 1.1`.

  Its slope is at most 1.0999 / 1.1 < 1 for every `beta`, and its second
  derivative does not vanish where the slope is close to one. Between two linear
  layers of a residual block the scales become part of their kernels, see
  `pure.prepare`.

  Args:
    beta_initial: initial value of the raw parameter, before softplus.
    **kwargs: of `keras.layers.Layer`.

  Example:
    >>> y = layers.LipSwish()(tf.constant([0.0, 1.0]))
    >>> layers.known_bound(layers.LipSwish()) < 1.0
    True

  References:
    Chen et al., 2019, Residual Flows, Section 3.3, Equation 10.
  """

  lipschitz_constant = _SWISH_MAX_SLOPE / 1.1

  def __init__(self, beta_initial=0.5, **kwargs):
    super().__init__(**kwargs)
    self.beta_initial = beta_initial

  def build(self, input_shape):
    self.beta = self.add_weight(
        name='beta', shape=(),
        initializer=keras.initializers.Constant(self.beta_initial))

  @property
  def input_scale(self):
    """`s = softplus(beta)`: the activation is `swish(s x) output_scale`."""
    # A smaller slope is 1 / 2 to rounding, and 1 / s would leave the range.
    return tf.maximum(
        tf.nn.softplus(tf.convert_to_tensor(self.beta.value)), _SMALLEST_SCALE)

  @property
  def output_scale(self):
    """`1 / (1.1 s)`, see `input_scale`."""
    return 1.0 / (1.1 * self.input_scale)

  def call(self, inputs):
    return self.output_scale * swish(self.input_scale * inputs)

  def get_config(self):
    return super().get_config() | {'beta_initial': self.beta_initial}


_SMALLEST_SCALE = 1e-12


# An elementwise operation on the hidden layers of an image flow takes about a
# quarter of the time of a matrix product with them, so there are few below.


@tf.custom_gradient
def swish(z):
  """Returns `z sigmoid(z)`, differentiable twice at little cost.

  A log-determinant takes many vector-Jacobian products at one point. The
  derivative is a tensor of the linearisation, so each of them costs one
  product.

  Args:
    z: a tensor.
  """
  y, derivative = _value_and_derivative(z)
  return y, lambda dy: dy * derivative


@tf.custom_gradient
def _value_and_derivative(z):
  """Returns `y = z s` and `D = s + z s (1 - s)` with `s = sigmoid(z)`.

  `z s (1 - s) = D - s` turns the second derivative
  `s (1 - s) (2 + z (1 - 2 s))` into `s + D - 2 s D`.
  """
  sigmoid = tf.sigmoid(z)
  # SigmoidGrad(s, t) = t s (1 - s), in one operation.
  derivative = sigmoid + tf.raw_ops.SigmoidGrad(y=sigmoid, dy=z)

  def backward(dy, dderivative):
    # dy D + dD (s + D - 2 s D), in few passes.
    product = dderivative * sigmoid
    return derivative * (
        (dy + dderivative) - (product + product)) + product

  return (z * sigmoid, derivative), backward


@keras.saving.register_keras_serializable('tf_resflow')
class ELU(LipschitzActivation):
  """ELU with alpha = 1: `x` for `x > 0`, `exp(x) - 1` otherwise; slope <= 1.

  Example:
    >>> layers.ELU()(tf.constant([0.0, 2.0])).numpy().tolist()
    [0.0, 2.0]

  References:
    Behrmann et al., 2019, Invertible Residual Networks, Section 5.
  """

  lipschitz_constant = 1.0

  def call(self, inputs):
    return tf.nn.elu(inputs)


@keras.saving.register_keras_serializable('tf_resflow')
class Softplus(LipschitzActivation):
  """`log(1 + exp(x))`; slope `sigmoid(x) < 1`.

  Example:
    >>> y = layers.Softplus()(tf.constant([0.0, 2.0]))
  """

  lipschitz_constant = 1.0

  def call(self, inputs):
    return tf.nn.softplus(inputs)


@keras.saving.register_keras_serializable('tf_resflow')
class ReLU(LipschitzActivation):
  """`max(x, 0)`; slope at most 1, second derivative 0.

  Log-determinant gradients need second derivatives, which vanish here: such
  flows train badly (Chen et al., 2019, Section 3.3).

  Example:
    >>> layers.ReLU()(tf.constant([-1.0, 2.0])).numpy().tolist()
    [0.0, 2.0]
  """

  lipschitz_constant = 1.0

  def call(self, inputs):
    return tf.nn.relu(inputs)


@keras.saving.register_keras_serializable('tf_resflow')
class Identity(LipschitzActivation):
  """`x`; for ablations, the block is then affine.

  Example:
    >>> layers.Identity()(tf.constant([-1.0, 2.0])).numpy().tolist()
    [-1.0, 2.0]
  """

  lipschitz_constant = 1.0

  def call(self, inputs):
    return inputs


@keras.saving.register_keras_serializable('tf_resflow')
class LipschitzCube(LipschitzActivation):
  """`x^3 / 3` for `|x| < 1`, continued with slope 1: `x - 2 sign(x) / 3`.

  Its slope is `min(x^2, 1)`. One of the activations that the authors' code
  offers; the paper does not describe it.

  Example:
    >>> y = layers.LipschitzCube()(tf.constant([0.0, 3.0]))  # [0, 7/3]
  """

  lipschitz_constant = 1.0

  def call(self, inputs):
    inner = tf.clip_by_value(inputs, -1.0, 1.0)
    return inner**3 / 3.0 + (inputs - inner)


_ACTIVATIONS = {
    'lipswish': LipSwish, 'elu': ELU, 'softplus': Softplus, 'relu': ReLU,
    'identity': Identity, 'lipschitz_cube': LipschitzCube}


def activation_names():
  """Returns the names that `make_activation` knows.

  Example:
    >>> layers.activation_names()
    ('lipswish', 'elu', 'softplus', 'relu', 'identity', 'lipschitz_cube')
  """
  return tuple(_ACTIVATIONS)


def make_activation(activation, **kwargs):
  """Returns a new activation layer.

  Args:
    activation: one of `activation_names()`.
    **kwargs: of the layer, such as `name` and `dtype`.

  Raises:
    ValueError: if the name is unknown.

  Example:
    >>> layers.make_activation('elu', name='first').name
    'first'
  """
  if activation not in _ACTIVATIONS:
    raise ValueError(
        f'activation is {activation!r}; expected one of '
        f'{", ".join(_ACTIVATIONS)}.')
  return _ACTIVATIONS[activation](**kwargs)
