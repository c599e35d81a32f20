"""Files of `torch.save`, whole and broken; those in testdata/ are PyTorch's."""

import argparse
import collections
import io
import pickle
import struct
import tracemalloc
import zipfile

import keras
import numpy as np
import pytest

from tests import testing
from tests.conversion import torch_writer
from tf_resflow.conversion import torch_file

_FLOAT_STORAGE = torch_writer.Global('torch', 'FloatStorage')
_WRITERS = {'zip': torch_writer.write_zip, 'legacy': torch_writer.write_legacy}


def _check_tensor(tensor, expected):
  """Checks shape, dtype and numbers of a `Tensor`."""
  result = tensor.numpy()
  for value in (tensor, result):
    assert tuple(value.shape) == expected.shape
    assert value.dtype == expected.dtype
  assert result.flags.c_contiguous and result.flags.writeable
  np.testing.assert_array_equal(result, expected)


def _arrays():
  """Returns arrays, some of which are views of one."""
  rng = np.random.default_rng(0)
  base = rng.normal(size=[3, 4, 5]).astype('f4')
  return [
      base, base.T, base[1:, ::2, 1:3], base[2, 3, 4:], base[..., :0],
      base.reshape(15, 4)[:, 1], np.broadcast_to(base[0, 0], [2, 5]),
      *(np.array([1, 0, 1], kind) for kind in (
          'f2', 'f8', 'i1', 'i2', 'i4', 'i8', 'u1')),
      np.array(3.5), np.zeros([0], 'i8'), base[::-1]]


def _expected():
  """Returns the readable part of the content in testdata/README.md."""
  base = np.arange(24, dtype='f4').reshape(4, 6) / 8
  return {
      'float32': base,
      'transposed': base.T,
      'sliced': base[1:3, 2:5],
      'expanded': np.full([2, 3], 7, 'f4'),
      'float64': np.arange(5) / 3,
      'float16': np.arange(4, dtype='f2') / 4,
      'bfloat16': np.array([-3, -1.5, 0, 1.5], 'f4'),
      'int64': np.arange(3) - 2**40,
      'int8': np.array([-128, 127], 'i1'), 'uint8': np.array([0, 255], 'u1'),
      'bool': np.array([1, 0], 'u1'),
      'scalar': np.array(2.5, 'f4'), 'empty': np.zeros([0, 3], 'f4'),
      'parameter': np.array([-1, 0, 1], 'f4'),
      'plain_parameter': np.array([0, 1], 'f4')}


@pytest.mark.usefixtures('own_process')
def test_files_of_pytorch(genuine):
  content = torch_file.read(genuine)
  expected = _expected()
  assert [name for name, value in content.items()
          if isinstance(value, torch_file.Tensor)] == list(expected)
  for name, value in expected.items():
    _check_tensor(content[name], value)
  state, average = content['state_dict'], content['ema']
  assert list(state) == ['weight', 'num_calls']
  _check_tensor(state['weight'], np.array([1.5, -0.5], 'f4'))
  _check_tensor(state['num_calls'], np.array(7))
  assert content['args'] == {'lr': 1e-3, 'nblocks': '16-16-16', 'coeff': None}
  assert average['decay'] == 0.999 and average['module']['training'] is True
  (shadow,) = average['shadow_params'].values()
  _check_tensor(shadow, np.array([1.25, -0.25], 'f4'))
  assert content['others'] == [
      '<torch.Size>', '<__builtin__.set>', '<type>', '<_codecs.encode>']


def test_values(load):
  value = [0, -1, 65536, 2**40, -2**80, 0.1, float('-inf'), True, False, None,
           '', 'quoted \' " \\', 'zwölf', '\U0001f600', '\ud800', (1, 2), []]
  # Attributes of any name; keys that are no strings are left out.
  namespace = argparse.Namespace(lr=0.1, args=3, path=4, deep={'a': {}})
  for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
    found, attributes, other = load(pickle.dumps(
        [value, {'a': namespace, 2: 3, None: 4}, collections.Counter(a=1)],
        protocol))
    # True is not 1 there.
    assert repr(found) == repr([*value[:-2], [1, 2], []])
    assert attributes == {
        'a': {'lr': 0.1, 'args': 3, 'path': 4, 'deep': '<dict>'}}
    # Containers of other types keep nothing.
    assert other == '<collections.Counter>'
  ordered = torch_writer.fragment(collections.OrderedDict(b=1, a=2))
  hide = torch_writer.fragment({'items': 'hides the method'}) + pickle.BUILD
  assert list(load(ordered + hide + b'.').items()) == [('b', 1), ('a', 2)]


def test_views_of_shared_storages(kind, tmp_path):
  arrays = _arrays()
  pickled, storages = torch_writer.make_pickle(arrays, kind == 'legacy')
  # One storage for all views of `base`, unless they run backwards.
  assert len(storages) == len(arrays) - 6
  _WRITERS[kind](tmp_path / 'a.pth', pickled, storages)
  for tensor, array in zip(
      torch_file.read(tmp_path / 'a.pth'), arrays, strict=True):
    _check_tensor(tensor, array)


