"""Defects of bijections that the checks find."""

from tests.checks import planted
from tf_resflow.checks import bijections

test_defects = planted.defects_of(bijections)
