"""User-provided folders of images, and errors of invalid ones."""

import numpy as np
from PIL import Image
import pytest

from tests import testing
from tests.datasets import image_files_test
from tf_resflow import configuration
from tf_resflow import datasets
from tf_resflow.datasets import image_folder

_RNG = np.random.default_rng(0)
_BAD = image_files_test.BAD
_DAMAGED, _DEEP = image_files_test.DAMAGED, image_files_test.DEEP


def _array(height=6, width=4, channels=3):
  return _RNG.integers(0, 256, [height, width, channels], dtype=np.uint8)


def _write(path, array, **options):
  path.parent.mkdir(parents=True, exist_ok=True)
  image = Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array)
  image.save(path, **options)


@pytest.fixture(name='folder')
def _folder(tmp_path):
  """Writes twelve PNG files, and returns their pixels by names."""
  arrays = {f'{i:02}.png': _array() for i in range(12)}
  for name, array in arrays.items():
    _write(tmp_path / name, array)
  return tmp_path, arrays


def _load(folder, split, **arguments):
  return datasets.open_split(f'images:{folder}', split, **arguments)


def _read_all(folder, **arguments):
  """Returns the bytes of all images."""
  return {
    image.tobytes() for part in ('train', 'test')
    for image in _load(folder, part, **arguments).arrays['x'].numpy()}


