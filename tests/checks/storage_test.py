"""Defects of what is stored that the checks find."""

import pytest

from tests import cases
from tests.checks import planted
from tf_resflow.checks import storage


@pytest.mark.parametrize('make, check, problem', [
    (planted.LosesItsArguments, storage.configurations_hold_everything,
     'an output of the copy is'),
    (planted.HidesItsVariable, storage.checkpoints_hold_everything,
     'of the checkpoint is'),
    (planted.FrozenFollows,
     storage.frozen_copies_compute_alike_and_nothing_moves_them,
     'the variables have gradients'),
    (planted.RenamesItsCopy, storage.frozen_copies_state_what_the_original_does,
     'name is other')])
def test_defects(make, check, problem):
  planted.finds(make, check, problem)


def test_what_is_not_frozen_iterates():
  """The check of frozen copies looks for the right operation."""
  case = cases.BIJECTIONS['residual_recompute']
  assert 'SelfAdjointEigV2' in storage.operations(
      storage.trace(case.make('float64'), case.event_shape))
