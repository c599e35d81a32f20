"""User-provided data sets: folders of image files."""

from collections.abc import Mapping, Sequence
import logging
import math
import os

import numpy as np

from tf_resflow import errors
from tf_resflow.datasets import dataset_info
from tf_resflow.datasets import image_files
from tf_resflow.datasets import user_files
from tf_resflow.specs import machine

_logger = logging.getLogger(__name__)
_EXPECTED = f'a folder with {image_files.KINDS} images of 8 bits'
# Names of folders that are probably meant as parts.
_PARTS = ('train', 'training', 'test', 'testing', 'val', 'valid', 'validation',
          'dev')
# Number of bad files that a message names.
_MAX_NAMED = 3


@user_files.opener('images', _EXPECTED)
def open_folder(path: str, *, skip_bad: bool = False,
                resize: int | None = None) -> dataset_info.ImageInfo:
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
    InvalidValueError: if there are bad images, or too few good ones.
  """
  errors.check(os.path.isdir(path), problem='There is no such folder.')
  root = os.path.abspath(path)
  sizes_in_bytes, num_others = _files_below(root)
  files = list(sizes_in_bytes)
  looks, faults = image_files.look_at_all(root, files, reads_pixels=skip_bad)
  try:
    parts = _parts_of(list(looks))
  except errors.FormatError as error:
    bad = f' {_described(faults, files)}.' if faults else ''
    raise errors.FormatError(f'{error}{bad}') from None
  if faults and not skip_bad:
    raise _error(root, files, faults)
  _logger.log(
      logging.WARNING if faults else logging.INFO,
      'images:%s: took %d images; %signored %d other files', root, len(looks),
      f'{_described(faults, files)}; ' if faults else '', num_others)
  shape = _shape_of(looks, resize)
  if resize is not None:
    machine.check_memory(len(looks) * math.prod(shape), 'resize', resize)
  labels = _labels_of(list(looks), parts)

  def load(part):
    names = parts[part]
    images = np.empty([len(names), *shape], np.uint8)
    with errors.format_errors('dataset', f'images:{root}', _EXPECTED):
      for i, name in enumerate(names):
        try:
          image = image_files.read(root, name, shape[-1], resize)
          errors.check(image.shape == shape, problem='it has changed')
        except errors.FormatError as error:
          raise _error(root, files, {name: str(error)}) from None
        images[i] = image
    return images, np.array(
        [labels[name] for name in names]) if labels else None

  return dataset_info.ImageInfo(
      name=f'images:{root}', image_shape=shape, load_fn=load,
      num_classes=len({*labels.values()}),
      num_train=len(parts['train']), num_test=len(parts['test']),
      fingerprint=user_files.fingerprint(
          *((name, sizes_in_bytes[name]) for name in looks)))


def _described(faults: Mapping[str, str], files: Sequence[str]) -> str:
  """Returns how many files are bad, and why the first few are."""
  texts = [f'{name} ({fault})' for name, fault in faults.items()]
  more = f' and {len(texts) - _MAX_NAMED} more'
  return (f'{len(faults)} of {len(files)} files are bad: '
          f'{", ".join(texts[:_MAX_NAMED])}'
          f'{more if len(texts) > _MAX_NAMED else ""}')


def _error(root: str, files: Sequence[str],
           faults: Mapping[str, str]) -> errors.FormatError:
  """Returns the error that names all bad files, not only the known ones."""
  _, others = image_files.look_at_all(root, files, reads_pixels=True)
  said = _described(dict(sorted({**faults, **others}.items())), files)
  return errors.FormatError(
      f'{said}. Repair or remove them; tf_resflow train passes over them '
      'with --skip_bad.')


def _files_below(root):
  """Returns sizes of files that should be images, by name, and how many others.

  Hidden folders are left out.
  """
  sizes: dict[str, int] = {}
  num_others, seen = 0, set()

  def fail(error):
    raise error

  for folder, folders, names in os.walk(root, onerror=fail, followlinks=True):
    seen.add(os.path.realpath(folder))
    # Avoids cycles of symbolic links.
    folders[:] = sorted(
        f for f in folders if not f.startswith('.')
        and os.path.realpath(os.path.join(folder, f)) not in seen)
    for name in sorted(names):
      path = os.path.join(folder, name)
      if name.startswith('.') or not name.lower().endswith(
          image_files.SUFFIXES):
        num_others += 1
      else:  # Of one that cannot be read `image_files` says what is wrong.
        sizes[os.path.relpath(path, root)] = os.path.getsize(path) if (
            os.path.exists(path)) else 0
  errors.check(
      sizes,
      problem=f'No file below it ends in {", ".join(image_files.SUFFIXES)}.')
  return sizes, num_others


def _shape_of(looks, resize):
  """Returns the shape of the images that were looked at."""
  channels = 3 if any(is_colour for _, is_colour in looks.values()) else 1
  if resize is not None:
    return resize, resize, channels
  sizes: dict[tuple[int, int], str] = {}
  for name, (size, _) in looks.items():
    sizes.setdefault(size, f'{name} is {size[0]} x {size[1]}')
  errors.check(
      len(sizes) == 1, problem=f'{" and ".join(list(sizes.values())[:2])}; use '
      '--resize=SIZE to crop to squares and resize.')
  ((height, width),) = sizes
  return height, width, channels


def _labels_of(names, parts):
  """Returns the labels of files, by name, if all are in folders of classes."""
  # Without the folder of the part, if any.
  has_parts = parts['train'][0].startswith('train' + os.sep)
  folders = [(*name.split(os.sep)[has_parts:-1], '')[0] for name in names]
  classes, labels = np.unique(folders, return_inverse=True)
  return {} if len(classes) < 2 or '' in classes else dict(
      zip(names, labels, strict=True))


def _parts_of(names):
  """Returns the names of 'train' and 'test', in the order of the examples."""
  tops = {name.partition(os.sep)[0] for name in names if os.sep in name}
  if not tops & {'train', 'test'}:
    odd = sorted(top for top in tops if top.lower() in _PARTS)
    errors.check(
        not odd, problem=f'Its folder {odd[:1]} is not a class; name its parts '
        'train and test.')
    return {
        part: tuple(names[i] for i in places)
        for part, places in user_files.held_out(len(names), 'of them').items()}
  train, test = (
      [name for name in names if name.startswith(part + os.sep)]
      for part in ('train', 'test'))
  others = sorted({*names} - {*train, *test})
  errors.check(
      train and len(test) > 1 and not others, problem='It requires both '
      'folders train and test (of two images at least), and no images outside '
      f'of them ({", ".join(others[:1]) or "too few in one"}).')
  order = user_files.held_out(len(train), num_test=len(test))
  return {'train': tuple(train[i] for i in order['train']), 'test': tuple(test)}
