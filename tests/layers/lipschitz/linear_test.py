"""Properties of all linear layers, whatever bounds their norms."""

import math

import numpy as np
import pytest

from tests import cases
from tests import loops
from tf_resflow import errors
from tf_resflow import layers

# One for each norm, and the kernels whose norm is not that of a matrix.
_NAMES = ('spectral_dense', 'spectral_conv', 'induced_columns',
          'induced_estimate', 'induced_conv_upper', 'induced_conv_1x1')


@loops.each(_NAMES, [1e-30, 1e30])
def test_kernels_of_any_size(name, scale):
  case = cases.LIPSCHITZ[name]
  layer = case.make('float32')
  layer(case.inputs('float32'))
  # So large that every row is divided.
  kernel = 10.0 * layer.kernel.numpy() / np.abs(layer.kernel.numpy()).max()
  layer.kernel.assign(kernel)
  norm, normalized = layer.norm(), layer.normalized_kernel()
  layer.kernel.assign(scale * kernel)
  np.testing.assert_allclose(layer.norm(), scale * norm, rtol=1e-3)
  if scale < 1:
    np.testing.assert_array_equal(layer.normalized_kernel(), layer.kernel.value)
  else:
    np.testing.assert_allclose(layer.normalized_kernel(), normalized, rtol=2e-3)


@loops.each(_NAMES)
def test_scales_of_activations_join_the_weights(name):
  case = cases.LIPSCHITZ[name]
  layer = case.make('float64')
  x = case.inputs('float64')
  variables, state = layer.tensors()
  norms = layer.converge_norms(variables, state)
  scaled = layer.effective_weights(
      variables, norms, input_scale=0.3, output_scale=2.0)
  np.testing.assert_allclose(
      layer.evaluate(scaled, x), 2.0 * layer(0.3 * x), rtol=1e-10)


@loops.each(
    [layers.SpectralDense, layers.InducedNormDense],
    [0.0, 1.0, -0.5, math.nan])
def test_refuses_other_bounds(kind, coeff):
  with pytest.raises(errors.InvalidValueError, match='strictly between 0 and'):
    kind(3, coeff=coeff)
