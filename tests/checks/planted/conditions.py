"""Types that lack one property each of what takes a condition."""

import tensorflow as tf

from tests.checks.planted import defects
from tests.checks.planted import sound
from tf_resflow import layers
from tf_resflow.checks import bijections
from tf_resflow.checks import conditions
from tf_resflow.checks import execution
from tf_resflow.checks import gradients
from tf_resflow.checks import lipschitz_layers
from tf_resflow.checks import storage


@defects.lacks(conditions.conditions_have_an_effect,
               'the condition has no effect')
class IgnoresIt(sound.Conditioned):
  """The condition has no effect."""

  def scales(self, condition):
    return 0.0 * super().scales(condition) + self.kernel[:1]


@defects.lacks(execution.traced_equals_eager_for_an_unknown_batch_size,
               'a traced output of one example is')
class TakesTheNextOne(sound.Conditioned):
  """An example has the condition of its neighbour."""

  def scales(self, condition):
    return tf.roll(super().scales(condition), 1, axis=0)


@defects.lacks(bijections.inverse_is_that_of_the_forward_direction,
               'inverse(forward(x)) in float32 is')
class InvertsWithoutIt(sound.Conditioned):
  """The inverse is that of the first condition, whatever is given."""

  def inverse_pass(self, y, settings):
    return super().inverse_pass(y, settings._replace(
        condition=settings.condition[:1]))


@defects.lacks(bijections.log_det_is_that_of_the_jacobian, 'log_det is')
class LeavesItOut(sound.Conditioned):
  """The log-determinant is that of another condition."""

  def log_det(self, x, scales):
    return super().log_det(x, tf.reverse(scales, [0]))


@defects.lacks(gradients.gradients_are_central_differences,
               'the gradient of y by c, along a direction, is 0.0 instead of')
class StopsItsGradient(sound.Conditioned):
  """The gradient by the condition is 0."""

  def scales(self, condition):
    return super().scales(tf.stop_gradient(condition) if tf.is_tensor(
        condition) else condition)


@defects.lacks(gradients.gradients_are_central_differences,
               'the gradient of y by c')
class HalvesItsGradient(sound.Conditioned):
  """The gradient by the condition, and by the matrix, is half of what it is."""

  def scales(self, condition):
    scales = super().scales(condition)
    return 0.5 * (scales + tf.stop_gradient(scales))


@defects.lacks(
    conditions.one_condition_serves_a_whole_batch,
    'a result with one condition for all has the shape (1,), not (4,)')
class NeedsABatch(sound.Conditioned):
  """Takes no condition for all examples."""

  def log_det(self, x, scales):
    return tf.reduce_sum(scales, axis=1)


@defects.lacks(conditions.a_missing_condition_is_an_error,
               'without a condition: no error')
class TakesNone(sound.Conditioned):
  """Without a condition it computes, as if nothing were missing."""

  def scales(self, condition):
    return super().scales(tf.zeros([1, 2]) if condition is None else condition)


@defects.lacks(storage.frozen_copies_compute_alike_and_nothing_moves_them,
               'an output of the SavedModel is')
class FreezesWithIt(sound.Conditioned):
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


@defects.lacks(storage.frozen_copies_state_what_the_original_does,
               'condition_spec is')
class KeepsItsSpec(sound.Conditioned):
  """Its frozen copy states another condition."""

  def frozen(self):
    copy = super().frozen()
    copy.condition_spec = layers.ConditionSpec((2,), num_labels=3)
    return copy


@defects.lacks(lipschitz_layers.no_slope_exceeds_the_bound_or_the_certificate,
               'lipschitz_bound is 1,')
class ShiftsItsInput(layers.ConditionShift):
  """`x (1 + c W)`, no translation, and of any slope."""

  def __init__(self, condition_size=2, dtype=None, **kwargs):
    super().__init__(condition_size, dtype=dtype, **kwargs)

  def evaluate(self, weights, x, shift):
    return x + x * shift


@defects.lacks(conditions.a_condition_that_is_not_taken_is_ignored,
               'AssertionError')
class RefusesNone(layers.Bijection):
  """An identity that takes no condition, and refuses one."""

  def forward_pass(self, x, settings):
    assert settings.condition is None
    return layers.PassResult(x, tf.zeros(tf.shape(x)[:1], x.dtype))

  inverse_pass = forward_pass


@defects.lacks(execution.traced_equals_eager_for_an_unknown_batch_size,
               'a traced output of one example is')
class CentersConditions(sound.Embedded):
  """Outputs depend on the other conditions of a batch."""

  def call(self, inputs):
    y = super().call(inputs)
    return y - tf.reduce_mean(y, axis=0)


@defects.lacks(conditions.conditions_are_encoded_as_vectors,
               'stated are (4, 5) and size 4')
class MisstatesItsSize(sound.Embedded):
  """States one output more."""

  def compute_output_shape(self, input_shape):
    return input_shape[0], self.size + 1
