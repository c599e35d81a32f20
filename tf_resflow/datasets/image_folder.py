"""User-provided data sets: folders of image files."""

import collections
from collections.abc import Mapping
import dataclasses
import functools
import logging
import math
import os
from typing import Any, Self

import numpy as np

from tf_resflow import errors
from tf_resflow.datasets import dataset_info
from tf_resflow.datasets import image_files
from tf_resflow.datasets import own_files
from tf_resflow.specs import machine

_logger = logging.getLogger(__name__)
_EXPECTED = f'a folder with {image_files.KINDS} images of 8 bits'
# Names of folders that are probably meant as parts.
_PARTS = ('train', 'training', 'test', 'testing', 'val', 'valid', 'validation',
          'dev')
_MAX_NAMED = 3  # Of bad files.


@dataclasses.dataclass(frozen=True, kw_only=True)
class FolderInfo(dataset_info.ImageInfo):
  """Metadata of the images below a folder; see `open_folder`.

  Attributes:
    root: The folder.
    parts: Maps 'train' and 'test' to paths of files, relative to the root.
    labels: Maps files to labels, if folders are classes.
    sizes: Maps `(height, width)` to a file of that size.
    candidates: `(name, size, time)` of all files that should be images.
    faults: Maps those of them that are in no part to what is wrong with them.
    ignored: Kinds of other files, such as '.txt', and their numbers.
  """

  root: str
  parts: dict[str, tuple[str, ...]]
  labels: dict[str, int]
  sizes: dict[tuple[int, int], str]
  candidates: tuple[tuple[str, int, int], ...]
  faults: dict[str, str]
  ignored: tuple[tuple[str, int], ...]

  def changed(self, num_bits: int = 8, resize: int | None = None) -> Self:
    if resize is None:
      sizes = [f'{name} is {height} x {width}'
               for (height, width), name in self.sizes.items()]
      errors.check(
        len(sizes) == 1, 'dataset', self.name, f'{_EXPECTED} and one size',
        f'{" and ".join(sizes[:2])}; use --resize=SIZE to crop to squares and '
        'resize.')
    else:
      image_shape = (resize, resize, self.image_shape[-1])
      machine.check_memory(
        sum(map(len, self.parts.values())) * math.prod(image_shape), 'resize',
        resize)
      self = dataclasses.replace(
        self, image_shape=image_shape,
        load_fn=functools.partial(_load, self, resize))
    # Images are already resized by `load_fn`.
    return super().changed(num_bits)

  def error(self, faults: Mapping[str, str]) -> errors.FormatError:
    """Returns the error that names all bad files, not only the known ones."""
    _, others = image_files.look_at_all(
      self.root, [name for name, *_ in self.candidates], reads_pixels=True)
    said = _sentence(
      dict(sorted({**faults, **others}.items())), len(self.candidates))
    return errors.FormatError(
      f'{said}. Repair or remove them; tf_resflow train passes over them with '
      '--skip_bad.')


def _sentence(faults: Mapping[str, str], num_files: int) -> str:
  """Returns how many files are bad, and why the first few are."""
  texts = [f'{name} ({fault})' for name, fault in faults.items()]
  rest = len(texts) - _MAX_NAMED
  return (f'{len(texts)} of {num_files} files are bad: '
          f'{", ".join(texts[:_MAX_NAMED])}{f" and {rest} more" * (rest > 0)}')


@own_files.opener('images', _EXPECTED)
def open_folder(path: str, *, skip_bad: bool = False) -> FolderInfo:
  """Opens the images in a folder and its subfolders.

  Folders `train` and `test` are the parts; without these, a fixed fifth of the
  images is the test part. If all images of the parts are in folders, these are
  classes. EXIF orientations are applied; grayscale images among colour images
  become RGB. All images must have the same size, or are cropped to the central
  square and resized.

  Only headers are read here. Files that are bad by their headers are refused;
  loading refuses those whose pixels cannot be read, or are transparent. Either
  error names all bad files, for which all images are read. With `skip_bad` all
  images are read here, too; bad ones are passed over, and the parts are those
  of the other files.

  Images are read one at a time, in 4 bytes per pixel (1 if grayscale), and as
  many again where colours are converted; with `resize`, JPEG files at up to an
  eighth of their size. More than 178 million pixels are refused.

  Raises:
    InvalidValueError: If there are too few good images.
  """
  errors.check_format(os.path.isdir(path), 'There is no such folder.')
  try:
    files, ignored = _files_below(path)
  except OSError as error:
    raise errors.FormatError(f'{error.filename}: {error.strerror}.') from None
  errors.check_format(
    files, f'No file below it ends in {", ".join(image_files.SUFFIXES)}.')
  info = _info_of(os.path.abspath(path), files, ignored, skip_bad)
  said = [f'took {len(files) - len(info.faults)} images']
  if info.faults:
    if not skip_bad:
      raise info.error(info.faults)
    said.append(_sentence(info.faults, len(files)))
  others = ', '.join(f'{count} {kind}' for kind, count in ignored[:3])
  _logger.log(
    logging.WARNING if info.faults else logging.INFO, '%s: %s; ignored %s',
    info.name, '; '.join(said), others or 'no other files')
  return info


