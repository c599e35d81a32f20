"""Lipschitz layers that lack one property each."""

import tensorflow as tf

from tests.checks.planted import defects
from tests.checks.planted import sound
from tf_resflow import layers
from tf_resflow.checks import gradients
from tf_resflow.checks import lipschitz_layers


@defects.lacks(lipschitz_layers.no_slope_exceeds_the_bound_or_the_certificate,
               'slopes reach 1.2; lipschitz_bound is 1,')
class Steep(layers.ElementwiseActivation):
  """Its slope is 1.2 where it is stated to be 1."""

  lipschitz_bound = 1.0

  def evaluate(self, weights, x):
    return 1.2 * tf.tanh(x)


@defects.lacks(lipschitz_layers.pure_parts_know_only_the_structure,
               'y of another layer is')
class KeepsItsWeights(sound.Dense):
  """Evaluates its own bias, whatever it is given."""

  def evaluate(self, weights, x, *context):
    y = super().evaluate(weights, x, *context)
    return y - weights[-1] + self.bias


@defects.lacks(lipschitz_layers.shapes_are_those_that_are_stated,
               'stated are (None, 4)')
class MisstatesItsShape(layers.ElementwiseActivation):
  """States one output more."""

  lipschitz_bound = 1.0

  def evaluate(self, weights, x):
    return tf.tanh(x)

  def compute_output_shape(self, input_shape):
    return *input_shape[:-1], input_shape[-1] + 1


@defects.lacks(lipschitz_layers.pure_parts_agree_with_the_call, 'y is')
class CountsCalls(sound.Dense):
  """A call changes a variable."""

  def call(self, inputs, *args, **kwargs):
    self.bias.assign_add(tf.ones_like(self.bias.value))
    return super().call(inputs, *args, **kwargs)


@defects.lacks(gradients.gradients_reach_every_trainable_variable,
               'bias is None, not finite or 0')
class StopsGradients(sound.Dense):
  """Its bias gets no gradient."""

  def evaluate(self, weights, x, *context):
    return super().evaluate(
        [*weights[:-1], tf.stop_gradient(weights[-1])], x, *context)


@defects.lacks(lipschitz_layers.saved_norms_change_no_result_and_need_no_step,
               'iterates again')
class NeverConverges(sound.Dense):
  """Saving its norms takes a step every time."""

  def save_norms(self, searches=True):
    return super().save_norms(searches) + 1


@defects.lacks(lipschitz_layers.kernels_exceed_their_bound,
               'the norm of the kernel of')
class Unbounded(sound.Dense):
  """Its kernel is not normalised."""

  def effective_weights(self, variables, norms, *scales):
    return variables
