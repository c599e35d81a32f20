"""Which checks a subject has."""

import pytest

from tests import cases
from tests.checks import planted
from tf_resflow.checks import properties
from tf_resflow.checks import running


@pytest.mark.parametrize('name, kind', [
    ('elu', properties.LIPSCHITZ), ('residual_exact', properties.BIJECTION),
    ('bijector_act_norm', properties.BIJECTOR),
    ('vector_flow', properties.MODEL), ('flow_noise', properties.OTHER),
    ('noise_uniform', properties.OTHER)])
def test_kinds_are_those_of_the_base_classes(name, kind):
  assert properties.kind_of(
      cases.everything()[name].make_fn('float32')) == kind


def test_checks_apply_by_kind_and_by_what_a_case_has():
  case = running.case_of(planted.Scale, (3,))
  found = {check.name for check in running.ALL.values() if check.applies(
      properties.BIJECTION, case)}
  assert 'log_det_is_that_of_the_jacobian' in found
  assert not found & {
      'seeds_decide_what_is_drawn', 'shapes_are_those_that_are_stated'}
