"""The monotone block against an oracle of full Jacobians, in float64."""

import keras
import numpy as np
import pytest
from scipy import stats
import tensorflow as tf

from tests import networks
from tests import testing
from tests.numerics import averages
from tests.numerics import cases
from tf_resflow import layers
from tf_resflow import numerics

_SOLVER = numerics.Anderson(atol=1e-13, rtol=0.0)
_CASES = {
    'dense': (networks.dense_g, (3,)), 'conv': (networks.conv_g, (4, 4, 2))}


def _make(kind, scale=4.0):
  """Returns a block whose kernels are away from their initial values."""
  make_g, shape = _CASES[kind]
  block = layers.MonotoneBlock(make_g('float64'), solver=_SOLVER)
  block.build((None, *shape))
  for layer in block.constrained_layers():
    layer.kernel.assign(scale * layer.kernel)
  block.g.save_norms()
  rng = np.random.default_rng(2)
  return block, tf.constant(rng.normal(size=[3, *shape]))


def _solution(block, x):
  """Returns `w` with `w + g(w) = sqrt(2) x`, by the plain iteration."""
  weights, w = block.function.weights(*block.g.tensors()), x
  for _ in range(300):
    w = 2.0**0.5 * x - block.function.evaluate(weights, w)
  return w


def _oracle(block, x):
  """Returns `y` and the log-determinant by full Jacobians, differentiable."""
  w = tf.stop_gradient(_solution(block, x))
  jacobian = testing.full_jacobian(block.g, w)
  identity = tf.eye(jacobian.shape[-1], dtype=x.dtype)
  # A step of Newton's method from the solution has its derivative.
  step = tf.linalg.solve(
      identity + tf.stop_gradient(jacobian),
      tf.reshape(w + block.g(w) - 2.0**0.5 * x, [len(x), -1, 1]))
  assert np.abs(step).max() < 1e-12
  w -= tf.reshape(step, x.shape)
  jacobian = testing.full_jacobian(block.g, w)
  return 2.0**0.5 * w - x, (tf.linalg.slogdet(identity - jacobian)[1] -
                            tf.linalg.slogdet(identity + jacobian)[1])


def _differentiate(function, block, x):
  """Returns outputs and gradients of cotangents that differ by example."""
  weights = [v.value for v in block.trainable_variables]
  with tf.GradientTape() as tape:
    tape.watch(x)
    outputs = function(block, x)
  return [*outputs, *tape.gradient(
      outputs, [x, *weights], averages.cotangents(x))]


@pytest.mark.parametrize('kind', _CASES)
def test_values_and_gradients_are_those_of_the_full_jacobian(kind):
  block, x = _make(kind)
  expected = _differentiate(_oracle, block, x)
  found = _differentiate(
      lambda block, x: block.forward_and_log_det(x, estimator='exact'),
      block, x)
  for a, b in zip(found, expected, strict=True):
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-8)
  y, log_det, *_ = expected
  x_again, inverse_log_det = block.inverse_and_log_det(y, estimator='exact')
  np.testing.assert_allclose(x_again, x, atol=1e-10)
  np.testing.assert_allclose(inverse_log_det, -log_det, atol=1e-10)
  # It is far from linear, and from volume-preserving.
  assert np.abs(log_det).max() > 0.1


class _Given(numerics.RussianRoulette):
  """The roulette, of a draw from outside."""

  current = None

  def draw(self, x, seed):
    return type(self).current


def test_mean_of_estimate_and_gradient_weighted_by_example():
  """Over all probes and numbers of terms, with a batch in chunks."""
  block, x = _make('dense')
  block.function.max_examples = lambda: 2
  estimator = _Given(numerics.Poisson(2.0))

  @tf.function(autograph=False)
  def estimate(draw):
    _Given.current = draw
    return _differentiate(lambda block, x: block.forward_and_log_det(
        x, estimator=estimator), block, x)

  total, size = 0.0, x.shape[1]
  for draw, probability in cases.every_number(stats.poisson(2))(
      estimator, None, None):
    for axis in np.eye(size):
      probe = tf.constant(np.tile(size**0.5 * axis, [len(x), 1]))
      total += probability / size * np.concatenate([
          np.ravel(t) for t in estimate(draw._replace(probe=probe))])
  expected = np.concatenate(
      [np.ravel(t) for t in _differentiate(_oracle, block, x)])
  np.testing.assert_allclose(total, expected, rtol=0, atol=1e-8)


