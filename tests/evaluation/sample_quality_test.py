"""FID and KID of a flow against the same from arrays."""

import numpy as np
import pytest
import tensorflow as tf

from tests import flows
from tests import splits
from tf_resflow import evaluation
from tf_resflow import numerics
from tf_resflow.evaluation import pictures
from tf_resflow.evaluation import sample_quality


@pytest.fixture(scope='module')
def flow():
  return flows.make_image_flow(17, num_dense_blocks=0)


def _extractor():
  """Features that are pixels: sums of columns, from 0 to 4."""
  return evaluation.FeatureExtractor(
      lambda x: tf.reduce_sum(x[..., 0], axis=1), (4, 4, 1),
      input_range=(0.0, 1.0))


def _features(images):
  return (images / 255.0).sum(axis=(1, 3))


def _levels(images):
  """Undoes the scaling of seventeen levels to bytes."""
  return np.round(16.0 * images / 255).astype(np.uint8)


@pytest.fixture(scope='module')
def result(flow):
  """Of 50 images with 45 samples, at temperature 0.8."""
  images = np.random.default_rng(0).integers(0, 17, [60, 4, 4, 1])
  images = images.astype(np.uint8)
  report = sample_quality.compare_samples(
      flow, splits.make_split(images, 17), _extractor(), num_images=50,
      num_samples=45, seed=3, temperature=0.8, batch_size=16)
  return images[:50], report


def test_distances_are_those_of_the_features(flow, result):
  images, report = result
  samples = pictures.samples(flow, 45, seed=3, temperatures=(0.8,)).images
  x = _features(np.floor(255.0 * images / 16 + 0.5))
  y = _features(samples)
  fid = evaluation.frechet_distance(
      x.mean(0), np.cov(x, rowvar=False), y.mean(0), np.cov(y, rowvar=False))
  assert report['fid'] == pytest.approx(fid, rel=1e-5)
  kid = evaluation.squared_mmd_of_subsets(x, y, seed=3)
  assert report['kid'] == pytest.approx(kid.mean, rel=1e-4)
  assert report['kid_stderr'] == pytest.approx(kid.stderr, rel=1e-4)
  assert report['kid_num_subsets'] == 10


def test_report_says_what_the_numbers_depend_on(result):
  _, report = result
  assert (report['num_images'], report['num_samples'], report['num_features'],
          report['seed'], report['temperature']) == (50, 45, 4, 3, 0.8)
  assert report['input_range'] == [0.0, 1.0]
  assert report['input_size'] == report['image_size'] == [4, 4]
  assert report['resize'] == 'none'
  assert report['inverse_num_steps_max'] >= 2
  assert 0.0 < report['inverse_residual_max'] < 1e-4


def test_own_samples_are_near_and_darker_images_far(flow):
  """Other samples of the flow itself are the best that there is."""
  own = _levels(pictures.samples(flow, 50, seed=8).images)
  near, far = [
      sample_quality.compare_samples(
          flow, splits.make_split(images, 17), _extractor(), batch_size=50)
      for images in (own, own // 2)]
  assert near['num_samples'] == near['num_images'] == 50
  assert abs(near['kid']) < 4.0 * near['kid_stderr']
  assert far['kid'] > 4.0 * far['kid_stderr']
  assert near['fid'] < 0.3 * far['fid']


def test_failing_samples_are_an_error(flow, result):
  images, _ = result
  with pytest.raises(evaluation.NotConvergedError, match='did not converge'):
    sample_quality.compare_samples(
        flow, splits.make_split(images, 17), _extractor(),
        solver=numerics.Banach(max_steps=1))
