"""Densities in the plane against closed forms."""

import numpy as np
import pytest
import tensorflow as tf

from tf_resflow import errors
from tf_resflow import evaluation
from tf_resflow import layers
from tf_resflow import models


@pytest.fixture(scope='module', name='normal')
def _normal():
  """A normal distribution with mean (1, -2) and deviations (0.5, 2)."""
  return models.Flow(layers.Standardize([1.0, -2.0], [0.5, 2.0]), (2,))


def test_density_on_a_grid(normal):
  box = evaluation.Box((0.5, -1.0), (3.0, 3.0))
  found = evaluation.density_on_grid(normal, box, 6, batch_size=7)
  x = 0.5 + np.arange(-2.5, 3.0)
  y = -1.0 + np.arange(-2.5, 3.0)
  expected = np.exp(
      -0.5 * ((x - 1.0) / 0.5)**2 - 0.5 * ((y[:, np.newaxis] + 2.0) / 2.0)**2
  ) / (2.0 * np.pi)
  np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_integrals(normal):
  """1 of what a box holds, whatever the flow has learned."""
  wide = evaluation.Box((1.0, -2.0), (4.0, 16.0))
  assert evaluation.integral(normal, wide, 100) == pytest.approx(1.0, abs=1e-4)
  # Half of it.
  half = evaluation.Box((5.0, -2.0), (4.0, 16.0))
  assert evaluation.integral(normal, half, 100) == pytest.approx(0.5, abs=1e-4)
  flow = models.VectorFlowConfig(
      num_blocks=2, hidden_units=(8,), activation='cpila').build()
  rng = np.random.default_rng(0)
  flow.initialize(tf.constant(rng.normal(size=[256, 2]), tf.float32))
  for variable in flow.trainable_variables:
    variable.assign_add(0.3 * rng.normal(size=variable.shape))
  around = evaluation.Box((0.0, 0.0), (20.0, 20.0))
  assert evaluation.integral(flow, around, 200) == pytest.approx(1.0, abs=1e-3)


def test_the_box_around_points():
  points = np.random.default_rng(0).uniform(
      [-1.0, 4.0], [3.0, 5.0], [100_000, 2])
  points[0] = [1e6, 0.0]  # One that lies far away is left out.
  box = evaluation.Box.around(points, margin=0.25)
  np.testing.assert_allclose(box.center, [1.0, 4.5], atol=0.01)
  # Four times as wide as high.
  np.testing.assert_allclose(box.half_widths, [2.5, 0.625], rtol=0.01)
  np.testing.assert_allclose(
      box.ranges, [(-1.5, 3.5), (3.875, 5.125)], atol=0.04)
  # A square where that is not far from it.
  near = evaluation.Box.around(points * [1.0, 2.0], margin=0.25)
  np.testing.assert_allclose(near.half_widths, [2.5, 2.5], rtol=0.01)
  assert min(evaluation.Box.around(np.zeros([3, 2])).half_widths) > 0


def test_picture(normal):
  """Where there are points, panels are bright; elsewhere they are dark."""
  points = np.random.default_rng(0).normal([1.0, -2.0], [0.5, 2.0], [5000, 2])
  picture = evaluation.density_picture(normal, points, num_samples=5000)
  assert picture.dtype == np.uint8 and picture.shape[2] == 3
  assert picture.shape[1] == pytest.approx(900, abs=2)
  few = evaluation.density_picture(normal, samples=points)
  assert few.shape[1] == pytest.approx(600, abs=2)
  other = evaluation.density_picture(normal, points, seed=1, num_samples=5000)
  changed = np.any(other != picture, axis=(0, 2))
  assert not changed[:600].any() and changed[600:].any()
  for panel in np.array_split(picture, 3, axis=1):
    middle, side = panel[140:190, 130:170], panel[140:190, 20:60]
    assert middle.astype(int).sum() > 1.3 * side.astype(int).sum()


def test_only_of_the_plane():
  line = models.Flow(layers.Standardize([0.0], [1.0]), (1,))
  with pytest.raises(errors.InvalidValueError, match='a flow on points of the'):
    evaluation.density_on_grid(line, evaluation.Box((0.0, 0.0), (1.0, 1.0)))


def test_densities_at_a_condition(vector64):
  box = evaluation.Box((0.0, 0.0), (2.0, 2.0))
  middles = -2.0 + 0.8 * (0.5 + np.arange(5))
  points = np.stack(np.meshgrid(middles, middles), axis=-1).reshape([-1, 2])
  grids = []
  for condition in ([1.0, -3.0], [0.0, 5.0]):
    grids.append(evaluation.density_on_grid(
        vector64, box, 5, batch_size=7, condition=condition))
    expected = np.exp(vector64.log_prob(
        points, np.tile(condition, [25, 1]), estimator='exact'))
    np.testing.assert_allclose(grids[-1], expected.reshape([5, 5]), rtol=1e-9)
  assert np.abs(grids[0] - grids[1]).max() > 1e-3


def test_pictures_of_a_condition(vector64):
  first, other = (
      evaluation.density_picture(vector64, num_samples=200, condition=condition)
      for condition in ([1.0, -3.0], [0.0, 5.0]))
  # Samples and density alike.
  changed = np.any(first != other, axis=(0, 2))
  assert changed[:300].any() and changed[300:].any()
  with pytest.raises(errors.InvalidValueError, match='condition=None: expect'):
    evaluation.density_picture(vector64, num_samples=200)
