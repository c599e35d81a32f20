"""Distances between samples of a flow and images: FID and KID."""

from typing import Any

import numpy as np
import tensorflow as tf

from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow import models
from tf_resflow import numerics
from tf_resflow.evaluation import batch_map
from tf_resflow.evaluation import feature_distances
from tf_resflow.evaluation import features as features_lib
from tf_resflow.evaluation import figures
from tf_resflow.evaluation import inversion
from tf_resflow.evaluation import pictures

_MIN_EXAMPLES = 2 * feature_distances.NUM_SUBSETS


def compare_samples(
    model: models.Flow, split: datasets.ImageSplit,
    extractor: features_lib.FeatureExtractor, *,
    num_images: int | None = None, num_samples: int | None = None,
    seed: int = 0, temperature: float = 1.0,
    solver: numerics.Solver | None = None, batch_size: int = 64,
    strategy: tf.distribute.Strategy | None = None, verbose: int = 0,
) -> dict[str, Any]:
  """Compares samples with images through the features of a network.

  Means and covariances are gathered batch by batch; the features themselves
  are kept in float32 for the kernel distance.

  Args:
    model: a flow on images of integers.
    split: the images.
    extractor: of the features.
    num_images: compare with the first this many images; all by default.
    num_samples: samples to draw, as many as images by default.
    seed: Python int, of the samples and of the subsets.
    temperature: standard deviation of the latents.
    solver: a solver to use in place of the blocks' own.
    batch_size: images per batch.
    strategy: see `likelihood.bits_per_dim`; its devices share the samples.
    verbose: 1 shows progress.

  Returns:
    A dict for JSON: `fid`, `kid` with `kid_stderr` across `kid_num_subsets`
    subsets, and all that these numbers depend on.

  Raises:
    NotConvergedError: if the inverse of a sample was not found.
    InvalidValueError: if the network does not take the images, or there are too
      few for a standard error.

  References:
    Heusel et al., 2017 (FID); Binkowski et al., 2018 (KID); Chen et al., 2019,
    Residual Flows, Table 2.
  """
  num_images = num_images or split.num_examples
  num_samples = num_samples or num_images
  for name, value in (('num_images', num_images), ('num_samples', num_samples)):
    errors.check(
        value >= _MIN_EXAMPLES, name, value, f'{_MIN_EXAMPLES} or more',
        'The standard error of the kernel distance needs them.')

  image_batches = (
      figures.levels_to_bytes(batch['image'], split.num_levels)
      for batch in split.examples.take(num_images).batch(batch_size))
  decoded = []

  def sample_batches():
    latents = (
        temperature * model.draw_latents(
            min(batch_size, num_samples - start), seed, start)
        for start in range(0, num_samples, batch_size))
    for part in inversion.decode_batches(model, latents, solver, strategy):
      # Of the images and latents themselves there may be too many to keep.
      decoded.append(part._replace(x=part.x[:0], z=part.z[:0]))
      yield pictures.to_bytes(part.x, model.num_levels)

  # Samples first: their inverses are what may fail.
  sample_moments, sample_features = _gather(
      extractor, sample_batches(), batch_map.progress_bar(
          num_samples, verbose, f'Features of {num_samples} samples.'))
  image_moments, image_features = _gather(
      extractor, image_batches, batch_map.progress_bar(
          num_images, verbose, f'Features of {num_images} images.'))
  kernel = feature_distances.squared_mmd_of_subsets(
      image_features, sample_features, seed=seed)
  return {
      'fid': feature_distances.frechet_distance(
          image_moments.mean, image_moments.covariance,
          sample_moments.mean, sample_moments.covariance),
      'kid': kernel.mean,
      'kid_stderr': kernel.stderr,
      'kid_num_subsets': kernel.num_examples,
      'num_images': num_images,
      'num_samples': num_samples,
      'num_features': image_features.shape[1],
      'seed': seed,
      'temperature': temperature,
      **extractor.description(split.image_shape),
      **inversion.join(decoded).report(),
  }


def _gather(extractor, batches, bar):
  """Returns the `FeatureMoments` and the features `[N, F]` of batches."""
  moments, kept = feature_distances.FeatureMoments(), []
  for images in batches:
    features = extractor(tf.constant(images))
    moments.update(features)
    kept.append(features)
    bar.add(len(features))
  return moments, np.concatenate(kept)
