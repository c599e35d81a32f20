"""User-provided data sets: folders of image files."""

import collections
from collections.abc import Collection, Iterable, Iterator, Mapping
import contextlib
import dataclasses
import functools
import logging
import os
import stat
import struct
from typing import Any, Self
import warnings
import zlib

import numpy as np
from PIL import Image
from PIL import ImageOps
from PIL import UnidentifiedImageError

from tf_resflow import errors
from tf_resflow.datasets import dataset_info
from tf_resflow.datasets import own_files

_logger = logging.getLogger(__name__)
_KINDS = 'PNG, JPEG, WebP or TIFF'
_EXPECTED = f'a folder with {_KINDS} images of 8 bits'
_SUFFIXES = ('.png', '.jpg', '.jpeg', '.webp', '.tif', '.tiff')
_FORMATS = ('PNG', 'JPEG', 'WEBP', 'TIFF')
_GREY_MODES = ('1', 'L', 'LA', 'La')
_COLOUR_MODES = ('RGB', 'RGBA', 'RGBa', 'RGBX', 'P', 'PA', 'CMYK', 'YCbCr')
# Names of folders that are probably meant as parts.
_PARTS = ('train', 'training', 'test', 'testing', 'val', 'valid', 'validation',
          'dev')
# Errors of Pillow and its decoders for damaged files; none are documented.
_ERRORS = (OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError,
           RuntimeError, struct.error, zlib.error)