def _view(*offset_shape_strides):
  """Returns the pickle of a view of six numbers, and their storage."""
  return torch_writer.make_pickle(torch_writer.View(
      np.arange(6, dtype='f4'), *offset_shape_strides))


def test_strange_tensors(load):
  for offset, shape, strides in (
      (5, (), ()), (5, (1,), (2**63 - 1,)), (0, (2, 3), (0, 2)),
      (1, (2, 2), (1, 2)), (9, (0,), (1,)), (0, (3, 0), (2**60, 1)),
      (0, (1,) * 32, (1,) * 32)):
    expected = np.zeros(shape, 'f4')
    for index in np.ndindex(shape):
      expected[index] = offset + sum(
          i * stride for i, stride in zip(index, strides, strict=True))
    _check_tensor(load(*_view(offset, shape, strides)), expected)


def test_tensors_outside_of_their_storage(load):
  testing.check_refusals(lambda view: load(*_view(*view)), [
      (view, '...truncated or damaged') for view in (
          (1, (6,), (1,)), (6, (), ()), (0, (2, 3), (3, 2)), (0, (2,), (6,)),
          (-1, (2,), (1,)), (5, (2,), (-1,)), (0, (-1,), (1,)),
          (0, (2, 3), (3,)), (0, (0,), ()), (0, (2,), (3, 1)), (0, 'ab', 'ab'),
          (0, 2, 1), (0.0, (2,), (1,)), (0, (True,), (1,)),
          (2**80, (2,), (1,)), (0, (2,), (2**62,)), (0, (1,) * 33, (1,) * 33))])


