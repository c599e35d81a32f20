"""User-provided data sets: folders of image files."""

from collections.abc import Iterator
import contextlib
import dataclasses
import functools
import os
from typing import Any, Self

import numpy as np
from PIL import Image
from PIL import ImageOps

from tf_resflow import errors
from tf_resflow.datasets import dataset_info
from tf_resflow.datasets import own_files

_EXPECTED = 'a folder with PNG or JPEG images of 8 bits'
_SUFFIXES = ('.png', '.jpg', '.jpeg')
_GREY_MODES = ('1', 'L', 'LA', 'La')
_COLOUR_MODES = ('RGB', 'RGBA', 'RGBa', 'RGBX', 'P', 'PA', 'CMYK', 'YCbCr')
# Names of folders that are probably meant as parts.
_PARTS = ('train', 'training', 'test', 'testing', 'val', 'valid', 'validation',
          'dev')
# Errors of Pillow for damaged files, and for images that are too large.
_ERRORS = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
_ORIENTATION = 0x0112  # EXIF tag; from 5 on width and height are swapped.


@dataclasses.dataclass(frozen=True, kw_only=True)
class FolderInfo(dataset_info.ImageInfo):
  """Metadata of the images below a folder; see `open_folder`.

  Attributes:
    root: The folder.
    parts: Maps 'train' and 'test' to paths of files, relative to the root.
    labels: Maps files to labels, if folders are classes.
    sizes: Maps `(height, width)` to a file of that size.
  """

  root: str
  parts: dict[str, tuple[str, ...]]
  labels: dict[str, int]
  sizes: dict[tuple[int, int], str]

  def changed(self, num_bits: int = 8, resize: int | None = None) -> Self:
    if resize is None:
      (first, one), (other, another), *_ = [*self.sizes.items()] * 2
      errors.check(
        len(self.sizes) == 1, 'dataset', f'images:{self.root}',
        f'{_EXPECTED} and one size',
        f'{one} is {first[0]} x {first[1]} and {another} {other[0]} x '
        f'{other[1]}; use --resize=SIZE to crop to squares and resize.')
    else:
      errors.check(resize >= 1, 'resize', resize, 'an integer >= 1')
      self = dataclasses.replace(
        self, image_shape=(resize, resize, self.image_shape[-1]),
        load_fn=functools.partial(_load, self, resize))
    # Images are already resized by `load_fn`.
    return super().changed(num_bits)


def open_folder(path: str) -> FolderInfo:
  """Opens the images in a folder and its subfolders.

  Folders `train` and `test` are the parts; without these, a fixed fifth of the
  images is the test part. If all images of the parts are in folders, these are
  classes. EXIF orientations are applied; grayscale images among colour images
  become RGB. All images must have the same size, or are cropped to the central
  square and resized.

  Args:
    path: Path of the folder.

  Raises:
    InvalidValueError: If there are too few images, or an image has an
      unsupported format.
  """
  with errors.refusing('dataset', f'images:{path}', _EXPECTED):
    errors.check_format(not os.path.isfile(path), 'It is a file.')
    errors.check_format(os.path.isdir(path), 'There is no such folder.')
    try:
      files = tuple(_files_below(path))
    except OSError as error:
      raise errors.FormatError(
        f'{error.filename}: {error.strerror}.') from None
    errors.check_format(
      files, f'No file below it ends in {", ".join(_SUFFIXES)}.')
    return _info_of(os.path.abspath(path), files)


def _files_below(root):
  """Yields the paths, sizes and times of the images below a folder."""

  def fail(error):
    raise error

  seen = set()
  for folder, folders, names in os.walk(root, onerror=fail, followlinks=True):
    seen.add(os.path.realpath(folder))
    # Avoids cycles of symbolic links.
    folders[:] = sorted(
      f for f in folders if not f.startswith('.')
      and os.path.realpath(os.path.join(folder, f)) not in seen)
    for name in sorted(names):
      if name.lower().endswith(_SUFFIXES) and not name.startswith('.'):
        file = os.path.join(folder, name)
        status = os.stat(file)
        yield (
          os.path.relpath(file, root), status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=8)
