"""Rows in the coordinates of their columns."""

import numpy as np
import tensorflow as tf

from tf_resflow import layers
from tf_resflow.columns import column_types
from tf_resflow.columns import mapping


def test_float32_decides_what_is_supported():
  x = np.array([[1e-12], [1e-37], [1e-40], [1 - 1e-7], [1 - 1e-9]])
  for spec, scale, expected in (
      ('logit', 1.0, [1, 1, 0, 1, 0]), ('logit:100', 100.0, [1, 1, 0, 1, 0]),
      ('log', 1.0, [1, 1, 0, 1, 1]), ('real', 1.0, [1, 1, 1, 1, 1])):
    found, text = mapping.with_density([spec], scale * x, ['p'])
    assert found.tolist() == expected
    assert ('in row 3 (1e-' in text) == (not all(expected))
    # As flows see them, in float32 and in float64.
    for dtype in ('float32', 'float64'):
      seen = tf.constant(column_types.rounded(scale * x), dtype)
      np.testing.assert_array_equal(np.isfinite(layers.ColumnMaps(
          [spec], dtype=dtype).forward_and_log_det(seen)[1]), expected)


def test_cell_points_are_a_latin_hypercube():
  points = mapping.cell_points(3, 16)
  middles = (np.arange(16) + 0.5) / 16
  np.testing.assert_array_equal(
      np.sort(points, axis=0), np.stack(3 * [middles], axis=1))
  np.testing.assert_array_equal(points[:, 0], middles)
  assert np.abs(np.corrcoef(points.T) - np.eye(3)).max() < 0.5
