"""Types that lack one property each, which its check finds; and sound ones."""

import itertools

import keras
import pytest
import tensorflow as tf

from tests import networks
from tf_resflow import bijectors
from tf_resflow import layers
from tf_resflow import models
from tf_resflow.checks import bijections
from tf_resflow.checks import conditions
from tf_resflow.checks import execution
from tf_resflow.checks import gradients
from tf_resflow.checks import lipschitz_layers
from tf_resflow.checks import running
from tf_resflow.checks import storage

_stored = keras.saving.register_keras_serializable('planted')
# Check, type, and what is said of it.
_DEFECTS = []


def lacks(check, problem):
  """Returns the decorator of a type of which a check finds a problem."""
  def add(cls):
    _DEFECTS.append((check, cls, problem))
    return _stored(cls) if issubclass(cls, keras.layers.Layer) else cls

  return add


def defects_of(module):
  """Returns a test that the checks of a module find their defects."""
  @pytest.mark.parametrize('check, make, problem', [
      pytest.param(check, make, problem, id=make.__name__)
      for check, make, problem in _DEFECTS
      if check.__module__ == module.__name__])
  def test(check, make, problem):
    subject = running.subjects.Subject('planted', running.case_of(make, (3,)))
    found = running.outcome_of(running.ALL[check.__name__], subject).problem
    assert problem in found, found

  return test


def never_seen():
  """Returns the names of checks that find no defect here."""
  return running.ALL.keys() - {check.__name__ for check, _, _ in _DEFECTS}


@_stored
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


@_stored
class Dense(layers.SpectralDense):
  """A dense layer of three units, sound."""

  def __init__(self, dtype=None, **kwargs):
    super().__init__(**{'units': 3, 'coeff': 0.9, 'seed': 1} | kwargs,
                     dtype=dtype)


@_stored
class Block(layers.ResidualBlock):
  """A residual block, sound."""

  def __init__(self, g=None, *arguments, dtype=None, **kwargs):
    super().__init__(g or networks.dense_g(dtype), *arguments, **kwargs)


@_stored
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


@_stored
class Embedded(layers.VectorNetwork):
  """A network of conditions `[2]`, sound."""

  def __init__(self, dtype=None, **kwargs):
    super().__init__(
        **{'condition_size': 2, 'size': 4, 'seed': 1} | kwargs, dtype=dtype)


# Lipschitz layers.


@lacks(lipschitz_layers.no_slope_exceeds_the_bound_or_the_certificate,
       'slopes reach 1.2; lipschitz_bound is 1,')
class Steep(layers.ElementwiseActivation):
  """Its slope is 1.2 where it is stated to be 1."""

  lipschitz_bound = 1.0

  def evaluate(self, weights, x):
    return 1.2 * tf.tanh(x)


@lacks(lipschitz_layers.pure_parts_know_only_the_structure,
       'y of another layer is')
class KeepsItsWeights(Dense):
  """Evaluates its own bias, whatever it is given."""

  def evaluate(self, weights, x, *context):
    y = super().evaluate(weights, x, *context)
    return y - weights[-1] + self.bias


@lacks(lipschitz_layers.shapes_are_those_that_are_stated,
       'stated are (None, 4)')
class MisstatesItsShape(layers.ElementwiseActivation):
  """States one output more."""

  lipschitz_bound = 1.0

  def evaluate(self, weights, x):
    return tf.tanh(x)

  def compute_output_shape(self, input_shape):
    return *input_shape[:-1], input_shape[-1] + 1


@lacks(lipschitz_layers.pure_parts_agree_with_the_call, 'y is')
class CountsCalls(Dense):
  """A call changes a variable."""

  def call(self, inputs, *args, **kwargs):
    self.bias.assign_add(tf.ones_like(self.bias.value))
    return super().call(inputs, *args, **kwargs)


@lacks(gradients.gradients_reach_every_trainable_variable,
       'bias is None, not finite or 0')
class StopsGradients(Dense):
  """Its bias gets no gradient."""

  def evaluate(self, weights, x, *context):
    return super().evaluate(
        [*weights[:-1], tf.stop_gradient(weights[-1])], x, *context)