def _slopes(block, x):
  """Returns the least and the greatest singular value of the Jacobian."""
  jacobian = testing.full_jacobian(block.g, _solution(block, x)).numpy()
  identity = np.eye(jacobian.shape[-1])
  singular = np.linalg.svd(
      (identity - jacobian) @ np.linalg.inv(identity + jacobian),
      compute_uv=False)
  return singular.min(), singular.max()


@pytest.mark.parametrize('kind', _CASES)
@pytest.mark.parametrize('scale', [1.0, 9.0])
def test_slopes_never_pass_their_bounds(kind, scale):
  block, x = _make(kind, scale)
  least, greatest = _slopes(block, x)
  bounds = block.bi_lipschitz_bounds()
  assert 0.0 < bounds.lower <= least < 1.0 < greatest <= bounds.upper


def test_slopes_reach_their_bounds():
  """Where `g` is one linear layer, whose norm is an eigenvalue of both signs.
  """
  block = layers.MonotoneBlock(
      layers.SpectralDense(5, coeff=0.98, dtype='float64'), solver=_SOLVER)
  block.build((None, 5))
  q, _ = np.linalg.qr(np.random.default_rng(0).normal(size=[5, 5]))
  block.g.kernel.assign((q * [3.0, -3.0, 1.0, 0.5, 0.1]) @ q.T)
  least, greatest = _slopes(block, tf.zeros([1, 5], tf.float64))
  bounds = block.bi_lipschitz_bounds()
  assert bounds.lower <= least < 1.01 * bounds.lower
  assert 0.99 * bounds.upper < greatest <= bounds.upper
  assert bounds.upper == pytest.approx(99.0, rel=1e-3)


def test_bounds_of_what_is_not_proven():
  """Certificates of 1 and more say nothing of slopes."""
  g = layers.LipschitzSequential([
      layers.InducedNormDense(4, domain=3, codomain=3, bound='estimate'),
      layers.InducedNormDense(4, domain=3, codomain=3, bound='estimate')])
  block = layers.MonotoneBlock(g)
  block.build((None, 4))
  for layer in block.constrained_layers():
    layer.kernel.assign(tf.random.stateless_normal([4, 4], [0, 1]))
  assert block.certificate().bound > 1.0
  bounds = block.bi_lipschitz_bounds()
  assert bounds[:2] == (0.0, np.inf)
  assert bounds.bound_source == 'estimate'


def _fitted_slopes(block_class):
  """Fits `y = 20 x`; returns the slopes of the fit, and its largest error."""
  x = tf.constant(np.linspace(-1.0, 1.0, 33)[:, np.newaxis], tf.float32)
  block = block_class(keras.Sequential([
      layers.SpectralDense(16, coeff=0.98, seed=1), layers.MaxMin(),
      layers.SpectralDense(1, coeff=0.98, seed=5)]))
  block.build((None, 1))
  optimizer = keras.optimizers.Adam(0.03)
  optimizer.build(block.trainable_variables)

  @tf.function(autograph=False)
  def step():
    with tf.GradientTape() as tape:
      y, _ = block.forward_and_log_det(x, estimator=numerics.NoLogDet())
      loss = tf.reduce_mean((y - 20.0 * x)**2)
    optimizer.apply(
        tape.gradient(loss, [v.value for v in block.trainable_variables]),
        block.trainable_variables)
    return loss

  for _ in range(150):
    step()
  y = block(x).numpy()
  return np.diff(y[:, 0]) / np.diff(x[:, 0]), np.abs(y - 20.0 * x).max()


def test_it_fits_slopes_that_a_residual_block_cannot():
  slopes, error = _fitted_slopes(layers.MonotoneBlock)
  assert error < 0.5 and slopes.max() > 19.0
  slopes, error = _fitted_slopes(layers.ResidualBlock)
  assert error > 17.0 and slopes.max() < 2.0


def test_under_xla_examples_that_did_not_converge_are_nan():
  """And theirs alone; 0 is its own solution."""
  block, x = _make('dense')
  for layer in block.constrained_layers():
    layer.bias.assign(tf.zeros_like(layer.bias))
  x *= tf.constant([[0.0], [1.0], [1.0]], x.dtype)
  y, log_det = tf.function(
      lambda x: block.forward_and_log_det(
          x, estimator='exact', solver=numerics.Banach(max_steps=2)),
      jit_compile=True, autograph=False)(x)
  expected = [False, True, True]
  np.testing.assert_array_equal(np.isnan(log_det), expected)
  np.testing.assert_array_equal(np.isnan(y).all(axis=1), expected)
  np.testing.assert_array_equal(np.isnan(y).any(axis=1), expected)
