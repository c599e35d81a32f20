"""Inverses, log-determinants and slopes against the autodiff Jacobian."""

from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from tf_resflow import numerics
from tf_resflow.checks import properties
from tf_resflow.checks import subjects
from tf_resflow.checks.subjects import close
from tf_resflow.checks.subjects import EXACT
from tf_resflow.checks.subjects import require
from tf_resflow.checks.subjects import SKIPPED
from tf_resflow.checks.subjects import Subject

_TOLERANCE = {'float32': 1e-4, 'float64': 1e-8}


@properties.check(*properties.INVERTIBLE)
def inverse_is_that_of_the_forward_direction(subject: Subject) -> None:
  """inverse(forward(x)) = x and forward(inverse(y)) = y in both precisions."""
  for dtype, atol in _TOLERANCE.items():
    made, x = subject.of(dtype)
    y, *_, inverse = subject.outputs(dtype)
    close(f'inverse(forward(x)) in {dtype}', inverse, x, atol)
    # The other way round, from a y that forward did not make.
    y = tf.constant(y + 0.01 * np.cos(y))
    close(f'forward(inverse(y)) in {dtype}', subjects.evaluate(
        made, tf.identity(made.inverse(y)))[0], y, atol, atol)


@properties.check(*properties.INVERTIBLE)
def log_det_is_that_of_the_jacobian(subject: Subject) -> str | None:
  """The log-determinant is that of the full float64 Jacobian, inverses' too."""
  made, x = subject.of()
  expected = np.linalg.slogdet(subject.jacobians)[1]
  if made.kind == properties.BIJECTOR:
    if subject.case.is_random:
      return 'it is drawn: check its layer'
    close('log_det', made.forward_log_det_jacobian(x), expected, 1e-8)
    return None
  close('log_det', made.forward_and_log_det(x, estimator=EXACT)[1],
        expected, 1e-8)
  if made.kind == properties.BIJECTION:
    x_again, log_det = made.inverse_and_log_det(
        tf.constant(subject.outputs()[0]), estimator=EXACT,
        solver=numerics.Banach(atol=1e-12))
    close('x of inverse_and_log_det', x_again, x, 1e-9)
    close('log_det of inverse_and_log_det', log_det, -expected, 1e-8)
  return None


@properties.check(properties.BIJECTOR)
def log_dets_of_both_directions_are_opposite(subject: Subject) -> None:
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
def mean_of_all_draws_is_the_log_det(subject: Subject) -> str | None:
  """The mean of the roulette over all its draws is the log-determinant.

  Over the probes by those of the axes, whose mean outer product is the
  identity; over the number of terms by all of them, with their probabilities.
  The same holds for the gradients.
  """
  made, x = subject.of()
  if len(made.leaves()) > 1:
    return 'it has several parts: check each'
  estimator, size = _Given(), x.shape[1:].num_elements()
  tails = np.append(1.0, estimator.distribution.tail_table())

  def results(estimator):
    log_det, gradients = subjects.differentiate(
        lambda made, x: made.forward_and_log_det(x, estimator=estimator)[1],
        made, x)
    return {'log_det': log_det} | {
        f'the gradient of {name}': g for name, g in gradients.items()}

  expected = results(EXACT)
  means = dict.fromkeys(expected, 0.0)
  for number, weight in enumerate((tails[:-1] - tails[1:]) / size):
    for axis in np.eye(size):
      _Given.current = numerics.Draw(
          tf.constant(estimator.num_exact_terms + number), tf.reshape(
              tf.tile(tf.constant(axis * size**0.5), [len(x)]), x.shape))
      means = {name: means[name] + weight * t
               for name, t in results(estimator).items()}
  for name, mean in means.items():
    close(f'the mean of {name}', mean, expected[name], 1e-8, 1e-8)
  return None


@properties.check(properties.BIJECTION)
def slopes_lie_between_their_bounds(subject: Subject) -> str | None:
  """No slope of the map or of its inverse exceeds the bound that is stated."""
  made, _ = subject.of()
  bounds = made.bi_lipschitz_bounds()
  if not subject.case.has_bi_lipschitz_bounds:
    require(bounds[:2] == (0.0, np.inf), f'the bounds are {bounds}')
    return 'it states no bounds'
  order = bounds.order or 2.0
  if np.isnan(order):
    return 'the bounds of its parts are of different norms'
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
  return None


@properties.check(*properties.LAYERED)
def what_reports_computes_what_raises_does(subject: Subject) -> None:
  """transform and solve_inverse return the numbers of the other methods.

  Their solves have converged, by the residual that another path computes.
  """
  made, x = subject.of()
  result = made.transform(x, seed=1)
  y, log_det = map(tf.constant, subject.outputs()[:2])
  close('the value of transform', result.value, y)
  close('the log_det of transform', result.log_det, log_det)
  require(all(feature.shape[0] == len(x) for feature in result.features),
          'a feature has another batch size')
  inverted = made.solve_inverse(y)
  close('the value of solve_inverse', inverted.value, subject.outputs()[-1])
  counts = len(result.solves), len(inverted.solves)
  is_model = made.kind == properties.MODEL
  stated = (made.bijection if is_model else made).num_solves
  require(stated == counts, f'num_solves is {stated}, not {counts}')
  for solve in result.solves + inverted.solves:
    require(np.all(solve.solution.converged), 'a solve has not converged')
    atol, rtol = solve.solver.tolerances(tf.float64)
    close('the residual of a solve', solve.residual(),
          np.zeros(solve.target.shape),
          2 * (atol + rtol * np.abs(solve.target).max()) + 1e-12)


@properties.check(*properties.LAYERED)
def a_solve_that_fails_is_an_error(subject: Subject) -> str | None:
  """With too few steps no wrong number is returned: it raises, and reports."""
  made, x = subject.of()
  y, solver = tf.constant(subject.outputs()[0]), numerics.Banach(max_steps=2)
  has_solves = False
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
      has_solves = True
  return None if has_solves else 'nothing takes more than 2 steps of a solver'


@properties.check(*properties.LAYERED)
def skipping_takes_no_log_det(subject: Subject) -> None:
  """Without log-determinants, values are the same."""
  made, x = subject.of()
  result = made.transform(x, estimator=SKIPPED)
  close('the value', result.value, subject.outputs()[0], 1e-12)
  has_estimators = bool(getattr(made, 'bijection', made).estimators())
  require(np.all(np.isnan(result.log_det)) == has_estimators,
          f'log_det is {result.log_det}')


@properties.check(properties.MODEL)
def base_density_plus_log_det_is_log_prob(subject: Subject) -> None:
  """log_prob is the change of variables."""
  made, x = subject.of()
  z, log_det, *_ = subject.outputs()
  base = made.base.distribution().log_prob(z)
  close('log_prob', made.log_prob(x, seed=1), base + log_det, 0.0, 1e-10)
