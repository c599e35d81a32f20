"""Inverses, log-determinants and slopes against the autodiff Jacobian."""

from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
from tensorflow_probability import bijectors as tfb

from tf_resflow import numerics
from tf_resflow.checks import properties
from tf_resflow.checks import subjects
from tf_resflow.checks.subjects import close
from tf_resflow.checks.subjects import require

_LAYERED = properties.BIJECTION, properties.MODEL
_INVERTIBLE = *_LAYERED, properties.BIJECTOR
_TOLERANCE = {'float32': 1e-4, 'float64': 1e-8}
_EXACT = numerics.Exact()


@properties.check(*_INVERTIBLE)
def inverse_is_that_of_the_forward_direction(subject: subjects.Subject) -> None:
  """inverse(forward(x)) = x and forward(inverse(y)) = y in both precisions."""
  for dtype, atol in _TOLERANCE.items():
    made, x = subject.of(dtype)
    y = tf.constant(subject.outputs(dtype)[0])
    # Another tensor, or the cache of a bijector would answer with x itself.
    close(f'inverse(forward(x)) in {dtype}', made.inverse(y), x, atol)
    # The other way round, from a y that forward did not make.
    y = y + tf.cast(0.01 * tf.cos(y), dtype)
    close(f'forward(inverse(y)) in {dtype}', subjects.evaluate(
        made, tf.identity(made.inverse(y)))[0], y, atol, atol)


@properties.check(*_INVERTIBLE)
def log_det_is_that_of_the_jacobian(subject: subjects.Subject) -> None:
  """The log-determinant is that of the full float64 Jacobian, inverses' too."""
  made, x = subject.of()
  expected = np.linalg.slogdet(subject.jacobians)[1]
  if isinstance(made, tfb.Bijector):
    if not subject.case.is_random:  # Else its layer is checked.
      close('log_det', made.forward_log_det_jacobian(x), expected, 1e-8)
    return
  close('log_det', made.forward_and_log_det(x, estimator=_EXACT)[1],
        expected, 1e-8)
  if hasattr(made, 'inverse_and_log_det'):
    x_again, log_det = made.inverse_and_log_det(
        tf.constant(subject.outputs()[0]), estimator=_EXACT,
        solver=numerics.Banach(atol=1e-12))
    close('x of inverse_and_log_det', x_again, x, 1e-9)
    close('log_det of inverse_and_log_det', log_det, -expected, 1e-8)


@properties.check(properties.BIJECTOR)
def log_dets_of_both_directions_are_opposite(subject: subjects.Subject) -> None:
  """A bijector's two log-determinants have opposite signs at equal seeds."""
  made, x = subject.of()
  close('inverse_log_det_jacobian', made.inverse_log_det_jacobian(
      tf.constant(subject.outputs()[0]), seed=1),
        -made.forward_log_det_jacobian(tf.identity(x), seed=1), 1e-8)


class _Given(numerics.RussianRoulette):
  """The roulette, of a draw that is chosen from outside."""

  current: ClassVar[Any] = None

  def draw(self, x, seed):
    del x, seed
    return type(self).current


@properties.check(properties.BIJECTION, needs='is_random')
def mean_of_all_draws_is_the_log_det(subject: subjects.Subject) -> None:
  """The mean of the roulette over all its draws is the log-determinant.

  Over the probes by those of the axes, whose mean outer product is the
  identity; over the number of terms by all of them, with their probabilities.
  The same holds for the gradients.
  """
  made, x = subject.of()
  if len(made.leaves()) > 1:
    return  # Its parts are checked.
  estimator, size = _Given(), x.shape[1:].num_elements()
  tails = np.append(1.0, estimator.distribution.tail_table())
  variables = [v.value for v in made.trainable_variables]

  def results(estimator):
    with tf.GradientTape() as tape:
      tape.watch(x)
      log_det = made.forward_and_log_det(x, estimator=estimator)[1]
    return [log_det, *tape.gradient(
        log_det, [x, *variables],
        unconnected_gradients=tf.UnconnectedGradients.ZERO)]

  means = [tf.zeros_like(t) for t in results(_EXACT)]
  for number, weight in enumerate((tails[:-1] - tails[1:]) / size):
    for axis in np.eye(size):
      _Given.current = numerics.Draw(
          tf.constant(estimator.num_exact_terms + number), tf.reshape(
              tf.tile(tf.constant(axis * size**0.5), [len(x)]), x.shape))
      means = [mean + weight * t for mean, t in zip(
          means, results(estimator), strict=True)]
  for name, mean, expected in zip(
      ('log_det', 'gradient of x', *(v.path for v in made.trainable_variables)),
      means, results(_EXACT), strict=True):
    close(f'the mean of {name}', mean, expected, 1e-8, 1e-8)


@properties.check(properties.BIJECTION)
def slopes_lie_between_their_bounds(subject: subjects.Subject) -> None:
  """No slope of the map or of its inverse exceeds the bound that is stated."""
  made, _ = subject.of()
  bounds = made.bi_lipschitz_bounds()
  if not subject.case.has_bi_lipschitz_bounds:
    require(bounds[:2] == (0.0, np.inf), f'the bounds are {bounds}')
    return
  order = bounds.order or 2.0
  if np.isnan(order):
    return  # In no norm.
  greatest = subjects.induced_norm(subject.jacobians, order, order)
  least = 1.0 / subjects.induced_norm(
      np.linalg.inv(subject.jacobians), order, order)
  margin = 1.0 + 1e-9 + 1e-3 * len(made.constrained_layers())
  # 0 and infinity stand for what is unknown. Of one part no bound is loose.
  require(0.0 <= bounds.lower <= least * margin
          and greatest <= bounds.upper * margin
          and (len(made.leaves()) > 1 or bounds.upper == np.inf
               or bounds.upper < 100 * greatest),
          f'slopes from {least:.6g} to {greatest:.6g} have the bounds '
          f'{bounds[:2]}')