@lacks(lipschitz_layers.saved_norms_change_no_result_and_need_no_step,
       'iterates again')
class NeverConverges(Dense):
  """Saving its norms takes a step every time."""

  def save_norms(self):
    return super().save_norms() + 1


@lacks(lipschitz_layers.kernels_exceed_their_bound, 'the norm of the kernel of')
class Unbounded(Dense):
  """Its kernel is not normalised."""

  def effective_weights(self, variables, norms, *scales):
    return variables


# Bijections.


@lacks(bijections.log_det_is_that_of_the_jacobian, 'at x = [')
class WrongSign(Scale):
  """Its log-determinant has the wrong sign."""

  def log_det(self, x):
    return -super().log_det(x)


@lacks(bijections.inverse_is_that_of_the_forward_direction,
       'inverse(forward(x)) in float32 is')
class WrongInverse(Scale):
  """Its inverse is wrong by a thousandth."""

  def inverse_pass(self, y, settings):
    return super().inverse_pass(1.001 * y, settings)


@lacks(bijections.slopes_lie_between_their_bounds,
       'have the bounds (0.99, 1.01)')
class TightBounds(Scale):
  """States slopes that it exceeds."""

  slopes = layers.BiLipschitzBounds(0.99, 1.01)


@lacks(gradients.every_example_has_a_weight_of_its_own,
       'or changes without one')
class NoGradient(Block):
  """Its log-determinant has no gradient."""

  def forward_pass(self, x, settings):
    result = super().forward_pass(x, settings)
    return result._replace(log_det=tf.stop_gradient(result.log_det))


@lacks(execution.seeds_decide_what_is_drawn,
       'log_det does not depend on the seed')
class ForgetsTheSeed(Block):
  """Draws the same at every seed."""

  def forward_pass(self, x, settings):
    return super().forward_pass(x, settings._replace(seed=7))


@lacks(bijections.mean_of_all_draws_is_the_log_det, 'the mean of log_det is')
class Biased(Block):
  """Estimates are 1 percent too large; those without draws are right."""

  def forward_pass(self, x, settings):
    result = super().forward_pass(x, settings)
    estimator = settings.estimator or self.estimator
    return result if not estimator.is_random else result._replace(
        log_det=1.01 * result.log_det)


@lacks(bijections.a_solve_that_fails_is_an_error,
       'the inverse direction without an error after 2 steps is')
class HidesSolves(Block):
  """An inverse that did not converge goes on."""

  def inverse_pass(self, y, settings):
    return super().inverse_pass(y, settings)._replace(solves=())


@lacks(storage.configurations_hold_everything, 'an output of the copy is')
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


@lacks(storage.checkpoints_hold_everything, 'of the checkpoint is')
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


@lacks(storage.frozen_copies_compute_alike_and_nothing_moves_them,
       'the variables have gradients')
class FrozenFollows(Scale):
  """Its frozen copy follows the variables."""

  def frozen(self):
    return self


@lacks(execution.traced_equals_eager_for_an_unknown_batch_size, 'has the shape')
class OneSize(Scale):
  """Knows the batch size of the trace alone."""

  def log_det(self, x):
    return tf.fill([x.shape[0] or 4], tf.reduce_sum(self.scale))


@lacks(execution.traced_equals_eager_for_an_unknown_batch_size, 'shape')
class OneSizeInverse(Scale):
  """Its inverse knows the batch size of the trace alone."""

  def inverse_pass(self, y, settings):
    result = super().inverse_pass(y, settings)
    return result._replace(value=tf.ensure_shape(
        result.value, [4, *y.shape[1:]]))


@lacks(execution.compiles_with_xla_for_an_unknown_batch_size, 'XLA')
class LeavesTheGraph(Scale):
  """Computes in Python, which XLA does not take along."""

  def forward_pass(self, x, settings):
    y = tf.numpy_function(lambda x: x, [x], x.dtype)
    return super().forward_pass(tf.ensure_shape(y, x.shape), settings)


