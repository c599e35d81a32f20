"""Which checks a subject has."""

import pytest

from tests import cases
from tests.checks import planted
from tests.checks.planted import sound
from tf_resflow.checks import properties
from tf_resflow.checks import running


@pytest.mark.parametrize('name, kind', [
    ('elu', properties.LIPSCHITZ), ('residual_exact', properties.BIJECTION),
    ('bijector_act_norm', properties.BIJECTOR),
    ('vector_flow', properties.MODEL), ('flow_noise', properties.OTHER),
    ('vector_network', properties.NETWORK),
    ('noise_uniform', properties.OTHER)])
def test_kinds_are_those_of_the_base_classes(name, kind):
  assert properties.kind_of(
      cases.everything()[name].make_fn('float32')) == kind


def test_every_check_has_found_something():
  assert not planted.never_seen()


def test_why_a_check_does_not_apply():
  case = running.case_of(sound.Scale, (3,))
  reasons = {name: check.reason_against(properties.BIJECTION, case)
             for name, check in running.ALL.items()}
  assert reasons['log_det_is_that_of_the_jacobian'] is None
  assert reasons['seeds_decide_what_is_drawn'] == 'nothing is drawn'
  assert reasons['shapes_are_those_that_are_stated'] == (
      'it is asked of a Lipschitz layer')
  assert reasons['one_condition_serves_a_whole_batch'] == (
      'it takes no condition')
