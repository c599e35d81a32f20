"""Defects of what is stored that the checks find."""

from tests import cases
from tests.checks import planted
from tf_resflow.checks import storage
from tf_resflow.checks import subjects

test_defects = planted.defects_of(storage)


def test_what_is_not_frozen_iterates():
  """The check of frozen copies looks for the right operation."""
  case = cases.BIJECTIONS['residual_recompute']
  assert 'SelfAdjointEigV2' in storage.operations(subjects.traced(
      subjects.results, subjects.Instance(case.make('float64')),
      {'x': case.inputs('float64')}).get_concrete_function())
