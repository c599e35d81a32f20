"""Defects of what takes a condition that the checks find."""

from tests.checks import planted
from tf_resflow.checks import conditions

test_defects = planted.defects_of(conditions)
