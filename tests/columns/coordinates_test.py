"""Standardised rows: their moments, slopes and means; sets of types."""

import numpy as np
import pytest

from tests import loops
from tf_resflow.columns import coordinates

_TYPES = 'log', 'real', 'integer'


def _rows(num_rows=400):
  rng = np.random.default_rng(0)
  c = rng.normal(3.0, 2.0, [num_rows, 2])
  x = np.stack([np.exp(0.5 * c[:, 0] + 0.1 * rng.normal(size=num_rows)),
                7.0 - c[:, 1] + 0.2 * rng.normal(size=num_rows),
                rng.poisson(9.0, num_rows)], axis=1)
  return x, c, rng.random(x.shape)


@loops.each([False, True])
def test_moments_and_slopes(is_conditional):
  x, c, noise = _rows()
  condition = c if is_conditional else None
  fitted, of_folds, _ = coordinates.fitted(_TYPES, x, noise, condition)
  np.testing.assert_allclose(of_folds.std(axis=0), 1.0)
  z, log_det = fitted(x, condition, noise)
  np.testing.assert_allclose(z.mean(axis=0), 0.0, atol=1e-9)
  np.testing.assert_allclose(z.std(axis=0), 1.0, rtol=0.02)
  np.testing.assert_allclose(
      fitted.std[:2], [0.1, 0.2] if is_conditional else [1.0, 2.0], rtol=0.1)
  # Of each column by itself; between the ends of a cell, too.
  slopes = 1.0
  for i, step in enumerate([1e-6, 1e-6, 0.0]):
    moved, elsewhere = x.copy(), noise.copy()
    moved[:, i] += step
    elsewhere[:, i] += 1e-6 * (step == 0.0)
    slopes *= (fitted(moved, condition, elsewhere)[0] - z)[:, i] / 1e-6
  np.testing.assert_allclose(log_det, np.log(slopes), atol=1e-4)
  # All points of the cells have the means of their rows.
  cells, cell_log_det = fitted(x, condition)
  assert cells.shape == (400, 16, 3) and cell_log_det.shape == (400, 16)
  np.testing.assert_allclose(cells[:, 5, :2], z[:, :2])


def test_sets_of_types():
  x, _, _ = _rows()
  assert coordinates.maps_of(('heavy:0.0:1.0', 'real', 'integer'), x) == {
      'plain columns': ('real', 'real', 'signed_integer'),
      'logarithms': ('log', 'real', 'integer'),
      'mapped columns': ('heavy:0.0:1.0', 'real', 'integer')}
  # Equal ones are there once.
  assert list(coordinates.maps_of((), x)) == ['plain columns', 'logarithms']
  assert list(coordinates.maps_of((), -x)) == ['plain columns']
  with pytest.raises(ValueError, match='column type=lag'):
    coordinates.maps_of(['lag'] * 3, x)


def test_slopes_of_a_regression():
  rng = np.random.default_rng(0)
  slopes = rng.normal(size=[3, 2])
  conditions = rng.normal(5.0, [1.0, 1e-2, 1e3], size=[4000, 3])
  noise = rng.normal(size=[4000, 2])
  found = coordinates.slopes(
      conditions / [1.0, 1e-2, 1e3] @ slopes + 7.0 + noise, conditions)
  np.testing.assert_allclose(  # 5.5 standard errors.
      found * np.array([[1.0], [1e-2], [1e3]]), slopes, atol=0.09)
  assert coordinates.slopes(noise[:, :1], conditions).shape == (3, 1)
  # What no row has does not count.
  conditions[:, 1] = 3.0
  assert np.all(coordinates.slopes(noise, conditions)[1] == 0.0)
