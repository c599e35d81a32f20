"""Image files of all formats: their pixels, and what is wrong with bad ones."""

import os
import zlib

import numpy as np
from PIL import Image
import pytest

from tf_resflow import errors
from tf_resflow.datasets import image_files

_RNG = np.random.default_rng(0)


def _random(height, width):
  return Image.fromarray(
    _RNG.integers(0, 256, [height, width, 3], dtype=np.uint8))


@pytest.mark.parametrize('suffix, options', [
  ('JPG', {'format': 'JPEG'}), ('webp', {'lossless': True}), ('tif', {}),
  ('tiff', {'compression': 'tiff_lzw'})])
def test_formats(tmp_path, suffix, options):
  """Those without a loss exactly, and turned ones turned back."""
  exif = Image.Exif()
  exif[0x0112] = 6
  array = np.full([6, 8, 3], 100, np.uint8)
  array[:, :4] = 90
  name = f'a.{suffix}'
  Image.fromarray(np.rot90(array)).save(tmp_path / name, exif=exif, **options)
  looks, faults = image_files.look_at_all(
    str(tmp_path), [name], reads_pixels=False)
  assert looks == {name: ((6, 8), True)} and not faults
  np.testing.assert_allclose(
    image_files.read(str(tmp_path), name, 3, None).astype(int), array,
    atol=5 if suffix == 'JPG' else 0)


@pytest.mark.parametrize('orientation', [1, 6])
def test_jpeg_files_are_reduced_while_read(tmp_path, orientation):
  """As if the whole image were averaged; a shift by a pixel would show."""
  y, x = np.mgrid[:203, :333]
  image = Image.fromarray(
    np.stack([x / 2, y, (x + y) / 4], axis=-1).astype(np.uint8))
  exif = Image.Exif()
  exif[0x0112] = orientation
  image.save(tmp_path / 'a.jpg', exif=exif, quality=95)
  image.save(tmp_path / 'a.png', exif=exif)
  jpeg, png = (
    image_files.read(str(tmp_path), name, 3, 8) for name in ('a.jpg', 'a.png'))
  np.testing.assert_allclose(jpeg.astype(int), png, atol=2)


def test_exif_tags_behind_the_pixels(tmp_path):
  """Pillow writes them in front; chunks may have any order."""
  exif = Image.Exif()
  exif[0x0112] = 6
  Image.new('L', (4, 6)).save(tmp_path / 'front.png', exif=exif)
  data = (tmp_path / 'front.png').read_bytes()
  start, end = data.index(b'eXIf') - 4, data.index(b'IDAT') - 4
  last = data.index(b'IEND') - 4
  (tmp_path / 'behind.png').write_bytes(
    data[:start] + data[end:last] + data[start:end] + data[last:])
  looks, _ = image_files.look_at_all(
    str(tmp_path), ['front.png', 'behind.png'], reads_pixels=False)
  assert {*looks.values()} == {((4, 6), False)} and len(looks) == 2


def test_large_images_are_read_without_a_warning(tmp_path, monkeypatch):
  monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 15)  # It warns at 24.
  Image.new('L', (4, 6)).save(tmp_path / 'a.png')
  assert image_files.read(str(tmp_path), 'a.png', 1, None).shape == (6, 4, 1)


def _deep_png(path):
  # What Pillow cannot write: PNG with 16 bits a channel.
  def chunk(name, data):
    return (len(data).to_bytes(4, 'big') + name + data +
            zlib.crc32(name + data).to_bytes(4, 'big'))

  path.write_bytes(
    b'\x89PNG\r\n\x1a\n'
    + chunk(b'IHDR', bytes([0, 0, 0, 4, 0, 0, 0, 6, 16, 2, 0, 0, 0]))
    + chunk(b'IDAT', zlib.compress(bytes(6 * (1 + 4 * 6))))
    + chunk(b'IEND', b''))


def _cut(path):
  _random(60, 40).save(path)
  path.write_bytes(path.read_bytes()[:2000])


def _transparent(path):
  array = np.full([6, 4, 4], 255, np.uint8)
  array[0, 0, 3] = 254
  Image.fromarray(array).save(path)


def _frames(path):
  one, other = (_random(6, 4) for _ in range(2))
  one.save(path, save_all=True, append_images=[other])


DEEP = 'it has 16 or more bits per channel: convert it to 8'
DAMAGED = 'it is damaged or truncated'
_UNKNOWN = 'it is no PNG, JPEG, WebP or TIFF file, or its header is damaged'
_FRAMES = 'it has 2 pages or frames, not one'
BAD = {
  'deep.png': (_deep_png, DEEP),
  'deep.tif': (lambda path: Image.new('I;16', (4, 6)).save(path), DEEP),
  'float.tif': (lambda path: Image.new('F', (4, 6)).save(path), DEEP),
  'lab.tif': (lambda path: Image.new('LAB', (4, 6)).save(path),
              'its colours are LAB: convert it to RGB'),
  'text.png': (lambda path: path.write_text('text'), _UNKNOWN),
  'gif.png': (lambda path: Image.new('L', (4, 6)).save(path, 'GIF'), _UNKNOWN),
  'empty.jpg': (lambda path: path.touch(), 'it is empty'),
  'cut.png': (_cut, DAMAGED),
  'cut.jpg': (_cut, DAMAGED),
  'clear.png': (_transparent,
                'it has transparent pixels: flatten it onto a background'),
  'pages.tiff': (_frames, _FRAMES),
  'moving.webp': (_frames, _FRAMES),
  'moving.png': (_frames, _FRAMES),
  'pipe.png': (os.mkfifo, 'it is no regular file'),
  'gone.png': (lambda path: path.symlink_to('nowhere'),
               'it cannot be opened: No such file or directory'),
  'large.png': (lambda path: Image.new('1', (20_000, 20_000)).save(path),
                'it has more than 178 million pixels'),
}


def test_bad_files(tmp_path):
  for name, (write, _) in BAD.items():
    write(tmp_path / name)
  _, faults = image_files.look_at_all(str(tmp_path), BAD, reads_pixels=True)
  assert faults == {name: fault for name, (_, fault) in BAD.items()}
  with pytest.raises(errors.FormatError, match='it has transparent pixels'):
    image_files.read(str(tmp_path), 'clear.png', 3, None)