@properties.check(*_LAYERED)
def what_reports_computes_what_raises_does(subject: subjects.Subject) -> None:
  """transform and solve_inverse return the numbers of the other methods.

  Their solves have converged, by the residual that another path computes.
  """
  made, x = subject.of()
  result = made.transform(x, seed=4)
  y, log_det = made.forward_and_log_det(x, seed=4)
  close('the value of transform', result.value, y)
  close('the log_det of transform', result.log_det, log_det)
  require(all(feature.shape[0] == len(x) for feature in result.features),
          'a feature has another batch size')
  inverted = made.solve_inverse(y)
  close('the value of solve_inverse', inverted.value, made.inverse(y))
  for solve in result.solves + inverted.solves:
    require(np.all(solve.solution.converged), 'a solve has not converged')
    atol, rtol = solve.solver.tolerances(tf.float64)
    close('the residual of a solve', solve.residual(),
          np.zeros(solve.target.shape),
          2 * (atol + rtol * np.abs(solve.target).max()) + 1e-12)


@properties.check(*_LAYERED)
def a_solve_that_fails_is_an_error(subject: subjects.Subject) -> None:
  """With too few steps no wrong number is returned: it raises, and reports."""
  made, x = subject.of()
  y, solver = tf.constant(subject.outputs()[0]), numerics.Banach(max_steps=2)
  for name, value_fn, report_fn, expected in (
      ('forward', lambda: made.forward_and_log_det(x, solver=solver)[0],
       lambda: made.transform(x, solver=solver), y),
      ('inverse', lambda: made.inverse(y, solver=solver),
       lambda: made.solve_inverse(y, solver=solver), x)):
    try:
      close(f'the {name} direction without an error after 2 steps', value_fn(),
            expected, 1e-6, 1e-6)
    except tf.errors.InvalidArgumentError as error:
      require('did not converge' in str(error), f'the error is {error}')
      solves = report_fn().solves
      require(any(not np.all(s.solution.converged) for s in solves) and all(
          s.solver == solver for s in solves), 'a failed solve is not reported')


@properties.check(*_LAYERED)
def skipping_takes_no_log_det(subject: subjects.Subject) -> None:
  """Without log-determinants, values and their gradients are the same."""
  made, x = subject.of()
  bijection = getattr(made, 'bijection', made)
  # What classifies differentiates it.
  variables = [v.value for v in bijection.trainable_variables]
  with tf.GradientTape() as tape:
    result = made.transform(x, estimator=numerics.NoLogDet())
  close('the value', result.value, subject.outputs()[0], 1e-12)
  require(np.all(np.isnan(result.log_det)) == bool(bijection.estimators()),
          f'log_det is {result.log_det}')
  gradients = tape.gradient(result.value, variables, tf.cos(result.value))
  require(all(g is not None and np.all(np.isfinite(g)) for g in gradients),
          'a gradient is None or not finite')


def weighted_gradients(
    bijection: Any, x: tf.Tensor, weights: tf.Tensor) -> list[tf.Tensor]:
  """Returns gradients of `sum_b weights_b log_det_b` at one draw."""
  variables = [v.value for v in bijection.trainable_variables]
  with tf.GradientTape() as tape:
    tape.watch(x)
    loss = tf.reduce_sum(weights * bijection.forward_and_log_det(x, seed=4)[1])
  return tape.gradient(
      loss, [x, *variables], unconnected_gradients=tf.UnconnectedGradients.ZERO)


@properties.check(properties.BIJECTION, needs='has_variables')
def every_example_has_a_weight_of_its_own(subject: subjects.Subject) -> None:
  """Gradients are linear in a weight of the log-determinant per example."""
  made, x = subject.of()
  weights = tf.constant([1.0, -0.4, 2.5, 0.3], tf.float64)
  try:
    weighted_gradients(made, x, weights)
  except tf.errors.InvalidArgumentError as error:
    require('one cotangent' in str(error), f'the error is {error}')
    return  # It says that it has one weight for all.
  alone = [weighted_gradients(made, x, one_hot)
           for one_hot in tf.eye(len(x), dtype=tf.float64)]
  actual = weighted_gradients(made, x, weights)
  for a, *parts in zip(actual, *alone, strict=True):
    close('a weighted gradient', a, tf.tensordot(weights, tf.stack(parts), 1),
          1e-12, 1e-9)
  # A volume that never changes has no gradient.
  log_det = made.forward_and_log_det(x, seed=4)[1]
  with subjects.changed(made.trainable_variables):
    other = made.forward_and_log_det(x, seed=4)[1]
  changes = max(np.ptp(log_det), np.abs(other - log_det).max()) > 1e-12
  require((max(np.abs(a).max() for a in actual) > 0.0) == changes,
          'log_det has a gradient and is constant, or changes without one')


@properties.check(properties.MODEL)
def base_density_plus_log_det_is_log_prob(subject: subjects.Subject) -> None:
  """log_prob is the change of variables."""
  made, x = subject.of()
  z, log_det = made.forward_and_log_det(x, seed=3)
  base = -0.5 * np.sum(np.square(z) + np.log(2 * np.pi), axis=1)
  close('log_prob', made.log_prob(x, seed=3), base + log_det, 0.0, 1e-10)
