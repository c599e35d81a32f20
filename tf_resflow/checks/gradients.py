"""Gradients: that all are there, numbers, and that they are slopes."""

import numpy as np
import tensorflow as tf

from tf_resflow.checks import properties
from tf_resflow.checks import subjects
from tf_resflow.checks.subjects import close
from tf_resflow.checks.subjects import EXACT
from tf_resflow.checks.subjects import require
from tf_resflow.checks.subjects import SKIPPED
from tf_resflow.checks.subjects import Subject

_STEP = 1e-5


@properties.check(*properties.KINDS, needs='has_variables')
def gradients_reach_every_trainable_variable(subject: Subject) -> None:
  """Gradients of the first call as well, when ActNorm initialises itself."""
  made = subjects.Instance(subject.case.make())
  paths = [*made.variables_by_path]
  require(len(paths) == len(subject.of('float32')[0].trainable_variables),
          'variables are made by a call, or two have one path')
  gradients = tf.function(
      lambda x: subjects.differentiate(subjects.loss, made, x)[1],
      autograph=False)(subject.case.inputs())
  for path in paths:
    require(np.all(np.isfinite(gradients[path])) and np.any(gradients[path]),
            f'the gradient of {path} is None, not finite or 0')


def _require_slopes(what, made, function, x):
  """Compares gradients of a function with central differences."""
  condition, rng = made.condition(x), np.random.default_rng(0)
  variables = made.variables_by_path
  gradients = subjects.differentiate(function, made, x, tf.cos)[1]
  directions = {name: rng.normal(size=g.shape) for name, g in gradients.items()}

  def value(step, names):
    by = {name: step * directions[name] for name in names}
    given = made if condition is None else made.given(
        condition + by.get('condition', 0))
    with subjects.changed(variables, lambda name, v: v + by.get(name, 0)):
      return tf.reduce_sum(tf.sin(function(given, x + by.get('x', 0))))

  for source, names in (('x', {'x'}), ('c', {'condition'}),
                        ('the weights', {*variables})):
    names = names & gradients.keys()
    products = [gradients[name] * directions[name] for name in names]
    close(f'the gradient of {what} by {source}, along a direction,',
          sum(np.sum(p) for p in products),
          (value(_STEP, names) - value(-_STEP, names)) / (2.0 * _STEP),
          1e-8 + 1e-5 * sum(np.sum(np.abs(p)) for p in products))


@properties.check(properties.LIPSCHITZ, *properties.LAYERED, properties.NETWORK)
def gradients_are_central_differences(subject: Subject) -> None:
  """Those of y, log_det and inverse by x, condition and weights are slopes."""
  case = subject.case
  made, x = subjects.Instance(case.make('float64')), case.inputs('float64')
  of = made.bijection if made.kind == properties.MODEL else made
  for part in getattr(of, 'constrained_layers', list)():
    if hasattr(part, 'tolerance'):  # Gradients of norms are as exact as these.
      part.tolerance, part.max_power_iterations = 1e-12, 5000
  y, *_ = subjects.evaluate(made, x)
  _require_slopes('y', made, lambda made, x: subjects.evaluate(made, x)[0], x)
  if made.kind in properties.LAYERED:
    # What classifies differentiates passes without log-determinants.
    _require_slopes('y alone', made, lambda made, x: made.transform(
        x, estimator=SKIPPED).value, x)
    _require_slopes('log_det', made, lambda made, x: made.forward_and_log_det(
        x, estimator=EXACT)[1], x)
    _require_slopes('the inverse', made, lambda made, y: made.inverse(y), y)


def of_log_det(made: subjects.Instance, x: tf.Tensor, weights: tf.Tensor
               ) -> dict[str, tf.Tensor]:
  """Returns gradients of `sum_b weights_b log_det_b` at one draw, by name."""
  return subjects.differentiate(
      lambda made, x: made.forward_and_log_det(x, seed=4)[1], made, x,
      lambda _: weights)[1]


@properties.check(properties.BIJECTION, needs='has_variables')
def every_example_has_a_weight_of_its_own(subject: Subject) -> str | None:
  """Gradients are linear in a weight of the log-determinant per example."""
  made, x = subject.of()
  weights = tf.constant([1.0, -0.4, 2.5, 0.3], tf.float64)
  try:
    actual = of_log_det(made, x, weights)
  except tf.errors.InvalidArgumentError as error:
    require('one cotangent' in str(error), f'the error is {error}')
    return 'it says that it has one weight for all'
  alone = [of_log_det(made, x, one_hot)
           for one_hot in tf.eye(len(x), dtype=tf.float64)]
  for name, gradient in actual.items():
    close(f'the weighted gradient of {name}', gradient, tf.tensordot(
        weights, tf.stack([part[name] for part in alone]), 1), 1e-12, 1e-9)
  # A volume that never changes has no gradient.
  log_det = made.forward_and_log_det(x, seed=4)[1]
  with subjects.changed(made.variables_by_path):
    other = made.forward_and_log_det(x, seed=4)[1]
  changes = max(np.ptp(log_det), np.abs(other - log_det).max()) > 1e-12
  require(any(np.any(g) for g in actual.values()) == changes,
          'log_det has a gradient and is constant, or changes without one')
  return None