def _files_below(root):
  """Returns `candidates` and `ignored`, see `FolderInfo`."""
  files = []
  ignored: collections.Counter[str] = collections.Counter()
  for file in own_files.files_below(root):
    name = os.path.basename(file)
    suffix = os.path.splitext(name)[1].lower()
    if name.startswith('.') or suffix not in image_files.SUFFIXES:
      ignored['hidden' if name.startswith('.') else
              suffix or 'without a suffix'] += 1
    elif os.path.exists(file):
      status = os.stat(file)
      files.append((os.path.relpath(file, root), status.st_size,
                    status.st_mtime_ns))
    else:  # `image_files` says what is wrong with it.
      files.append((os.path.relpath(file, root), 0, 0))
  return tuple(files), tuple(ignored.most_common())


def _info_of(root: str, files: Any, ignored: Any, reads_pixels: bool) -> Any:
  """Returns the metadata of the good ones among files `(name, size, time)`."""
  looks, faults = image_files.look_at_all(
    root, [name for name, *_ in files], reads_pixels=reads_pixels)
  names = list(looks)
  sizes: dict[Any, str] = {}
  for name, (size, _) in looks.items():
    sizes.setdefault(size, name)
  try:
    parts = _parts_of(names)
  except errors.FormatError as error:
    bad = f' {_sentence(faults, len(files))}.' * bool(faults)
    raise errors.FormatError(f'{error}{bad}') from None
  # Without the folder of the part, if any.
  has_parts = parts['train'][0].startswith('train' + os.sep)
  folders = {name: name.split(os.sep)[has_parts:-1] for name in names}
  classes = sorted({below[0] for below in folders.values() if below})
  labels = {}
  if len(classes) > 1 and all(folders.values()):
    labels = {name: classes.index(below[0]) for name, below in folders.items()}
  (height, width), *_ = sizes
  is_coloured = any(is_colour for _, is_colour in looks.values())
  info = FolderInfo(
    name=f'images:{root}', root=root, parts=parts, sizes=sizes, labels=labels,
    candidates=files, faults=faults, ignored=ignored,
    image_shape=(height, width, 3 if is_coloured else 1),
    num_classes=len(classes) if labels else 0,
    num_train=len(parts['train']), num_test=len(parts['test']),
    fingerprint=own_files.fingerprint(
      *(file[:2] for file in files if file[0] in looks)))
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
    train and len(test) > 1 and not others, 'It requires both folders train and'
    ' test (of two images at least), and no images outside of them '
    f'({", ".join(others[:1]) or "too few in one"}).')
  # Shuffled, so that a validation part, which is the end, has all classes.
  order = own_files.split_order(len(train))
  return {'train': tuple(train[i] for i in order), 'test': tuple(test)}


def _load(info, resize, part):
  """Returns the images of a part, uint8 `[N, H, W, C]`, and their labels."""
  names = info.parts[part]
  height, width, channels = info.image_shape
  shape = (resize or height, resize or width, channels)
  images = np.empty([len(names), *shape], np.uint8)
  with errors.refusing('dataset', info.name, _EXPECTED):
    for i, name in enumerate(names):
      try:
        image = image_files.read(info.root, name, channels, resize)
        errors.check_format(image.shape == shape, 'it has changed')
      except errors.FormatError as error:
        raise info.error({**info.faults, name: str(error)}) from None
      images[i] = image
  return images, np.array(
    [info.labels[name] for name in names]) if info.labels else None