_ORIENTATION = 0x0112  # EXIF tag; from 5 on width and height are swapped.
# A square of 13,341; Pillow itself refuses 0.5 % more.
_MAX_PIXELS = 178_000_000
# Least ratio of sides in resizing: JPEG files are decoded at a half, a quarter
# or an eighth of their size where that leaves more. From 3 on, Pillow's
# documentation says, the difference is not seen.
_REDUCING_GAP = 3
_MAX_NAMED = 3


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
    ignored: Maps kinds of other files, such as '.txt', to their numbers.
  """

  root: str
  parts: dict[str, tuple[str, ...]]
  labels: dict[str, int]
  sizes: dict[tuple[int, int], str]
  candidates: tuple[tuple[str, int, int], ...]
  faults: dict[str, str]
  ignored: dict[str, int] = dataclasses.field(default_factory=dict)

  def changed(
    self, num_bits: int = 8, resize: int | None = None,
    skip_bad: bool = False) -> Self:
    with errors.refusing('dataset', self.name, _EXPECTED):
      if skip_bad:
        self = self._without_bad()
      elif self.faults:
        raise self.error(self.faults)
    self.report()
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
    return super().changed(num_bits, skip_bad=False)

  def _without_bad(self) -> Any:
    """Returns the metadata of the files whose pixels can be read."""
    info = dataclasses.replace(
      _info_of(self.root, self.candidates, True), ignored=self.ignored)
    return info.with_condition(('label',)) if self.condition else info

  def error(self, faults: Mapping[str, str]) -> errors.FormatError:
    """Returns the error that names all bad files, not only the known ones.

    Args:
      faults: The known ones, and what is wrong with them.
    """
    names = [name for name, *_ in self.candidates]
    _, others = _look_at_all(
      self.root, [name for name in names if name not in faults],
      reads_pixels=True)
    every = {**faults, **others}
    said = _sentence(
      {name: every[name] for name in names if name in every}, len(names))
    return errors.FormatError(
      f'{said} Repair or remove them; tf_resflow train passes over them with '
      '--skip_bad.')

  def report(self) -> None:
    """Logs how many images were taken, and what was passed over."""
    if self.faults:
      _log_once(
        logging.WARNING, f'{self.name}: passed over bad files. '
        f'{_sentence(self.faults, len(self.candidates))}')
    kinds = collections.Counter(self.ignored) + collections.Counter(
      bad=len(self.faults))
    counts = _first_of(f'{count} {kind}' for kind, count in kinds.most_common())
    num_taken = len(self.candidates) - len(self.faults)
    _log_once(logging.INFO, f'{self.name}: took {num_taken} images' + (
      f'; passed over {kinds.total()} files: {counts}' if kinds else ''))


@functools.lru_cache(maxsize=64)
def _log_once(level: int, message: str) -> None:
  """Logs a message once per process: metadata are asked for many times."""
  _logger.log(level, '%s', message)


def _first_of(texts: Iterable[str]) -> str:
  """Returns the first few texts, and how many others there are."""
  texts = list(texts)
  rest = len(texts) - _MAX_NAMED
  return ', '.join(texts[:_MAX_NAMED]) + (f' and {rest} more' * (rest > 0))


def _sentence(faults: Mapping[str, str], num_files: int) -> str:
  """Returns how many files are bad, and why the first few are."""
  first = _first_of(f'{name} ({fault})' for name, fault in faults.items())
  verb = 'is' if len(faults) == 1 else 'are'
  return f'{len(faults)} of {num_files} files {verb} bad: {first}.'


def open_folder(path: str) -> FolderInfo:
  """Opens the images in a folder and its subfolders.

  Folders `train` and `test` are the parts; without these, a fixed fifth of the
  images is the test part. If all images of the parts are in folders, these are
  classes. EXIF orientations are applied; grayscale images among colour images
  become RGB. All images must have the same size, or are cropped to the central
  square and resized.

  Only headers are read here. `changed` refuses files that are bad by their
  headers; loading refuses those whose pixels cannot be read, or are
  transparent. Either error names all bad files, for which all images are read.
  With `changed(skip_bad=True)` they are passed over, and the parts are those of
  the other files: for it, all images are read once per process and state of the
  folder, besides the reading of each when it is loaded.

  Images are read one at a time, in 4 bytes per pixel (1 if grayscale), and as
  many again where colours are converted. With `resize`, JPEG files are read at
  up to an eighth of their size. At 13,000 x 13,000 pixels of RGB, resized to
  64 x 64, a process grew by 12 MB for a JPEG file (496 MB if progressive), 650
  MB for PNG, 770 MB for TIFF and 2.6 GB for WebP. More than 178 million pixels
  are refused.

  Args:
    path: Path of the folder.

  Raises:
    InvalidValueError: If there are too few good images.
  """
  with errors.refusing('dataset', f'images:{path}', _EXPECTED):
    errors.check_format(not os.path.isfile(path), 'It is a file.')
    errors.check_format(os.path.isdir(path), 'There is no such folder.')
    try:
      files, ignored = _files_below(path)
    except OSError as error:
      raise errors.FormatError(
        f'{error.filename}: {error.strerror}.') from None
    errors.check_format(
      files, f'No file below it ends in {", ".join(_SUFFIXES)}.')
    return dataclasses.replace(
      _info_of(os.path.abspath(path), files, False), ignored=ignored)


def _files_below(root):
  """Returns the images below a folder, and the numbers of other files.

  Returns:
    `(name, size, time)` of every file that should be an image, and a dictionary
    from kinds of other files to their numbers.
  """

  def fail(error):
    raise error

  seen, files = set(), []
  ignored: collections.Counter[str] = collections.Counter()
  for folder, folders, names in os.walk(root, onerror=fail, followlinks=True):
    seen.add(os.path.realpath(folder))
    # Avoids cycles of symbolic links.
    folders[:] = sorted(
      f for f in folders if not f.startswith('.')
      and os.path.realpath(os.path.join(folder, f)) not in seen)
    for name in sorted(names):
      suffix = os.path.splitext(name)[1].lower()
      if name.startswith('.') or suffix not in _SUFFIXES:
        ignored['hidden' if name.startswith('.') else
                suffix or 'without a suffix'] += 1
        continue
      file = os.path.join(folder, name)
      try:
        status = os.stat(file)
        state = status.st_size, status.st_mtime_ns
      except OSError:
        state = 0, 0  # `_opened` says what is wrong with it.
      files.append((os.path.relpath(file, root), *state))
  return tuple(files), dict(ignored)


@functools.lru_cache(maxsize=8)
def _info_of(path: str, files: tuple, reads_pixels: bool) -> FolderInfo:
  """Returns the metadata of the good ones among files `(name, size, time)`."""
  looks, faults = _look_at_all(
    path, [name for name, *_ in files], reads_pixels=reads_pixels)
  names = list(looks)
  sizes: dict[Any, str] = {}
  for name, (size, _) in looks.items():
    sizes.setdefault(size, name)
  is_coloured = any(is_colour for _, is_colour in looks.values())
  try:
    parts = _parts_of(names)
  except errors.FormatError as error:
    raise errors.FormatError(' '.join([
      str(error), *[_sentence(faults, len(files))] * bool(faults)])) from None
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
    candidates=files, faults=faults,
    image_shape=(height, width, 3 if is_coloured else 1),
    num_classes=len(classes) if has_classes else 0,
    num_train=len(parts['train']), num_test=len(parts['test']),
    fingerprint=own_files.fingerprint(
      *(file[:2] for file in files if file[0] in looks)),
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
  """Opens an image file; converts errors to a `FormatError` that says why."""
  path = os.path.join(root, name)
  try:
    status = os.stat(path)
    # Opening a FIFO would wait for a writer, a device may do anything.
    errors.check_format(stat.S_ISREG(status.st_mode), 'it is no regular file')
    errors.check_format(status.st_size, 'it is empty')
    with open(path, 'rb') as file, Image.open(file, formats=_FORMATS) as image:
      yield image
  except errors.FormatError:
    raise
  except Image.DecompressionBombError:
    # Users may have set a lower limit, or none.
    limit = min(2 * (Image.MAX_IMAGE_PIXELS or _MAX_PIXELS), _MAX_PIXELS)
    raise errors.FormatError(f'it has more than {limit:,} pixels') from None
  except UnidentifiedImageError:
    raise errors.FormatError(
      f'it is no {_KINDS} file, or its header is damaged') from None
  except _ERRORS as error:
    reason = getattr(error, 'strerror', None)  # Not of errors of Pillow.
    raise errors.FormatError(
      f'it cannot be opened: {reason}' if reason else
      'it is damaged or truncated') from None


def _look_at_all(
  root: str, names: Collection[str], *, reads_pixels: bool
) -> tuple[dict[str, tuple[tuple[int, int], bool]], dict[str, str]]:
  """Looks at files, see `_look_at`, and returns what is wrong with others."""
  looks, faults = {}, {}
  if reads_pixels:
    _logger.info('Reading %d images to find all bad files.', len(names))
  for name in names:
    try:
      looks[name] = _look_at(root, name, reads_pixels=reads_pixels)
    except errors.FormatError as error:
      faults[name] = str(error)
  return looks, faults


def _look_at(
  root: str, name: str, *, reads_pixels: bool
) -> tuple[tuple[int, int], bool]:
  """Returns height and width of an image, and whether it has colours."""
  with _large_images_allowed(), _opened(root, name) as image:
    mode, (width, height) = image.mode, image.size
    errors.check_format(
      width * height <= _MAX_PIXELS,
      f'it has {width} x {height} pixels, more than {_MAX_PIXELS:,}')
    # The first picture of an MPO file, from a camera, is the photograph.
    num_frames = getattr(image, 'n_frames', 1) if image.format != 'MPO' else 1
    errors.check_format(
      num_frames == 1, f'it has {num_frames} pages or frames, not one')
    # Pillow silently reduces 16-bit colour images to 8 bits. Tiles show the
    # depth until the image is read, as EXIF tags may cause.
    is_deep = mode[0] in 'IF' or any(
      ';16' in str(arguments) for *_, arguments in image.tile)
    errors.check_format(
      not is_deep, 'it has 16 or more bits per channel: convert it to 8')
    errors.check_format(
      mode in _GREY_MODES + _COLOUR_MODES,
      f'its colours are {mode}: convert it to RGB')
    # Pillow states the size of a TIFF file as it is after turning.
    is_turned = image.format != 'TIFF' and (
      _exif_of(image).get(_ORIENTATION, 1) >= 5)
    if reads_pixels:
      image.draft(None, (1, 1))  # JPEG files are read at an eighth.
      _opaque(image)
  return (
    (width, height) if is_turned else (height, width), mode in _COLOUR_MODES)


def _exif_of(image: Any) -> Image.Exif:
  """Returns the EXIF tags of an opened file, without its pixels if possible."""
  if image.format != 'PNG':
    return image.getexif()
  # Of PNG files, Pillow reads the pixels in search of tags after them.
  start, kinds = image.fp.tell(), []
  image.fp.seek(8)
  while len(head := image.fp.read(8)) == 8:
    length, kind = struct.unpack('>I4s', head)
    kinds.append(kind)
    image.fp.seek(length + 4, os.SEEK_CUR)
  image.fp.seek(start)
  late = kinds[kinds.index(b'IDAT'):] if b'IDAT' in kinds else ()
  return image.getexif() if {*late} & {
    b'eXIf', b'tEXt', b'zTXt', b'iTXt'} else Image.Image.getexif(image)


@contextlib.contextmanager
def _large_images_allowed() -> Iterator[None]:
  """Inside, Pillow does not warn of images that are not refused."""
  with warnings.catch_warnings():
    warnings.simplefilter('ignore', Image.DecompressionBombWarning)
    yield


def _load(
  info: FolderInfo, resize: int | None, part: str
) -> tuple[np.ndarray, np.ndarray | None]:
  """Returns the images of a part, uint8 `[N, H, W, C]`, and their labels."""
  names = info.parts[part]
  height, width, channels = info.image_shape
  shape = (resize or height, resize or width, channels)
  images = np.empty([len(names), *shape], np.uint8)
  with errors.refusing('dataset', info.name, _EXPECTED):
    for i, name in enumerate(names):
      try:
        image = _read(info, name, resize)
        errors.check_format(image.shape == shape, 'it has changed')
      except errors.FormatError as error:
        raise info.error({**info.faults, name: str(error)}) from None
      images[i] = image
  return images, np.array(
    [info.labels[name] for name in names]) if info.labels else None


def _read(info: FolderInfo, name: str, resize: int | None) -> np.ndarray:
  """Returns one image, uint8 `[H, W, C]`."""
  mode = 'RGB' if info.image_shape[-1] == 3 else 'L'
  with _large_images_allowed(), _opened(info.root, name) as file:
    width, height = file.size
    reduced = resize and file.draft(
      None, (_REDUCING_GAP * resize, _REDUCING_GAP * resize))
    scale = reduced[1][2] / width if reduced else 1
    image = _opaque(file)
    if image.mode != mode:  # Otherwise it would be copied.
      image = image.convert(mode)
    if resize is not None:
      side = min(width, height)
      left, top = (width - side) // 2, (height - side) // 2
      image = image.resize(
        (resize, resize), Image.Resampling.BILINEAR, box=(
          scale * left, scale * top, scale * (left + side),
          scale * (top + side)))
    ImageOps.exif_transpose(image, in_place=True)
    return np.asarray(image).reshape([image.height, image.width, -1])


def _opaque(image: Image.Image) -> Image.Image:
  """Reads the pixels of an opened file, which must not be transparent."""
  image.load()
  if not image.has_transparency_data:
    return image
  if image.mode != 'RGBA':
    image = image.convert('RGBA')
  errors.check_format(
    image.getchannel('A').getextrema() == (255, 255),
    'it has transparent pixels: flatten it onto a background')
  return image
