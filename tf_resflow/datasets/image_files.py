"""Image files: what is wrong with them, their headers and their pixels."""

from collections.abc import Collection, Iterator
import contextlib
import logging
import os
import re
import stat
import struct
from typing import Any
import warnings
import zlib

import numpy as np
from PIL import Image
from PIL import ImageOps
from PIL import UnidentifiedImageError

from tf_resflow import errors

_logger = logging.getLogger(__name__)
KINDS = 'PNG, JPEG, WebP or TIFF'
SUFFIXES = ('.png', '.jpg', '.jpeg', '.webp', '.tif', '.tiff')
_FORMATS = ('PNG', 'JPEG', 'WEBP', 'TIFF')
_GREY_MODES = ('1', 'L', 'LA', 'La')
_COLOUR_MODES = ('RGB', 'RGBA', 'RGBa', 'RGBX', 'P', 'PA', 'CMYK', 'YCbCr')
# Errors of Pillow and its decoders for damaged files; none are documented.
_ERRORS = (OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError,
           RuntimeError, struct.error, zlib.error)
_ORIENTATION = 0x0112  # EXIF tag; from 5 on width and height are swapped.
# Least ratio of sides in resizing: JPEG files are decoded at a half, a quarter
# or an eighth of their size where that leaves more. From 3 on, Pillow's
# documentation says, the difference is not seen.
_REDUCING_GAP = 3


def look_at_all(
    root: str, names: Collection[str], *, reads_pixels: bool
) -> tuple[dict[str, Any], dict[str, str]]:
  """Looks at images, by their paths in the folder `root`.

  With `reads_pixels` also at their pixels: headers do not show whether these
  are damaged or transparent.

  Returns:
    A dictionary from good ones to `(height, width)` and whether they have
    colours, and one from bad ones to what is wrong with them.
  """
  looks, faults = {}, {}
  if reads_pixels:
    _logger.info('Reading %d images to find all bad files.', len(names))
  for name in names:
    try:
      looks[name] = _look_at(root, name, reads_pixels)
    except errors.FormatError as error:
      faults[name] = str(error)
  return looks, faults


def _look_at(root, name, reads_pixels):
  """Returns height and width of an image, and whether it has colours."""
  with _opened(root, name) as image:
    mode, (width, height) = image.mode, image.size
    # The first picture of an MPO file, from a camera, is the photograph.
    num_frames = getattr(image, 'n_frames', 1) if image.format != 'MPO' else 1
    errors.check(
        num_frames == 1,
        problem=f'it has {num_frames} pages or frames, not one')
    # Pillow silently reduces 16-bit colour images to 8 bits. Tiles show the
    # depth until the image is read, as EXIF tags may cause.
    is_deep = mode[0] in 'IF' or any(
        ';16' in str(arguments) for *_, arguments in image.tile)
    errors.check(
        not is_deep,
        problem='it has 16 or more bits per channel: convert it to 8')
    errors.check(
        mode in _GREY_MODES + _COLOUR_MODES,
        problem=f'its colours are {mode}: convert it to RGB')
    # Pillow states the size of a TIFF file as it is after turning.
    is_turned = image.format != 'TIFF' and (
        _exif_of(image).get(_ORIENTATION, 1) >= 5)
    if reads_pixels:
      image.draft(None, (1, 1))  # JPEG files are read at an eighth.
      _opaque(image)
  return (
      (width, height) if is_turned else (height, width), mode in _COLOUR_MODES)


def read(
    root: str, name: str, num_channels: int, resize: int | None) -> np.ndarray:
  """Returns the pixels of an image, uint8 `[H, W, num_channels]`.

  Those of the square in the middle, resized to height and width `resize`, if
  that is not None.

  Raises:
    FormatError: if it is bad, with the reason.
  """
  mode = 'RGB' if num_channels == 3 else 'L'
  with _opened(root, name) as file:
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
          (resize, resize), Image.Resampling.BILINEAR, box=[
              scale * x for x in (left, top, left + side, top + side)])
    ImageOps.exif_transpose(image, in_place=True)
    return np.asarray(image).reshape([image.height, image.width, -1])


def _opaque(image: Image.Image) -> Image.Image:
  """Reads the pixels of an opened file, which must not be transparent."""
  image.load()
  if not image.has_transparency_data:
    return image
  if image.mode != 'RGBA':
    image = image.convert('RGBA')
  errors.check(
      image.getchannel('A').getextrema() == (255, 255),
      problem='it has transparent pixels: flatten it onto a background')
  return image


@contextlib.contextmanager
def _opened(root: str, name: str) -> Iterator[Image.Image]:
  """Opens an image file; converts errors to a `FormatError` that says why."""
  path = os.path.join(root, name)
  try:
    status = os.stat(path)
    # Opening a FIFO would wait for a writer, a device may do anything.
    errors.check(stat.S_ISREG(status.st_mode), problem='it is no regular file')
    errors.check(status.st_size, problem='it is empty')
    with warnings.catch_warnings(), open(path, 'rb') as file:
      # Of images that are not refused.
      warnings.simplefilter('ignore', Image.DecompressionBombWarning)
      with Image.open(file, formats=_FORMATS) as image:
        yield image
  except errors.FormatError:
    raise
  except Image.DecompressionBombError:
    raise errors.FormatError('it has more than 178 million pixels') from None
  except UnidentifiedImageError:
    raise errors.FormatError(
        f'it is no {KINDS} file, or its header is damaged') from None
  except _ERRORS as error:
    reason = getattr(error, 'strerror', None)  # Not of errors of Pillow.
    raise errors.FormatError(
        f'it cannot be opened: {reason}' if reason else
        'it is damaged or truncated') from None


def _exif_of(image: Any) -> Image.Exif:
  """Returns the EXIF tags of an opened file, without its pixels if possible."""
  if image.format != 'PNG':
    return image.getexif()
  # Of PNG files, Pillow reads the pixels in search of tags after them.
  start = image.fp.tell()
  has_late = re.search(b'eXIf|[tzi]TXt', image.fp.read())
  image.fp.seek(start)
  return image.getexif() if has_late else Image.Image.getexif(image)