@lacks(execution.outputs_and_variables_have_the_dtype, 'asked for float64')
class OfOnePrecision(Scale):
  """Its log-determinant is float32, whatever is asked for."""

  def log_det(self, x):
    return tf.cast(super().log_det(x), tf.float32)


@lacks(gradients.gradients_reach_every_trainable_variable,
       'is None, not finite or 0')
class Disconnected(Scale):
  """Its weight gets no gradient."""

  def forward_pass(self, x, settings):
    return layers.PassResult(
        x * tf.stop_gradient(tf.exp(self.scale)),
        tf.stop_gradient(self.log_det(x)))


@lacks(gradients.gradients_are_central_differences,
       'the gradient of y by x, along a direction, is')
class HalfGradient(Scale):
  """Half of the gradient is lost."""

  def forward_pass(self, x, settings):
    result = super().forward_pass(x, settings)
    return result._replace(value=0.5 * (
        result.value + tf.stop_gradient(result.value)))


@lacks(bijections.skipping_takes_no_log_det, 'the value is')
class SkipsMore(Scale):
  """Without log-determinants it computes something else."""

  def forward_pass(self, x, settings):
    result = super().forward_pass(x, settings)
    is_skipped = settings.estimator and settings.estimator.is_skipped
    return result._replace(value=0.5 * result.value) if is_skipped else result


@lacks(storage.frozen_copies_state_what_the_original_does, 'name is other')
class RenamesItsCopy(Scale):
  """Its frozen copy has another name."""

  def frozen(self):
    copy = super().frozen()
    copy.name = 'other'
    return copy


@lacks(bijections.what_reports_computes_what_raises_does,
       'the value of solve_inverse is')
class ReportsOtherwise(Scale):
  """Its two inverses differ."""

  def inverse(self, y, condition=None, *, solver=None):
    return 1.001 * super().inverse(y, condition, solver=solver)


@lacks(execution.eager_calls_of_all_sizes_share_their_graphs, 'graphs')
class TracesEveryCall(Scale):
  """Every call makes a graph."""

  def log_det(self, x):
    return tf.function(super().log_det)(x)


# Flows.


@lacks(bijections.base_density_plus_log_det_is_log_prob, 'log_prob is')
class Overstates(models.Flow):
  """Its density does not integrate to 1."""

  def __init__(self, bijection=None, event_shape=(3,), *arguments, dtype=None,
               **kwargs):
    super().__init__(bijection or Scale(dtype=dtype), event_shape, *arguments,
                     dtype=dtype, **kwargs)

  def log_prob(self, *arguments, **kwargs):
    return super().log_prob(*arguments, **kwargs) + 1.0


@lacks(storage.keras_files_hold_everything, 'an output of the file is')
class StoresTooLittle(models.Flow):
  """Its bijection loses its arguments."""

  def __init__(self, bijection=None, event_shape=(3,), *arguments, dtype=None,
               **kwargs):
    super().__init__(bijection or LosesItsArguments(dtype=dtype), event_shape,
                     *arguments, dtype=dtype, **kwargs)


# What takes a condition.


@lacks(conditions.conditions_have_an_effect,
       'the condition has no effect')
class IgnoresIt(Conditioned):
  """The condition has no effect."""

  def scales(self, condition):
    return 0.0 * super().scales(condition) + self.kernel[:1]


@lacks(execution.traced_equals_eager_for_an_unknown_batch_size,
       'a traced output of one example is')
class TakesTheNextOne(Conditioned):
  """An example has the condition of its neighbour."""

  def scales(self, condition):
    return tf.roll(super().scales(condition), 1, axis=0)


@lacks(bijections.inverse_is_that_of_the_forward_direction,
       'inverse(forward(x)) in float32 is')
class InvertsWithoutIt(Conditioned):
  """The inverse is that of the first condition, whatever is given."""

  def inverse_pass(self, y, settings):
    return super().inverse_pass(y, settings._replace(
        condition=settings.condition[:1]))


@lacks(bijections.log_det_is_that_of_the_jacobian, 'log_det is')
class LeavesItOut(Conditioned):
  """The log-determinant is that of another condition."""

  def log_det(self, x, scales):
    return super().log_det(x, tf.reverse(scales, [0]))


