"""Studies of what came after the paper; paper_test.py checks their settings."""

from tf_resflow.experiments import successors
from tf_resflow.specs import registries


def test_no_type_is_left_out():
  """Those of blocks, networks and noise, beside couplings of other studies."""
  cases = [case for study in (successors.IMAGES, successors.TOYS)
           for case in study.cases.values()]
  for field, registry, first in (
      ('block', registries.BLOCKS, 'residual'),
      ('network', registries.NETWORKS, 'plain'),
      ('dequantization', registries.DEQUANTIZATIONS, 'uniform')):
    used = {case.get(field, first).partition(':')[0] for case in cases}
    assert used == {*registry.names()} - {'coupling'}
