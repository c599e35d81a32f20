"""Types of columns against SciPy, finite differences and uniform cells."""

import decimal

import numpy as np
from scipy import special
import tensorflow as tf

from tests import loops
from tests import testing
from tf_resflow import layers
from tf_resflow.columns import column_types

_X = np.array([1e-3, 0.4, 3.0, 77.0])
_ORACLES = {
    'real': lambda x: x, 'log': np.log, 'integer': np.log,
    'signed_integer': lambda x: x,
    'logit:100': lambda x: special.logit(x / 100),
    'heavy:2:0.5': lambda x: np.arcsinh((x - 2) / 0.5),
    'heavy_integer:2:0.5': lambda x: np.arcsinh((x - 2) / 0.5)}


@loops.each(_ORACLES)
def test_maps_inverses_and_slopes(spec):
  column_type = column_types.ColumnType.get(spec)
  for x in (_X, -_X) if spec[0] in 'rsh' else (_X,):
    y = column_type.forward(x, np)
    np.testing.assert_allclose(y, _ORACLES[spec](x), rtol=1e-12)
    np.testing.assert_allclose(column_type.inverse(y, np), x, rtol=1e-9)
    step = 1e-6 * np.abs(x)
    slopes = (column_type.forward(x + step, np) -
              column_type.forward(x - step, np)) / (2 * step)
    np.testing.assert_allclose(
        np.exp(column_type.log_slope(y, np)), slopes, rtol=1e-6)
    # TensorFlow's functions have the same names, and other code.
    np.testing.assert_allclose(
        column_type.forward(tf.constant(x), tf.math), y, rtol=1e-12)


def test_far_values_keep_their_digits():
  """Also in float32; a sentinel costs others nothing."""
  x = np.array([0.1, 0.1000001, 2147483647.0, 1e17], np.float32)
  heavy = column_types.stacked([column_types.Heavy(0.0, 0.3)], np.float32)
  y = heavy.forward(x[:, np.newaxis], np)[:, 0]
  assert y.dtype == np.float32 and len(set(y)) == 4 and y.max() < 50
  np.testing.assert_allclose(heavy.inverse(y, np), x, rtol=1e-5)


@loops.each([
    (np.float32, [-1e38, -3e19, 1e-6, 7.0, 1.7e19, 1e25, 1e38]),
    (np.float64, [-1e300, -1e155, 1e-9, 7.0, 1e153, 1e300])])
def test_heavy_values_of_any_size(dtype, x):
  """Against asinh in extended precision; their squares overflow."""
  for scale in (0.01, 1.0, 1e6):
    heavy = column_types.stacked([column_types.Heavy(0.0, scale)], dtype)
    ratio = np.longdouble(np.array(x, dtype)) / np.longdouble(dtype(scale))
    y = heavy.forward(np.array(x, dtype), np)
    rtol = 10 * np.finfo(dtype).eps
    np.testing.assert_allclose(y, np.arcsinh(ratio), rtol=rtol)
    np.testing.assert_allclose(
        heavy.log_slope(y, np), -0.5 * np.log1p(ratio**2) - np.log(
            np.longdouble(scale)), rtol=rtol, atol=200 * rtol)


def test_grids_are_exact():
  """Decimals are those of Python's text; naive quotients are not."""
  k = np.arange(-3000.0, 90_000.0, 7)
  for text in ('0.01', '0.1', '0.05', '0.25', '2.5', '25', '1', '1e-05'):
    x = np.array([float(decimal.Decimal(text) * int(i)) for i in k])
    grid = column_types.SignedInteger(float(text))
    np.testing.assert_array_equal(grid.values(k), x)
    layer = layers.UniformDequantization([1], steps=[float(text)])
    for dtype in ('float32', 'float64'):
      rows = np.stack([x, x], axis=1).astype(dtype)
      np.testing.assert_array_equal(grid.units(rows[:, 1], np), k)
      y, log_weight = layer.augment(tf.constant(rows), seed=0)
      assert np.all((y[:, 1] >= k) & (y[:, 1] < k + 1))
      np.testing.assert_array_equal(layer.project(y), rows)
      np.testing.assert_allclose(log_weight, -np.log(float(text)), rtol=1e-6)
      between = rows[:, 1] + np.array(0.3 * float(text), dtype)
      assert grid.is_on(rows[:, 1]).all() and not grid.is_on(between).any()
      np.testing.assert_array_equal(
          layer.points(tf.stack([between] * 2, axis=1))[0, :, 1],
          np.array(k + 1 / 32, dtype))
  assert grid.spec() == 'signed_integer:1e-05'
  assert np.any(np.floor(x / 1e-5) != k)


def test_rounding_around_0_is_on_the_grid():
  """In cells of both sides, in steps, and in layers."""
  x = np.array([0.1 + 0.2 - 0.3, 0.3 - 0.2 - 0.1, 0.0, 0.3, -0.7])
  assert x[0] > 0.0 > x[1] and column_types.step_of(x) == 0.1
  # Nearly 0 in millions, as all numbers of this size are.
  assert column_types.step_of(np.array([0.1, 0.15])) == 0.05
  assert column_types.step_of(np.array([3e-7, 0.3])) == 3e-7
  for spec in ('signed_integer:0.1', 'integer:0.1'):
    grid = column_types.ColumnType.get(spec)
    layer = layers.UniformDequantization([0], steps=[0.1])
    for dtype in ('float32', 'float64'):
      rounded = x.astype(dtype)
      k = grid.units(rounded, np)
      np.testing.assert_array_equal(k, [0, 0, 0, 3, -7])
      assert grid.is_on(rounded).all()
      assert grid.supports(k[:4] + 0.5).all()
      np.testing.assert_array_equal(
          layer.cells(tf.constant(rounded[:, np.newaxis]))[:, 0], k)
    between = np.array([1e-6, -1e-6])
    np.testing.assert_array_equal(grid.units(between, np), [0, -1])
    assert not grid.is_on(between).any()


def test_fitted():
  rng = np.random.default_rng(0)
  x = 3.0 + 2.0 * rng.standard_normal(100_000)
  heavy = column_types.Heavy.fitted(x)
  np.testing.assert_allclose([heavy.center, heavy.scale], [3, 2], rtol=0.02)
  integer = column_types.Integer.fitted
  assert (integer(np.arange(3)).spec(), integer(np.arange(-1, 3)).spec()) == (
      'integer', 'signed_integer')
  assert integer(np.arange(3), 25.0).spec() == 'integer:25'
  grid = column_types.HeavyInteger.fitted(np.round(x, 1))
  np.testing.assert_allclose([grid.center, grid.scale], [30.5, 20], rtol=0.02)
  assert grid.step == 0.1 and column_types.ColumnType.get(grid.spec()) == grid
  whole = column_types.HeavyInteger(2.0, 1.0)
  assert whole.spec() == 'heavy_integer:2.0:1.0'
  assert column_types.ColumnType.get(whole.spec()) == whole


def test_refused():
  testing.check_refusals(column_types.ColumnType.get, [
      ('lgo', 'column type=lgo: expected one of real, log,'),
      ('logit:-1', '...upper=-1.0: expected a number > 0'),
      ('heavy:0:0', '...scale=0.0: expected a number > 0'),
      ('heavy_integer:0:0', '...scale=0.0: expected a number > 0'),
      ('heavy_integer:0:1:0', '...step=0.0: expected a number > 0')])
