"""Defects of bijections that the checks find."""

import pytest

from tests.checks import planted
from tf_resflow.checks import bijections


@pytest.mark.parametrize('make, check, problem', [
    (planted.WrongSign, bijections.log_det_is_that_of_the_jacobian,
     'at x = ['),
    (planted.WrongInverse, bijections.inverse_is_that_of_the_forward_direction,
     'inverse(forward(x)) in float32 is'),
    (planted.TightBounds, bijections.slopes_lie_between_their_bounds,
     'have the bounds (0.99, 1.01)'),
    (planted.NoGradient, bijections.every_example_has_a_weight_of_its_own,
     'or changes without one'),
    (planted.Biased, bijections.mean_of_all_draws_is_the_log_det,
     'the mean of log_det is'),
    (planted.OneWay, bijections.log_dets_of_both_directions_are_opposite,
     'inverse_log_det_jacobian is'),
    (planted.SkipsMore, bijections.skipping_takes_no_log_det, 'the value is'),
    (planted.HidesSolves, bijections.a_solve_that_fails_is_an_error,
     'the inverse direction without an error after 2 steps is')])
def test_defects(make, check, problem):
  planted.finds(make, check, problem)
