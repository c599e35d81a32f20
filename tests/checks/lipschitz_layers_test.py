"""Defects of Lipschitz layers that the checks find."""

from tests.checks import planted
from tf_resflow.checks import lipschitz_layers

test_defects = planted.defects_of(lipschitz_layers)
