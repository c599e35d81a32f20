"""The logit against that of TFP, and at its ends; standardisation."""

import numpy as np
import tensorflow as tf
from tensorflow_probability import bijectors as tfb

from tests import loops
from tests import testing
from tf_resflow import layers


@loops.each([0.05, 1e-6])
def test_logit_equals_the_bijectors_of_tfp(alpha):
  rng = np.random.default_rng(0)
  x = tf.constant(rng.uniform(size=[4, 3, 2]))
  scale = tf.constant(1.0 - 2.0 * alpha, tf.float64)
  theirs = tfb.Chain([
      tfb.Invert(tfb.Sigmoid()),
      tfb.Shift(tf.constant(alpha, tf.float64)), tfb.Scale(scale)])
  y, log_det = layers.Logit(alpha, dtype='float64').forward_and_log_det(x)
  np.testing.assert_allclose(y, theirs.forward(x), atol=1e-12)
  np.testing.assert_allclose(
      log_det, theirs.forward_log_det_jacobian(x, event_ndims=2), atol=1e-11)


@loops.each([0.05, 1e-6])
def test_logit_is_finite_and_symmetric_at_the_ends(alpha):
  layer = layers.Logit(alpha)
  x = tf.constant([[0.0], [1.0]])
  y, log_det = layer.forward_and_log_det(x)
  expected = np.log(alpha / (1.0 - alpha))
  np.testing.assert_allclose(y[:, 0], [expected, -expected], rtol=1e-5)
  np.testing.assert_allclose(log_det[0], log_det[1], rtol=1e-6)
  np.testing.assert_allclose(layer.inverse(y), x, atol=1e-6)


def test_refusals():
  testing.check_refusals(layers.Logit, [
      (alpha, f'alpha={alpha}: expected a number')
      for alpha in (0.0, 0.5, -0.1)])
  testing.check_refusals(lambda values: layers.Standardize(*values), [
      *(((mean, std), '...positive numbers, one per number') for mean, std in (
          ([], []), ([0.5], [0.5, 0.5]), ([0.5], [0.0]), ([0.5], [-1.0]))),
      (([0.0, 0.0], [1.0, 1.0], [1.0, 0.5, -1.0]), 'whitening=-1 on the')])
  testing.check_refusals(layers.Standardize([0.5, 0.5], [1.0, 1.0]).build, [
      ((None, 4, 4, 3), '...expected 2 channels, the length of m')])


def test_whitening_makes_covariances_the_identity():
  rng = np.random.default_rng(0)
  x = rng.normal(size=[50, 3]) @ rng.normal(size=[3, 3]) + 5.0
  mean, std = x.mean(axis=0), x.std(axis=0)
  matrix = np.linalg.inv(np.linalg.cholesky(np.corrcoef(x.T)))
  layer = layers.Standardize(
      mean.tolist(), std.tolist(), matrix[np.tril_indices(3)].tolist(),
      dtype='float64')
  y, log_det = layer.forward_and_log_det(tf.constant(x))
  np.testing.assert_allclose(np.cov(y.numpy().T, ddof=0), np.eye(3), atol=1e-12)
  # Of a linear map, by the volumes of both sets of points.
  np.testing.assert_allclose(
      log_det, np.full([50], -0.5 * np.linalg.slogdet(np.cov(x.T, ddof=0))[1]))


@loops.each(['float32', 'float64'])
def test_inverses_of_any_number_have_a_density(dtype):
  """Of columns that would be rounded to their bounds."""
  types = ['logit', 'logit:100', 'log', 'heavy:0:2', 'real']
  y = np.tile(np.array([
      [-800], [-90], [-16.7], [0], [16.5], [16.7], [90], [800]], dtype), [1, 5])
  maps = layers.ColumnMaps(types, dtype=dtype)
  x, log_det = maps.inverse_and_log_det(tf.constant(y))
  assert np.all(maps.supports(x)) and np.all(x[:, :2] < [1.0, 100.0])
  far = np.abs(np.float64(y[:, 0]))
  slopes = 2.0 * (far + 2.0 * np.log1p(np.exp(-far))) - np.log(100.0) - y[
      :, 2] - np.logaddexp(far, -far)
  np.testing.assert_allclose(log_det, -slopes, rtol=1e-6, atol=1e-4)
  assert np.all(np.isfinite(maps.forward_and_log_det(x)[1]))


def test_rows_outside_of_the_support_have_no_density():
  maps = layers.ColumnMaps(['log', 'logit:100', 'real'])
  x = tf.constant([
      [1.0, 50.0, -3.0], [0.0, 50.0, 0.0], [-1.0, 50.0, 0.0],
      [1.0, 0.0, 0.0], [1.0, 100.0, 0.0], [1.0, 101.0, 0.0]])
  with tf.GradientTape() as tape:
    tape.watch(x)
    y, log_det = maps.forward_and_log_det(x)
    total = tf.reduce_sum(y)
  assert np.isfinite(log_det).tolist() == [True] + 5 * [False]
  assert np.all(log_det[1:] == -np.inf) and np.all(np.isfinite(y))
  assert np.all(np.isfinite(tape.gradient(total, x)))


def test_infinity_has_no_density():
  maps = layers.ColumnMaps(['real', 'log'])
  x = tf.constant([[np.inf, 1.0], [0.0, np.inf], [0.0, np.nan]])
  y, log_det = maps.forward_and_log_det(x)
  assert log_det.numpy()[:2].tolist() == [-np.inf] * 2
  assert np.isfinite(y[:2]).all() and np.isnan(y[2]).any()
