"""Samples, paths and densities of p(x|c): the condition of every one."""

import numpy as np
import pytest

from tests.evaluation import conditional_flows
from tf_resflow import errors
from tf_resflow import evaluation
from tf_resflow.evaluation import pictures
from tf_resflow.evaluation import sample_quality


@pytest.fixture(scope='module', name='flow')
def _flow():
  return conditional_flows.make_labelled_flow()


@pytest.fixture(scope='module', name='split')
def _split():
  return conditional_flows.make_labelled_split(9)


def test_rows_of_labels_come_from_the_same_latents(flow):
  labels = np.repeat([2, 0], 3)
  picture = pictures.samples(flow, 3, seed=4, condition=labels, batch_size=4)
  z = flow.draw_latents(3, 4).numpy()
  np.testing.assert_array_equal(picture.arrays['z'], np.tile(z, [2, 1]))
  np.testing.assert_array_equal(picture.arrays['condition'], labels)
  x = picture.arrays['x']
  np.testing.assert_allclose(
      x, flow.inverse(np.tile(z, [2, 1]), labels), atol=1e-4)
  assert np.abs(x[:3] - x[3:]).max(axis=(1, 2, 3)).min() > 1e-2
  assert picture.num_columns == 3
  assert picture.report['num_samples'] == 3
  np.testing.assert_array_equal(picture.arrays['temperature'], np.ones(6))


def test_one_condition_per_sample(flow):
  labels = np.array([1, 0, 2, 2])
  picture = pictures.samples(flow, 4, seed=4, condition=labels, batch_size=3)
  np.testing.assert_array_equal(
      picture.arrays['z'], flow.draw_latents(4, 4).numpy())
  np.testing.assert_array_equal(picture.arrays['condition'], labels)
  np.testing.assert_allclose(
      picture.arrays['x'], flow.sample(4, 4, condition=labels), atol=1e-4)
  other = flow.sample(4, 4, condition=labels[::-1])
  assert np.abs(picture.arrays['x'] - other).max(axis=(1, 2, 3))[0] > 1e-2
  assert picture.num_columns is None


def test_temperatures_of_one_condition(flow):
  """A row for each of them; with two labels, two for each label."""
  arrays, report = evaluation.draw(
      flow, 2, temperatures=(0.5, 1.0), condition=1)
  z = flow.draw_latents(2, 0).numpy()
  np.testing.assert_array_equal(arrays['z'], np.concatenate([0.5 * z, z]))
  np.testing.assert_array_equal(arrays['condition'], [1, 1, 1, 1])
  assert report['temperature'] == [0.5, 1.0]
  arrays, _ = evaluation.draw(
      flow, 2, temperatures=(0.5, 1.0), condition=[1, 1, 0, 0])
  np.testing.assert_array_equal(
      arrays['z'], np.concatenate([0.5 * z, z, 0.5 * z, z]))
  np.testing.assert_array_equal(
      arrays['condition'], [1, 1, 1, 1, 0, 0, 0, 0])
  np.testing.assert_array_equal(
      arrays['temperature'], [0.5, 0.5, 1, 1, 0.5, 0.5, 1, 1])
  np.testing.assert_allclose(
      arrays['x'], flow.inverse(arrays['z'], arrays['condition']), atol=1e-4)


def test_vectors_of_several_conditions():
  flow = conditional_flows.make_vector_flow()
  conditions = np.array([[1.0, -3.0], [0.0, 5.0]])
  arrays, _ = evaluation.draw(
      flow, 3, seed=1, condition=np.repeat(conditions, 3, axis=0))
  for i, condition in enumerate(conditions):
    part = slice(3 * i, 3 * i + 3)
    np.testing.assert_array_equal(
        arrays['condition'][part], np.tile(condition, [3, 1]))
    np.testing.assert_allclose(
        arrays['x'][part], flow.sample(3, 1, condition=condition), atol=1e-5)


@pytest.mark.parametrize('condition, message', [
    (None, 'condition=None: expected labels'),
    ([0, 1, 2, 0], 'condition=4 conditions: expected one, or 3, one per sam'),
    ([0, 1], 'condition=2 conditions: expected one, or 3'),
    ([0, 1, 3], 'condition=3: expected labels')])
def test_conditions_that_do_not_suit(flow, condition, message):
  with pytest.raises(errors.InvalidValueError) as error:
    pictures.samples(flow, 3, condition=condition)
  assert str(error.value).startswith(message)


