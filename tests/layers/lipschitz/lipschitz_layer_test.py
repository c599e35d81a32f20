"""The contract of Lipschitz layers; see also tests/conformance."""

import pytest

from tf_resflow import layers
from tf_resflow.layers.lipschitz import lipschitz_layer


class Unknown(layers.LipschitzLayer):
  """States no bound."""


@pytest.mark.parametrize('factors, expected', [
    ([], 1), ([0.5], 0.5), ([0.5, 0.25], 0.125), ([0.5, None], None)])
def test_product_of_bounds(factors, expected):
  assert lipschitz_layer.product(factors) == expected


def test_an_unknown_bound_is_no_certificate():
  layer = Unknown()
  assert layer.lipschitz_bound is None
  assert layer.certificate() == (None, ())
  assert layers.Sequence([Unknown(), layers.ELU()]).lipschitz_bound is None
  with pytest.raises(NotImplementedError):
    layer.evaluate([], None)


def test_structures_leave_out_names_and_seeds():
  a, b, c = [layers.SpectralDense(units, seed=seed) for units, seed in (
      (3, 1), (3, 2), (4, 1))]
  for layer in (a, b, c):
    layer.build((None, 5))
  assert a.structure() == b.structure() != c.structure()
