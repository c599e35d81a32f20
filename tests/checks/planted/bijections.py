"""Bijections that lack one property each."""

import itertools

import tensorflow as tf

from tests.checks.planted import defects
from tests.checks.planted import sound
from tf_resflow import layers
from tf_resflow import numerics
from tf_resflow.checks import bijections
from tf_resflow.checks import execution
from tf_resflow.checks import gradients
from tf_resflow.checks import storage


@defects.lacks(bijections.log_det_is_that_of_the_jacobian, 'at x = [')
class WrongSign(sound.Scale):
  """Its log-determinant has the wrong sign."""

  def log_det(self, x):
    return -super().log_det(x)


@defects.lacks(bijections.inverse_is_that_of_the_forward_direction,
               'inverse(forward(x)) in float32 is')
class WrongInverse(sound.Scale):
  """Its inverse is wrong by a thousandth."""

  def inverse_pass(self, y, settings):
    return super().inverse_pass(1.001 * y, settings)


@defects.lacks(bijections.slopes_lie_between_their_bounds,
               'have the bounds (0.99, 1.01)')
class TightBounds(sound.Scale):
  """States slopes that it exceeds."""

  slopes = layers.BiLipschitzBounds(0.99, 1.01)


@defects.lacks(gradients.every_example_has_a_weight_of_its_own,
               'or changes without one')
class NoGradient(sound.Block):
  """Its log-determinant has no gradient."""

  def forward_pass(self, x, settings):
    result = super().forward_pass(x, settings)
    return result._replace(log_det=tf.stop_gradient(result.log_det))


@defects.lacks(execution.seeds_decide_what_is_drawn,
               'log_det does not depend on the seed')
class ForgetsTheSeed(sound.Block):
  """Draws the same at every seed."""

  def forward_pass(self, x, settings):
    return super().forward_pass(x, settings._replace(seed=7))


@defects.lacks(bijections.mean_of_all_draws_is_the_log_det,
               'the mean of log_det is')
class Biased(sound.Block):
  """Estimates are 1 percent too large; those without draws are right."""

  def forward_pass(self, x, settings):
    result = super().forward_pass(x, settings)
    estimator = settings.estimator or self.estimator
    return result if not estimator.is_random else result._replace(
        log_det=1.01 * result.log_det)


class _WrongSign(numerics.OddSeries):

  def term(self, k, u, probe, vjp_fn):
    u, value, w = super().term(k, u, probe, vjp_fn)
    return u, tf.where(k == 2, -value, value), w


class _WrongParity(numerics.OddSeries):

  def term(self, k, u, probe, vjp_fn):
    return *super().term(k, u, probe, vjp_fn)[:2], -2.0 * vjp_fn(u)


class _WrongWeight(numerics.OddSeries):

  def term(self, k, u, probe, vjp_fn):
    u, value, w = super().term(k, u, probe, vjp_fn)
    k = tf.cast(k, u.dtype)
    return u, (2.0 * k - 1.0) / (2.0 * k) * value, w


@defects.lacks(bijections.mean_of_all_draws_is_the_log_det,
               'the mean of log_det is')
class OddSign(sound.Monotone):
  """The second odd power has the other sign."""

  series = _WrongSign()


@defects.lacks(bijections.mean_of_all_draws_is_the_log_det,
               'the mean of the gradient of x is')
class OddParity(sound.Monotone):
  """The gradient has odd powers in place of even ones."""

  series = _WrongParity()


@defects.lacks(bijections.mean_of_all_draws_is_the_log_det,
               'the mean of log_det is')
class OddWeight(sound.Monotone):
  """Powers `2k - 1` are divided by `2k`."""

  series = _WrongWeight()


@defects.lacks(bijections.a_solve_that_fails_is_an_error,
               'the inverse direction without an error after 2 steps is')
class HidesSolves(sound.Block):
  """An inverse that did not converge goes on."""

  def inverse_pass(self, y, settings):
    return super().inverse_pass(y, settings)._replace(solves=())


@defects.lacks(storage.configurations_hold_everything,
               'an output of the copy is')
class LosesItsArguments(sound.Scale):
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