def test_images_are_reconstructed_with_their_own_conditions(flow, split):
  indices = [8, 0, 4]
  picture = pictures.reconstructions(flow, split, indices, batch_size=2)
  assert picture.report['num_images_changed'] == 0
  assert 0.0 < picture.report['reconstruction_error_max'] < 1e-3
  # Every image with the latents of its label, and no others.
  x, labels = picture.arrays['x'], np.array([2, 0, 1])
  *_, z, condition = pictures._encode(flow, split, indices, {'batch_size': 2})
  np.testing.assert_array_equal(condition, labels)
  np.testing.assert_allclose(z, flow.encode(x, condition=labels), atol=1e-5)
  assert np.abs(z - flow.encode(x, condition=labels[::-1])).max() > 1e-2


def test_paths_at_one_condition_have_exact_ends(flow, split):
  """Also between images of other labels, which the path does not have."""
  indices = [2, 7, 4, 0]
  picture = pictures.interpolations(
      flow, split, indices, num_points=4, condition=[1], batch_size=3)
  levels = split.arrays['x'].numpy()[indices]
  np.testing.assert_array_equal(
      picture.arrays['image'][:, [0, 3]].reshape([4, 4, 4, 1]),
      evaluation.levels_to_bytes(levels, 16))
  assert picture.report['num_images_changed'] == 0
  assert 0.0 < picture.report['reconstruction_error_max'] < 1e-3
  x, z = picture.arrays['x'], picture.arrays['z']
  np.testing.assert_allclose(
      x.reshape([8, 4, 4, 1]), flow.inverse(
          z.reshape([8, -1]).astype(np.float32), 1), atol=1e-4)
  other = flow.inverse(z.reshape([8, -1]).astype(np.float32), 2)
  assert np.abs(other - x.reshape([8, 4, 4, 1])).max(
      axis=(1, 2, 3)).min() > 1e-2
  with pytest.raises(errors.InvalidValueError, match='condition=None: expect'):
    pictures.interpolations(flow, split, indices, num_points=4)


def test_densities_at_a_condition():
  flow = conditional_flows.make_vector_flow()
  box = evaluation.Box((0.0, 0.0), (2.0, 2.0))
  middles = -2.0 + 0.8 * (0.5 + np.arange(5))
  points = np.stack(np.meshgrid(middles, middles), axis=-1).reshape([-1, 2])
  grids = []
  for condition in ([1.0, -3.0], [0.0, 5.0]):
    grids.append(evaluation.density_on_grid(
        flow, box, 5, batch_size=7, condition=condition))
    expected = np.exp(flow.log_prob(
        points, np.tile(condition, [25, 1]), estimator='exact'))
    np.testing.assert_allclose(
        grids[-1], expected.reshape([5, 5]), rtol=1e-9)
  assert np.abs(grids[0] - grids[1]).max() > 1e-3


def test_pictures_of_a_condition():
  flow = conditional_flows.make_vector_flow()
  first, again, other = (
      evaluation.density_picture(flow, num_samples=200, condition=condition)
      for condition in ([1.0, -3.0], [[1.0, -3.0]], [0.0, 5.0]))
  np.testing.assert_array_equal(first, again)
  # Samples and density alike.
  changed = np.any(first != other, axis=(0, 2))
  assert changed[:300].any() and changed[300:].any()
  with pytest.raises(errors.InvalidValueError, match='condition=None: expect'):
    evaluation.density_picture(flow, num_samples=200)


class _Extractor:
  """Features that are pixels."""

  def description(self, event_shape):
    del event_shape
    return {}

  def __call__(self, images):
    return images.reshape([len(images), -1])[:, :3].astype(np.float32)


def test_samples_have_conditions_as_often_as_the_data(
    flow, monkeypatch):
  labels = np.arange(25) % 4 % 3
  split = conditional_flows.make_labelled_split(25, labels=labels)
  drawn = []

  def decode_batches(model, latents, *options):
    for z, condition in latents:
      drawn.extend(condition)
      yield from original(model, [(z, condition)], *options)

  original = sample_quality.inversion.decode_batches
  monkeypatch.setattr(
      sample_quality.inversion, 'decode_batches', decode_batches)
  evaluation.compare_samples(
      flow, split, _Extractor(), num_samples=40, batch_size=16)
  np.testing.assert_array_equal(drawn, np.resize(labels, 40))
