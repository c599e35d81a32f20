"""Defects of Lipschitz layers that the checks find."""

import pytest

from tests.checks import planted
from tf_resflow.checks import lipschitz_layers


@pytest.mark.parametrize('make, check, problem', [
    (planted.Steep,
     lipschitz_layers.no_slope_exceeds_the_bound_or_the_certificate,
     'slopes reach 1.2; lipschitz_bound is 1,'),
    (planted.KeepsItsWeights,
     lipschitz_layers.pure_parts_know_only_the_structure,
     'y of another layer is'),
    (planted.MisstatesItsShape,
     lipschitz_layers.shapes_are_those_that_are_stated, 'stated are (None, 4)'),
    (planted.CountsCalls, lipschitz_layers.pure_parts_agree_with_the_call,
     'y is'),
    (planted.StopsGradients, lipschitz_layers.pure_parts_agree_with_the_call,
     'bias is None')])
def test_defects(make, check, problem):
  planted.finds(make, check, problem)
