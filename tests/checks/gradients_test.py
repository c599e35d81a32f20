"""Defects of gradients that the checks find."""

from tests.checks import planted
from tf_resflow.checks import gradients

test_defects = planted.defects_of(gradients)