def test_parts_hold_every_image_once(folder):
  folder, arrays = folder
  info = datasets.info(f'images:{folder}')
  assert (info.image_shape, info.num_levels, info.num_classes) == (
    (6, 4, 3), 256, 0)
  parts = [_load(folder, s).arrays['x'].numpy() for s in ('train', 'test')]
  assert [len(part) for part in parts] == [10, 2]
  assert _read_all(folder) == {array.tobytes() for array in arrays.values()}
  reduced = _load(folder, 'test', num_bits=5).arrays['x'].numpy()
  np.testing.assert_array_equal(reduced, parts[1] // 8)
  # With another image it is another folder.
  assert datasets.info(f'images:{folder}').fingerprint == info.fingerprint
  _write(folder / 'more.png', _array())
  assert datasets.info(f'images:{folder}').fingerprint != info.fingerprint


def test_folders_of_parts_and_classes(tmp_path):
  names = {'train': ['cat'] * 20 + ['dog'] * 21, 'test': ['dog', 'cat']}
  for part, classes in names.items():
    for i, name in enumerate(classes):
      _write(tmp_path / part / name / f'{i}.png', _array(channels=1))
  info = datasets.info(f'images:{tmp_path}')
  assert info.image_shape == (6, 4, 1)
  assert info.num_classes == 2
  labels = {
    part: sorted(_load(tmp_path, part).arrays['label'].numpy())
    for part in names}
  assert labels == {'train': [0] * 20 + [1] * 21, 'test': [0, 1]}
  # The validation part has all classes too.
  labels = _load(tmp_path, 'validation', num_validation=12).arrays['label']
  assert set(labels.numpy()) == {0, 1}


def test_folders_that_are_not_quite_parts(tmp_path):

  def open_folder(names):
    folder = tmp_path / str(len(list(tmp_path.iterdir())))
    for i, name in enumerate(names):
      _write(folder / f'{name}{i if "T" in name else ""}.png', _array())
    image_folder.open_folder(str(folder))

  testing.check_refusals(open_folder, [
    (['train/a/0', 'train/b/1', 'val/a/2'], '...requires both folders train'),
    (['train/0', 'train/1', 'test/2', 'test/3', 'val/4'],
     '...outside of them (val'),
    (['train/0', 'test/1', 'test/2', '3'], '...outside of them (3.png'),
    (['train/0', 'train/1'], '...outside of them (too few in one'),
    (['Train/a', 'Test/b'] * 5, "...Its folder ['Test'] is not a class"),
    (['train/0', 'train/1', 'test/2'], '...(of two images at least')])


def test_links_are_followed_once(folder):
  folder, arrays = folder
  (folder / 'own' / 'cat').mkdir(parents=True)
  (folder / 'own' / 'linked').symlink_to(folder)
  info = image_folder.open_folder(str(folder / 'own'))
  assert info.num_train + info.num_test == len(arrays)


def test_classes_without_parts(tmp_path):
  for i in range(10):
    _write(tmp_path / 'ab'[i % 2] / f'{i}.png', _array(channels=1) // 2 +
           np.uint8(128 * (i % 2)))
  for part in ('train', 'test'):
    arrays = _load(tmp_path, part).arrays
    np.testing.assert_array_equal(
      arrays['label'], arrays['x'].numpy().max(axis=(1, 2, 3)) >= 128)


def test_what_becomes_rgb(folder):
  """Grey images among coloured ones, a palette, an opaque alpha channel."""
  folder, arrays = folder
  grey = _array(channels=1)
  _write(folder / 'grey.png', grey)
  opaque = np.dstack([_array(), np.full([6, 4], 255, np.uint8)])
  _write(folder / 'opaque.png', opaque)
  colours = np.array([[255, 0, 0], [0, 0, 255]], np.uint8)
  places = _RNG.integers(0, 2, [6, 4])
  Image.fromarray(colours[places]).quantize(2).save(folder / 'palette.png')
  assert _read_all(folder) == {array.tobytes() for array in (
    *arrays.values(), np.repeat(grey, 3, axis=2), opaque[..., :3],
    colours[places])}


@pytest.mark.reliability(promise='too-large')
def test_sizes(folder):
  folder, _ = folder
  _write(folder / 'x.png', _array(8, 10))
  testing.check_refusals(lambda size: _load(folder, 'train', resize=size), [
    (None, '...00.png is 6 x 4 and x.png is 8 x 10; use --resize=SIZE to crop'),
    (10**6, 'resize=1000000 needs ... GiB of memory')])
  for part in ('train', 'test'):
    split = _load(folder, part, resize=2)
    assert split.event_shape == (2, 2, 3)
    assert split.arrays['x'].shape[1:] == (2, 2, 3)


def test_the_square_in_the_middle_is_averaged(tmp_path):
  # Four constant quarters of the middle square, and other pixels beside it.
  for i in range(10):
    array = np.full([4, 8, 1], 255, np.uint8)
    array[:2, 2:4], array[:2, 4:6] = 10, 20
    array[2:, 2:4], array[2:, 4:6] = 30, 40
    _write(tmp_path / f'{i}.png', array)
  found = _load(tmp_path, 'test', resize=4).arrays['x'].numpy()
  np.testing.assert_array_equal(found[0, ..., 0], array[:, 2:6, 0])


def test_no_images(tmp_path):
  (tmp_path / 'empty').mkdir()
  testing.check_refusals(
    lambda name: image_folder.open_folder(f'{tmp_path}/{name}'), [
      ('none', f'dataset=images:{tmp_path}/none: ...There is no such folder'),
      ('empty', '...No file below it ends in .png, .jpg, .jpeg')])


def test_one_error_names_all_bad_files(folder):
  """Also those that headers do not show, of either part."""
  folder, arrays = folder
  for name in ('cut.png', 'clear.png'):
    _BAD[name][0](folder / name)

  def load(names):
    for name in names:
      _BAD[name][0](folder / name)
    _read_all(folder, resize=4)

  advice = ('. Repair or remove them; tf_resflow train passes over them with '
            '--skip_bad.')
  clear = f'clear.png ({_BAD["clear.png"][1]})'
  testing.check_refusals(load, [
    ((), f'dataset=images:{folder}: expected a folder...images of 8 bits. 2 of '
     f'14 files are bad: {clear}, cut.png ({_DAMAGED}){advice}'),
    (('text.png', 'deep.tif'), f'...4 of 16 files are bad: {clear}, cut.png '
     f'({_DAMAGED}), deep.tif ({_DEEP}) and 1 more{advice}')])
  for name in [*arrays, 'clear.png', 'cut.png']:
    (folder / name).unlink()
  testing.check_refusals(image_folder.open_folder, [
    (str(folder), '...It has 0 of them; at least 10 are required. 2 of 2 files '
     'are bad: deep.tif')])


def test_bad_files_are_passed_over(folder, caplog):
  folder, arrays = folder
  name = f'images:{folder}'
  good = datasets.info(name)
  for bad in ('00.png', 'text.png', 'cut.png', 'pipe.png'):
    _BAD.get(bad, _BAD['clear.png'])[0](folder / bad)
  (folder / 'notes.txt').touch()
  (folder / '.hidden.png').touch()
  caplog.clear()
  caplog.set_level('INFO', 'tf_resflow')
  config = configuration.make_config(
    dataset=name, skip_bad=True, num_blocks=(1,))
  info = config.info
  assert [record.message.removeprefix(f'{name}: ')
          for record in caplog.records] == [
    'Reading 15 images to find all bad files.',
    'took 11 images; 4 of 15 files are bad: 00.png '
    f'({_BAD["clear.png"][1]}), cut.png ({_DAMAGED}), pipe.png (it is no '
    'regular file) and 1 more; ignored 2 other files']
  assert _read_all(folder, skip_bad=True) == {
    array.tobytes() for name, array in arrays.items() if name != '00.png'}
  # The split and the fingerprint are those of the files that were taken.
  for bad in ('00.png', 'text.png', 'cut.png', 'pipe.png'):
    (folder / bad).unlink()
  clean = datasets.info(name)
  for part in ('train', 'test'):
    np.testing.assert_array_equal(clean.load_fn(part)[0], info.load_fn(part)[0])
  assert clean.fingerprint == info.fingerprint != good.fingerprint