@lacks(gradients.gradients_are_central_differences,
       'the gradient of y by c, along a direction, is 0.0 instead of')
class StopsItsGradient(Conditioned):
  """The gradient by the condition is 0."""

  def scales(self, condition):
    return super().scales(tf.stop_gradient(condition) if tf.is_tensor(
        condition) else condition)


@lacks(gradients.gradients_are_central_differences, 'the gradient of y by c')
class HalvesItsGradient(Conditioned):
  """The gradient by the condition, and by the matrix, is half of what it is."""

  def scales(self, condition):
    scales = super().scales(condition)
    return 0.5 * (scales + tf.stop_gradient(scales))


@lacks(conditions.one_condition_serves_a_whole_batch,
       'a result with one condition for all has the shape (1,), not (4,)')
class NeedsABatch(Conditioned):
  """Takes no condition for all examples."""

  def log_det(self, x, scales):
    return tf.reduce_sum(scales, axis=1)


@lacks(conditions.a_missing_condition_is_an_error,
       'without a condition: no error')
class TakesNone(Conditioned):
  """Without a condition it computes, as if nothing were missing."""

  def scales(self, condition):
    return super().scales(tf.zeros([1, 2]) if condition is None else condition)


@lacks(storage.frozen_copies_compute_alike_and_nothing_moves_them,
       'an output of the SavedModel is')
class FreezesWithIt(Conditioned):
  """Its frozen copy has the condition that it saw last."""

  def scales(self, condition):
    if tf.executing_eagerly():
      self.seen = condition
    return super().scales(
        self.seen if self.name.endswith('_frozen') else condition)

  def frozen(self):
    copy = super().frozen()
    copy.name, copy.seen = f'{self.name}_frozen', self.seen
    return copy


@lacks(storage.frozen_copies_state_what_the_original_does, 'condition_spec is')
class KeepsItsSpec(Conditioned):
  """Its frozen copy states another condition."""

  def frozen(self):
    copy = super().frozen()
    copy.condition_spec = layers.ConditionSpec((2,), num_labels=3)
    return copy


@lacks(lipschitz_layers.no_slope_exceeds_the_bound_or_the_certificate,
       'lipschitz_bound is 1,')
class ShiftsItsInput(layers.ConditionShift):
  """`x (1 + c W)`, no translation, and of any slope."""

  def __init__(self, condition_size=2, dtype=None, **kwargs):
    super().__init__(condition_size, dtype=dtype, **kwargs)

  def evaluate(self, weights, x, shift):
    return x + x * shift


@lacks(conditions.a_condition_that_is_not_taken_is_ignored, 'AssertionError')
class RefusesNone(layers.Bijection):
  """An identity that takes no condition, and refuses one."""

  def forward_pass(self, x, settings):
    assert settings.condition is None
    return layers.PassResult(x, tf.zeros(tf.shape(x)[:1], x.dtype))

  inverse_pass = forward_pass


@lacks(execution.traced_equals_eager_for_an_unknown_batch_size,
       'a traced output of one example is')
class CentersConditions(Embedded):
  """Outputs depend on the other conditions of a batch."""

  def call(self, inputs):
    y = super().call(inputs)
    return y - tf.reduce_mean(y, axis=0)


@lacks(conditions.conditions_are_encoded_as_vectors,
       'stated are (4, 5) and size 4')
class MisstatesItsSize(Embedded):
  """States one output more."""

  def compute_output_shape(self, input_shape):
    return input_shape[0], self.size + 1


# Bijectors.


@lacks(bijections.log_dets_of_both_directions_are_opposite,
       'inverse_log_det_jacobian is')
class OneWay(bijectors.ActNorm):
  """A bijector whose second log-determinant has the sign of the first."""

  def __init__(self, dtype=None):
    super().__init__([3], dtype=dtype)

  def _inverse_log_det_jacobian(self, y, **kwargs):
    return -super()._inverse_log_det_jacobian(y, **kwargs)
