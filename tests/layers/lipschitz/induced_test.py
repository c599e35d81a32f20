"""Layers with induced norms: what they divide by, keep, and refuse.

Oracle: brute force on the materialised operator, in float64.
"""

import math

import numpy as np
import pytest
import tensorflow as tf

from tests import loops
from tests import testing
from tests.layers import operators
from tests.numerics.norms import induced_oracle
from tf_resflow import errors
from tf_resflow import layers

_INF = math.inf


def _dense(size, num_inputs=6, scale=1.0, seed=0, **kwargs):
  """A layer with a Gaussian kernel."""
  layer = layers.InducedNormDense(size, coeff=0.9, dtype='float64', **kwargs)
  layer.build((None, num_inputs))
  layer.kernel.assign(scale * np.random.default_rng(seed).normal(
      size=[num_inputs, size]))
  return layer


@loops.each([([5], 'upper'), ([4, 3, 2], 'estimate')])
def test_order_2_is_the_spectral_layer(shape, bound):
  def make(dense, conv, **kwargs):
    kwargs |= {'seed': 3, 'dtype': 'float64', 'coeff': 0.5}
    return dense(4, **kwargs) if len(shape) == 1 else conv(4, 3, **kwargs)

  x = tf.constant(np.random.default_rng(0).normal(size=[2, *shape]))
  induced = make(layers.InducedNormDense, layers.InducedNormConv2D, bound=bound)
  spectral = make(layers.SpectralDense, layers.SpectralConv2D)
  np.testing.assert_array_equal(induced(x), spectral(x))
  assert induced.bound_source == 'construction'
  assert induced.certificate() == spectral.certificate()


@loops.each([
    (*pair, (3, 8)[i % 2]) for i, pair in enumerate(induced_oracle.PAIRS[::2])])
def test_the_bound_is_kept_where_it_is_proven(domain, codomain, size):
  layer = _dense(size, domain=domain, codomain=codomain)
  assert layer.bound_source == 'construction'
  norm = operators.true_norm(layer)
  assert 0.5 * layer.coeff < norm <= layer.coeff * (1.0 + 1e-3)
  certificate = layer.certificate(target=layer.coeff)
  assert norm <= certificate.bound <= layer.coeff * (1.0 + 1e-3)
  assert layer.norm_estimate() == pytest.approx(layer.coeff)
  # A kernel that is small enough stays as it is.
  small = _dense(size, scale=0.01, domain=domain, codomain=codomain)
  np.testing.assert_array_equal(small.normalized_kernel(), small.kernel.value)


def test_rows_and_columns_are_divided_each_for_itself():
  rows = _dense(3, domain=_INF, codomain=_INF)
  rows.kernel.assign(np.diag([0.1, 5.0, 0.2, 0.0, 0.0, 0.0])[:, :3])
  np.testing.assert_allclose(np.diag(rows.normalized_kernel()), [0.1, 0.9, 0.2])
  columns = _dense(6, domain=1, codomain=1)
  columns.kernel.assign(np.diag([0.1, 5.0, 0.2, 0.3, 2.0, 0.0]))
  np.testing.assert_allclose(
      np.diag(columns.normalized_kernel()), [0.1, 0.9, 0.2, 0.3, 0.9, 0.0])


def test_an_estimate_says_that_it_is_one():
  """The norm exceeds estimates, and does not exceed certificates."""
  exceeded = 0
  for seed in range(6):
    layer = _dense(12, 12, seed=seed, domain=_INF, codomain=2,
                   bound='estimate', num_vectors=1)
    assert layer.bound_source == 'estimate' and layer.lipschitz_bound == 0.9
    found, norm = layer.norm_estimate(), operators.true_norm(layer)
    assert found <= norm * (1.0 + 1e-6)
    assert 0.9 * (1.0 - 1e-3) <= norm <= layer.certificate().bound
    exceeded += found > 0.9 * 1.005
  assert exceeded >= 1


def test_the_released_norm_of_1x1_kernels_leaves_the_image_out():
  """12 pixels with p > q: a search finds 12^(1/q - 1/p) times the bound."""
  layer = layers.InducedNormConv2D(
      3, 1, coeff=0.9, domain=3, codomain=1.5, bound='released',
      dtype='float64')
  layer.build((None, 3, 4, 2))
  layer.kernel.assign(np.random.default_rng(0).normal(size=[1, 1, 2, 3]))
  assert layer.v.shape == (1, 2)
  found = layer.norm_estimate()
  assert found == pytest.approx(0.9 * 12**(1 / 1.5 - 1 / 3), rel=1e-3)
  assert operators.true_norm(layer) == pytest.approx(found, rel=1e-3)
  assert layer.certificate().bound >= found


@loops.each([
    (1, 2, 'upper'), (2, 2, 'upper'), (_INF, 3, 'upper'),
    (1.5, _INF, 'estimate'), (1.5, 3, 'upper'), (3, 1.5, 'estimate'),
    (1.5, 3, 'estimate')])
def test_gradients_are_those_of_the_normalised_kernel(domain, codomain, bound):
  """Norms are converged anew on either side of a finite difference."""
  layer = _dense(4, 3, domain=domain, codomain=codomain, bound=bound,
                 tolerance=1e-10, max_power_iterations=2000, seed=2)
  kernel = layer.kernel.numpy()
  rng = np.random.default_rng(1)
  weights, direction = rng.normal(size=[2, 3, 4])
  with tf.GradientTape() as tape:
    value = tf.reduce_sum(weights * layer.normalized_kernel())
  gradient = tape.gradient(value, layer.kernel.value)

  def value_at(kernel):
    layer.kernel.assign(kernel)
    return tf.reduce_sum(weights * layer.normalized_kernel())

  assert np.sum(gradient * direction) == pytest.approx(
      testing.central_difference(value_at, kernel, direction), rel=1e-4)


@loops.each([
    (lambda: layers.InducedNormDense(3, domain=0.5),
     r'domain=0.5: expected an order in \[1, inf\]'),
    (lambda: layers.InducedNormDense(3, codomain=math.nan), 'codomain=nan'),
    (lambda: layers.InducedNormDense(3, bound='guess'),
     'bound=guess: expected one of upper, estimate')])
def test_refuses(make_fn, message):
  with pytest.raises(errors.InvalidValueError, match=message):
    make_fn()
