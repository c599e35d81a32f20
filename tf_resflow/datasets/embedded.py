"""Base of the tfds builders whose images come with a Python package."""

import abc
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from tf_resflow import errors
from tf_resflow.datasets import catalog
from tf_resflow.datasets import own_files


class EmbeddedImages(
  tfds.core.GeneratorBasedBuilder, abc.ABC, skip_registration=True
):
  """Grey images of an installed package, split in a fixed way.

  Nothing is downloaded. Subclasses say where the images come from; sizes and
  shapes come from the catalog entry of the same name.
  """

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES = {'1.0.0': 'First version.'}
  # tfds would look here for checksums of downloads; there are none.
  code_path = None

  @abc.abstractmethod
  def _source(self) -> tuple[np.ndarray, np.ndarray]:
    """Returns uint8 images `[N, H, W, 1]` and whole labels `[N]`."""

  def _info(self) -> tfds.core.DatasetInfo:
    facts = catalog.info(self.name)
    return tfds.core.DatasetInfo(
      builder=self,
      description=facts.description,
      features=tfds.features.FeaturesDict({
        # PNG is lossless, so the pixels come back as they went in.
        'image': tfds.features.Image(
          shape=facts.image_shape, dtype=np.uint8, encoding_format='png'
        ),
        'label': tfds.features.ClassLabel(num_classes=facts.num_classes),
      }),
      supervised_keys=('image', 'label'),
      homepage=facts.homepage,
      # The split rule fixes the order; tfds shall not permute it again.
      disable_shuffling=True,
    )

  def _split_generators(
    self, _: tfds.download.DownloadManager  # There is nothing to download.
  ) -> dict[str, Any]:
    facts = catalog.info(self.name)
    images, labels = self._source()
    expected = facts.num_train + facts.num_test
    errors.check(
      len(images) == expected, 'num_images', len(images),
      f'{expected} in the installed package that holds {self.name}',
      'Install another version of it.',
    )
    parts = np.split(own_files.split_order(expected), [facts.num_train])
    return {
      name: self._generate_examples(images[part], labels[part])
      for name, part in zip(('train', 'test'), parts, strict=True)
    }

  def _generate_examples(
    self, images: np.ndarray, labels: np.ndarray
  ) -> Iterator[tuple[int, dict[str, Any]]]:
    for key, (image, label) in enumerate(zip(images, labels, strict=True)):
      yield key, {'image': image, 'label': int(label)}