def _info_of(path: str, files: tuple) -> FolderInfo:
  """Returns the metadata of files `(name, size, time)` below a folder."""
  names = [name for name, *_ in files]
  is_coloured = False
  sizes: dict[Any, str] = {}
  for name in names:
    size, is_colour = _look_at(path, name)
    sizes.setdefault(size, name)
    is_coloured |= is_colour
  parts = _parts_of(names)
  # Paths without the folder of the part, if any.
  has_parts = parts['train'][0].startswith('train' + os.sep)
  below = [
    name.partition(os.sep)[2] if has_parts else name for name in names]
  folders = [name.partition(os.sep)[0] for name in below]
  classes = {name: i for i, name in enumerate(sorted({*folders}))}
  has_classes = len(classes) > 1 and all(os.sep in name for name in below)
  labels = {
    name: classes[folder] for name, folder in zip(names, folders, strict=True)
  } if has_classes else {}
  (height, width), *_ = sizes
  info = FolderInfo(
    name=f'images:{path}', root=path, parts=parts, sizes=sizes, labels=labels,
    image_shape=(height, width, 3 if is_coloured else 1),
    num_classes=len(classes) if has_classes else 0,
    num_train=len(parts['train']), num_test=len(parts['test']),
    fingerprint=own_files.fingerprint(*(file[:2] for file in files)),
    description='User-provided images.')
  return dataclasses.replace(
    info, load_fn=functools.partial(_load, info, None))


def _parts_of(names):
  """Returns the names of 'train' and 'test', in the order of the examples."""
  tops = {name.partition(os.sep)[0] for name in names if os.sep in name}
  if not tops & {'train', 'test'}:
    odd = sorted(top for top in tops if top.lower() in _PARTS)
    errors.check_format(
      not odd, f'Its folder {odd[:1]} is not a class; name its parts train and '
      'test.')
    return {
      part: tuple(names[i] for i in places)
      for part, places in own_files.held_out(len(names), 'of them').items()}
  train, test = (
    [name for name in names if name.startswith(part + os.sep)]
    for part in ('train', 'test'))
  others = sorted({*names} - {*train, *test})
  errors.check_format(
    train and test and not others, 'It requires both folders train and test, '
    'and no images outside of them '
    f'({", ".join(others[:1]) or "one is missing"}).')
  errors.check_format(
    len(test) >= 2, 'Its test part has one image; standard errors need two.')
  # Shuffled, so that a validation part, which is the end, has all classes.
  order = own_files.split_order(len(train))
  return {'train': tuple(train[i] for i in order), 'test': tuple(test)}


@contextlib.contextmanager
def _opened(root: str, name: str) -> Iterator[Image.Image]:
  """Opens an image file; converts errors of Pillow to `FormatError`."""
  try:
    with Image.open(os.path.join(root, name)) as image:
      yield image
  except _ERRORS as error:
    raise errors.FormatError(
      f'{name} cannot be read: {errors.sentence(error)}') from None


def _look_at(root: str, name: str) -> tuple[tuple[int, int], bool]:
  """Returns height and width of an image, and whether it has colours."""
  with _opened(root, name) as image:
    mode, (width, height) = image.mode, image.size
    # Pillow silently reduces 16-bit colour images to 8 bits. Tiles show the
    # depth until the image is read, as EXIF tags may cause.
    is_deep = any(';16' in str(arguments) for *_, arguments in image.tile)
    is_turned = image.getexif().get(_ORIENTATION, 1) >= 5
  errors.check_format(
    not is_deep and mode in _GREY_MODES + _COLOUR_MODES,
    f'{name} has 16 or more bits per channel. Convert it to 8.')
  return (
    (width, height) if is_turned else (height, width), mode in _COLOUR_MODES)


def _load(
  info: FolderInfo, resize: int | None, part: str
) -> tuple[np.ndarray, np.ndarray | None]:
  """Returns the images of a part, uint8 `[N, H, W, C]`, and their labels."""
  names = info.parts[part]
  with errors.refusing('dataset', f'images:{info.root}', _EXPECTED):
    images = np.stack([_read(info, name, resize) for name in names])
  return images, np.array(
    [info.labels[name] for name in names]) if info.labels else None


def _read(info: FolderInfo, name: str, resize: int | None) -> np.ndarray:
  """Returns one image, uint8 `[H, W, C]`."""
  with _opened(info.root, name) as file:
    image = ImageOps.exif_transpose(file)
    image.load()
  if image.has_transparency_data:
    image = image.convert('RGBA')
    errors.check_format(
      np.asarray(image)[..., 3].min() == 255,
      f'{name} has transparent pixels. Flatten it onto a background.')
  image = image.convert('RGB' if info.image_shape[-1] == 3 else 'L')
  if resize is not None:
    side = min(image.size)
    left, top = ((length - side) // 2 for length in image.size)
    image = image.resize(
      (resize, resize), Image.Resampling.BILINEAR,
      box=(left, top, left + side, top + side))
  return np.asarray(image).reshape([image.height, image.width, -1])