@pytest.mark.usefixtures('own_process')
def test_only_what_is_needed_is_read(tmp_path):
  path = tmp_path / 'large.pth'
  num_bytes = 2**29
  # The memory and the disk hold no page of it but the last.
  large = np.zeros(num_bytes // 4, 'f4')
  data, _ = torch_writer.make_pickle(
      [large, large[-3:], large[::2**26]], is_legacy=True)
  torch_writer.write_legacy(path, data, {'0': np.zeros(0, 'f4')})
  with open(path, 'r+b') as file:
    file.seek(-8, io.SEEK_END)
    file.write(struct.pack('<q', large.size))
    file.truncate(file.tell() + num_bytes)
    file.seek(-12, io.SEEK_END)
    file.write(np.array([1, 2, 3], '<f4').tobytes())
  tracemalloc.start()
  whole, end, wide = torch_file.read(path)
  _check_tensor(end, np.array([1, 2, 3], 'f4'))
  _check_tensor(wide, np.zeros([2], 'f4'))
  assert whole.shape == [2**27]
  assert tracemalloc.get_traced_memory()[1] < 2**22
  tracemalloc.stop()


def test_file_that_changes_between(genuine):
  content = torch_file.read(genuine)
  first = content['float64'].numpy()
  first[:] = 0  # Of no effect on the next.
  assert content['float64'].numpy().any()
  genuine.write_bytes(genuine.read_bytes()[:1000])
  with pytest.raises(ValueError, match='It ends early'):
    content['float64'].numpy()
  genuine.unlink()
  with pytest.raises(FileNotFoundError):
    content['float32'].numpy()


def test_every_cut_is_noticed(genuine):
  data = genuine.read_bytes()

  def read(size):
    genuine.write_bytes(data[:size])
    torch_file.read(genuine)

  sizes = {*range(0, 40, 8), *range(0, len(data), 211),
           *range(len(data) - 60, len(data), 6)}
  testing.check_refusals(read, [(size, (
      f'checkpoint={genuine}: expected a complete file of torch.save. It is '
      'truncated or damaged (...): download it again.')) for size in sizes])


@pytest.mark.parametrize('seal', [False, True])
def test_random_changes(seal, genuine, kind):
  """With `seal`, only the pickle changes, and the checksum fits."""
  data = genuine.read_bytes()
  pickled, storages = torch_writer.make_pickle(
      {'arrays': _arrays(),
       'object': torch_writer.Instance('a', 'b', {})},
      kind == 'legacy')
  rng = np.random.default_rng(0)
  num_errors = 0
  for _ in range(100):
    changed = bytearray(pickled if seal else data)
    for position in rng.integers(len(changed), size=rng.integers(1, 4)):
      changed[position] = rng.integers(256)
    if seal:
      _WRITERS[kind](genuine, bytes(changed), storages)
    else:
      genuine.write_bytes(changed)
    try:
      for value in keras.tree.flatten(torch_file.read(genuine)):
        if isinstance(value, torch_file.Tensor):
          assert value.numpy().shape == tuple(value.shape)
    except ValueError as error:
      assert '\n' not in str(error)
      num_errors += 1
  assert 0 < num_errors < 100


def test_changed_archives(tmp_path):
  path, other = tmp_path / 'file.pth', tmp_path / 'other.pth'
  array = np.arange(1000, dtype='f8') + 1 / 3
  torch_writer.save_zip(path, array)
  data = path.read_bytes()
  with zipfile.ZipFile(path) as source, zipfile.ZipFile(other, 'w') as target:
    for name in source.namelist():
      target.writestr(name, source.read(name), zipfile.ZIP_DEFLATED
                      if name.endswith('/data/0') else zipfile.ZIP_STORED)

  def read(position):
    changed = bytearray(data)
    changed[position] ^= 1
    path.write_bytes(changed)
    torch_file.read(path)

  testing.check_refusals(read, [
      (data.index(array.tobytes()) + 5000, '...wrong checksum of entry'),
      (data.index(b'DoubleStorage'), '...wrong checksum of entry'),
      (data.index(b'PK\x01\x02') + 8, '...damaged (...is encrypted')])
  testing.check_refusals(
      torch_file.read, [(other, '...an entry is compressed')])


def test_missing_or_short_entries(load):
  data, right = torch_writer.make_pickle(np.arange(3))
  testing.check_refusals(lambda storages: load(data, storages), [
      ({}, "...no item named 'file/data/0'"),
      *(({'0': np.arange(size)}, f'...{8 * size} bytes where 24 are expected')
        for size in (0, 2, 4))])
  testing.check_refusals(lambda order: load(data, right, byteorder=order), [
      ('big', '...big-endian machine')])
  # As PyTorch before 2.1 wrote it.
  _check_tensor(load(data, right, byteorder=None), np.arange(3))


def test_storages_that_disagree_in_streams(tmp_path):
  path = tmp_path / 'file.pth'
  data, _ = torch_writer.make_pickle(np.arange(3), is_legacy=True)

  def read(sizes):
    torch_writer.write_legacy(
        path, data, {key: np.arange(size) for key, size in sizes.items()})
    torch_file.read(path)

  testing.check_refusals(read, [
      ({}, '...disagrees with'), ({'1': 3}, '...disagrees with'),
      ({'0': 3, '1': 3}, '...disagrees with'),
      ({'0': 2}, "...'0' has 2 numbers"), ({'0': 4}, "...'0' has 4 numbers")])


def test_wrong_persistent_ids(load):

  def read(saved_id):
    data, _ = torch_writer.make_pickle(saved_id)
    load(data[:-1] + pickle.BINPERSID + b'.', {'0': np.zeros([3], 'f4')})

  testing.check_refusals(read, [(id_, '...truncated or damaged') for id_ in (
      (), (1,), 'storage', ('storage', 'FloatStorage', '0', 'cpu', 3),
      ('storage', _FLOAT_STORAGE, '0', 'cpu', 3, ('v', 1, 2)),
      ('other', _FLOAT_STORAGE, '0', 'cpu', 3),
      *(('storage', _FLOAT_STORAGE, key, 'cpu', *rest) for key, *rest in [
          (0, 3), ('0', -1), ('0', 3.0), ('0', True), ('0', 2**90)]))])


def test_unsupported_tensors(load):
  data, storages = torch_writer.make_pickle(np.zeros(3))
  end = data.rindex(pickle.TUPLE)  # Of the arguments.
  neg = torch_writer.fragment({'neg': True})
  start = '...expected a complete file of torch.save. It holds '
  testing.check_refusals(lambda changed: load(changed, storages), [
      (data.replace(b'Double', b'QInt8'), f"{start}tensors of 'torch.QInt8St"),
      (data.replace(b'Double', b'D' * 10**5), f"{start}tensors of 'torch.DDD"),
      (data[:end] + neg + data[end:], f'{start}a tensor with pending conj')])


def test_other_files(tmp_path):
  path = tmp_path / 'file.pth'

  def read(content):
    path.write_bytes(content)
    torch_file.read(path)

  start = f'checkpoint={path}: expected a complete file of torch.save. It is '
  testing.check_refusals(read, [
      (b'<!DOCTYPE html>', f"{start}neither ...number of torch.save, but with "
       "b'<!DOC"),
      (pickle.dumps({'a': 1}), f'{start}neither'),
      (b'', f'{start}truncated or damaged (EOFError')])
  testing.check_refusals(torch_file.read, [
      (missing, f'checkpoint={missing}: expected a file.')
      for missing in (tmp_path, tmp_path / 'none.pth')])
  # Archives of something else.
  for names in ('file/data.pkl', 'file/constants.pkl'), ('a/b/data.pkl',):
    with zipfile.ZipFile(path, 'w') as archive:
      for name in names:
        archive.writestr(name, b'')
    testing.check_refusals(torch_file.read, [
        (path, '...It is another zip archive, such as one of torch.jit.s')])