@defects.lacks(storage.checkpoints_hold_everything, 'of the checkpoint is')
class HidesItsVariable(layers.Bijection):
  """Its weight is in no checkpoint: TensorFlow does not look into lists."""

  def __init__(self, **kwargs):
    super().__init__(**kwargs)
    self.held = [sound.Scale(dtype=self.compute_dtype)]

  def build(self, input_shape):
    self.held[0].build(input_shape)

  def forward_pass(self, x, settings):
    return self.held[0].forward_pass(x, settings)

  def inverse_pass(self, y, settings):
    return self.held[0].inverse_pass(y, settings)


@defects.lacks(storage.frozen_copies_compute_alike_and_nothing_moves_them,
               'the variables have gradients')
class FrozenFollows(sound.Scale):
  """Its frozen copy follows the variables."""

  def frozen(self):
    return self


@defects.lacks(execution.traced_equals_eager_for_an_unknown_batch_size,
               'has the shape')
class OneSize(sound.Scale):
  """Knows the batch size of the trace alone."""

  def log_det(self, x):
    return tf.fill([x.shape[0] or 4], tf.reduce_sum(self.scale))


@defects.lacks(execution.traced_equals_eager_for_an_unknown_batch_size, 'shape')
class OneSizeInverse(sound.Scale):
  """Its inverse knows the batch size of the trace alone."""

  def inverse_pass(self, y, settings):
    result = super().inverse_pass(y, settings)
    return result._replace(value=tf.ensure_shape(
        result.value, [4, *y.shape[1:]]))


@defects.lacks(execution.compiles_with_xla_for_an_unknown_batch_size, 'XLA')
class LeavesTheGraph(sound.Scale):
  """Computes in Python, which XLA does not take along."""

  def forward_pass(self, x, settings):
    y = tf.numpy_function(lambda x: x, [x], x.dtype)
    return super().forward_pass(tf.ensure_shape(y, x.shape), settings)


@defects.lacks(execution.outputs_and_variables_have_the_dtype,
               'asked for float64')
class OfOnePrecision(sound.Scale):
  """Its log-determinant is float32, whatever is asked for."""

  def log_det(self, x):
    return tf.cast(super().log_det(x), tf.float32)


@defects.lacks(gradients.gradients_reach_every_trainable_variable,
               'is None, not finite or 0')
class Disconnected(sound.Scale):
  """Its weight gets no gradient."""

  def forward_pass(self, x, settings):
    return layers.PassResult(
        x * tf.stop_gradient(tf.exp(self.scale)),
        tf.stop_gradient(self.log_det(x)))


@defects.lacks(gradients.gradients_are_central_differences,
               'the gradient of y by x, along a direction, is')
class HalfGradient(sound.Scale):
  """Half of the gradient is lost."""

  def forward_pass(self, x, settings):
    result = super().forward_pass(x, settings)
    return result._replace(value=0.5 * (
        result.value + tf.stop_gradient(result.value)))


@defects.lacks(bijections.skipping_takes_no_log_det, 'the value is')
class SkipsMore(sound.Scale):
  """Without log-determinants it computes something else."""

  def forward_pass(self, x, settings):
    result = super().forward_pass(x, settings)
    is_skipped = settings.estimator and settings.estimator.is_skipped
    return result._replace(value=0.5 * result.value) if is_skipped else result


@defects.lacks(storage.frozen_copies_state_what_the_original_does,
               'name is other')
class RenamesItsCopy(sound.Scale):
  """Its frozen copy has another name."""

  def frozen(self):
    copy = super().frozen()
    copy.name = 'other'
    return copy


@defects.lacks(bijections.what_reports_computes_what_raises_does,
               'the value of solve_inverse is')
class ReportsOtherwise(sound.Scale):
  """Its two inverses differ."""

  def inverse(self, y, condition=None, *, solver=None):
    return 1.001 * super().inverse(y, condition, solver=solver)


@defects.lacks(execution.eager_calls_of_all_sizes_share_their_graphs, 'graphs')
class TracesEveryCall(sound.Scale):
  """Every call makes a graph."""

  def log_det(self, x):
    return tf.function(super().log_det)(x)
