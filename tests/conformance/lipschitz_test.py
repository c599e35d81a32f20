"""Lipschitz layers beside one another, and what they refuse."""

import keras
import pytest

from tests import cases
from tf_resflow import errors
from tf_resflow import layers


def test_structures_tell_layers_apart():
  structures = [case.make(dtype).structure() for case in
                cases.LIPSCHITZ.values() for dtype in ('float32', 'float64')]
  assert len(set(structures)) == len(structures)


@pytest.mark.parametrize('name, dtype', [
    ('elu', 'float16'), ('spectral_dense', 'mixed_float16'),
    ('act_norm_image', 'bfloat16')])
def test_refuses_low_precision_in_one_line(name, dtype):
  """`BaseLayer` does, from which all layers derive."""
  with pytest.raises(errors.InvalidValueError, match=(
      rf'^dtype=(mixed_)?{dtype.removeprefix("mixed_")}: expected float32 or '
      'float64')) as error:
    (cases.LIPSCHITZ | cases.BIJECTIONS)[name].make_fn(dtype)
  assert '\n' not in str(error.value)


def test_refuses_a_global_policy_of_low_precision():
  keras.config.set_dtype_policy('mixed_bfloat16')
  try:
    with pytest.raises(errors.InvalidValueError, match='dtype=mixed_bfloat16'):
      layers.SpectralDense(3)
  finally:
    keras.config.set_dtype_policy('float32')
