"""Files of `torch.save`, whole and broken; those in testdata/ are PyTorch's."""

import collections
import io
import itertools
import pathlib
import pickle
import shutil
import struct
import tarfile
import tracemalloc
import zipfile

import numpy as np
import pytest

from tests.conversion import torch_writer
from tf_resflow.conversion import torch_file
from tf_resflow.conversion import unpickler

_TESTDATA = pathlib.Path(__file__).parent / 'testdata'
_FORMATS = {'zip': torch_writer.save_zip, 'legacy': torch_writer.save_legacy}
_WRITERS = {'zip': torch_writer.write_zip, 'legacy': torch_writer.write_legacy}
_FLOAT_STORAGE = torch_writer.Global('torch', 'FloatStorage')


@pytest.fixture(params=['zip', 'legacy'])
def kind(request):
  return request.param


@pytest.fixture
def genuine(kind, tmp_path):
  """A copy of a file by PyTorch."""
  return shutil.copy(_TESTDATA / f'torch_{kind}.pth', tmp_path / 'file.pth')


def _expected():
  """What README.md in testdata/ saves."""
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
      'uint16': np.array([0, 65535], 'u2'),
      'bool': np.array([True, False]),
      'scalar': np.array(2.5, 'f4'), 'empty': np.zeros([0, 3], 'f4'),
      'parameter': np.array([-1, 0, 1], 'f4'),
      'plain_parameter': np.array([0, 1], 'f4'),
  }


def _check_tensor(tensor, expected):
  assert isinstance(tensor, torch_file.Tensor)
  result = tensor.numpy()
  for value in (tensor, result):
    assert (value.shape, value.dtype) == (expected.shape, expected.dtype)
  assert result.flags.c_contiguous and result.flags.writeable
  np.testing.assert_array_equal(result, expected)


def test_files_of_pytorch(genuine):
  content = torch_file.read(genuine)
  expected = _expected()
  assert list(content) == [
      *expected, 'state_dict', 'args', 'ema', 'test_bpd', 'others']
  for name, value in expected.items():
    _check_tensor(content[name], value)
  assert isinstance(content['state_dict'], collections.OrderedDict)
  module = content['ema'].state['module']
  assert module.path == 'flows.Scale' and module.state['training'] is True
  for tensors in (content['state_dict'], module.state['_parameters']
                  | module.state['_buffers']):
    _check_tensor(tensors['weight'], np.array([1.5, -0.5], 'f4'))
    _check_tensor(tensors['num_calls'], np.array(7))
  args = content['args']
  assert args.path == 'argparse.Namespace'
  assert args.state == {'lr': 1e-3, 'nblocks': '16-16-16', 'coeff': None}
  assert content['ema'].path == 'flows.Average'
  assert content['ema'].state['decay'] == 0.999
  (shadow,) = content['ema'].state['shadow_params'].values()
  _check_tensor(shadow, np.array([1.25, -0.25], 'f4'))
  assert content['test_bpd'] == 3.25
  assert content['others'][:2] == [(2, 3), {1, 2}]


def test_tensors_describe_themselves(genuine):
  tensor = torch_file.read(str(genuine))['sliced']
  assert repr(tensor) == 'Tensor(shape=(2, 3), dtype=float32)'
  with pytest.raises(AttributeError):
    tensor.shape = (3, 2)
  first, second = tensor.numpy(), tensor.numpy()
  first[:] = 0  # Of no effect on the next.
  assert second.all() and tensor.numpy().all()


def _objects():
  rng = np.random.default_rng(0)
  base = rng.normal(size=[3, 4, 5]).astype('f4')
  return [
      base, base.T, base[1:, ::2, 1:3], base[2, 3, 4:], base[..., :0],
      base.reshape(15, 4)[:, 1], np.broadcast_to(base[0, 0], [2, 5]),
      *(np.array([1, 0, 1], kind) for kind in (
          'bool', 'f2', 'f8', 'i1', 'i2', 'i4', 'i8', 'u1')),
      np.array(3.5), np.zeros([0], 'i8'), base[::-1],
  ]


@pytest.mark.parametrize('order', ['little', 'big', None, 'legacy'])
def test_views_of_shared_storages(order, tmp_path):
  path, arrays = tmp_path / 'file.pth', _objects()
  if order == 'legacy':
    torch_writer.save_legacy(path, arrays)
  else:
    torch_writer.save_zip(path, arrays, byteorder=order)
  # One storage for all views of `base`, unless they run backwards.
  assert len(torch_writer.make_pickle(arrays)[1]) == len(arrays) - 6
  for tensor, array in zip(torch_file.read(path), arrays, strict=True):
    _check_tensor(tensor, array)


def test_objects_of_the_writer(kind, tmp_path):
  module = torch_writer.Instance(
      'flows', 'Net', {'weight': torch_writer.Parameter(np.ones([2]))},
      is_module=True)
  _FORMATS[kind](tmp_path / 'a.pth', {
      'modules': [module, torch_writer.Instance('flows', 'Net', None, True)],
      'class': torch_writer.ModuleClass('flows', 'Other'),
      'old': torch_writer.Instance(
          'flows', 'Old', {'x': 1}, use_reconstructor=True)})
  content = torch_file.read(tmp_path / 'a.pth')
  first, second = content['modules']
  assert type(first) is type(second) and first.path == 'flows.Net'
  _check_tensor(first.state['weight'], np.ones([2]))
  assert content['class'].path == 'flows.Other'
  assert content['old'].path == 'flows.Old' and content['old'].state == {'x': 1}


@pytest.mark.parametrize('old, new', [
    (b'ctorch\nFloatStorage', b'ctorch.cuda\nFloatStorage'),
    (b'\n_rebuild_tensor_v2', b'\n_rebuild_tensor')])
def test_other_names_of_the_same(old, new, kind, tmp_path):
  array = np.arange(3, dtype='f4')
  data, storages = torch_writer.make_pickle(array, kind == 'legacy')
  assert old in data
  _WRITERS[kind](tmp_path / 'a.pth', data.replace(old, new), storages)
  _check_tensor(torch_file.read(tmp_path / 'a.pth'), array)


def test_views_of_storages_in_old_files(tmp_path):
  torch_writer.save_legacy(tmp_path / 'a.pth', torch_writer.View(
      np.arange(8, dtype='f8'), 1, (2,), (2,), ('view', 3, 4)))
  _check_tensor(torch_file.read(tmp_path / 'a.pth'), np.array([4., 6.]))


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
  whole, end, _ = torch_file.read(path)
  _check_tensor(end, np.array([1, 2, 3], 'f4'))
  assert whole.shape == (2**27,)
  assert tracemalloc.get_traced_memory()[1] < 2**22
  tracemalloc.stop()


def test_file_that_changes_between(genuine):
  content = torch_file.read(genuine)
  genuine.write_bytes(genuine.read_bytes()[:1000])
  with pytest.raises(ValueError, match='truncated or damaged .*it ends early'):
    content['float64'].numpy()
  genuine.unlink()
  with pytest.raises(FileNotFoundError):
    content['float32'].numpy()


def test_every_cut_is_noticed(genuine):
  data = genuine.read_bytes()
  for size in {*range(40), *range(0, len(data), 37),
               *range(len(data) - 120, len(data))}:
    genuine.write_bytes(data[:size])
    with pytest.raises(ValueError, match='is truncated or damaged') as info:
      torch_file.read(genuine)
    message = str(info.value)
    assert str(genuine) in message and 'download it again' in message
    assert '\n' not in message
  genuine.write_bytes(data)
  torch_file.read(genuine)


def _tensors(value):
  """All tensors in a nest of containers."""
  if isinstance(value, unpickler.StandIn):
    value = value.state
  if isinstance(value, dict):
    value = list(value.values())
  if isinstance(value, (list, tuple)):
    return itertools.chain.from_iterable(map(_tensors, value))
  return [value] if isinstance(value, torch_file.Tensor) else []


@pytest.mark.parametrize('seal', [False, True])
def test_random_changes(seal, genuine, kind):
  """With `seal`, only the pickle changes, and the checksum fits."""
  data = genuine.read_bytes()
  pickled, storages = torch_writer.make_pickle(
      {'arrays': _objects(), 'object': torch_writer.Instance('a', 'b', {})},
      kind == 'legacy')
  rng = np.random.default_rng(0)
  num_errors = 0
  for _ in range(300):
    changed = bytearray(pickled if seal else data)
    for position in rng.integers(len(changed), size=rng.integers(1, 4)):
      changed[position] = rng.integers(256)
    if seal:
      _WRITERS[kind](genuine, bytes(changed), storages)
    else:
      genuine.write_bytes(changed)
    try:
      for tensor in _tensors(torch_file.read(genuine)):
        assert tensor.numpy().shape == tensor.shape
    except ValueError as error:
      assert '\n' not in str(error)
      num_errors += 1
  assert 0 < num_errors < 300


@pytest.mark.parametrize('position', [0, 5, -1])
def test_wrong_checksum(position, tmp_path):
  path = tmp_path / 'file.pth'
  array = np.arange(1000, dtype='f8') + 1 / 3
  torch_writer.save_zip(path, [array, array[2:4]])
  data = path.read_bytes()
  start = data.index(array.tobytes())
  changed = bytearray(data)
  changed[start + position % array.nbytes] ^= 1
  path.write_bytes(changed)
  for tensor in torch_file.read(path):
    for _ in range(2):
      with pytest.raises(ValueError, match='damaged .wrong checksum'):
        tensor.numpy()
  changed = bytearray(data)
  changed[data.index(b'DoubleStorage')] ^= 1
  path.write_bytes(changed)
  with pytest.raises(ValueError, match='damaged .wrong checksum'):
    torch_file.read(path)


def test_compressed_or_encrypted_entries(tmp_path):
  path, other = tmp_path / 'file.pth', tmp_path / 'other.pth'
  torch_writer.save_zip(path, np.zeros([100], 'f4'))
  with zipfile.ZipFile(path) as source, zipfile.ZipFile(other, 'w') as target:
    for name in source.namelist():
      target.writestr(name, source.read(name), zipfile.ZIP_DEFLATED
                      if name.endswith('/data/0') else zipfile.ZIP_STORED)
  with pytest.raises(ValueError, match="'file/data/0' is encrypted or compr"):
    torch_file.read(other)
  data = path.read_bytes()
  for signature, offset in ((b'PK\x03\x04', 6), (b'PK\x03\x04', 8),
                            (b'PK\x01\x02', 8), (b'PK\x01\x02', 10)):
    changed = bytearray(data)
    changed[data.index(signature) + offset] |= 1
    path.write_bytes(changed)
    with pytest.raises(ValueError, match='is encrypted or compressed'):
      torch_file.read(path)


def test_missing_or_short_entries(tmp_path):
  path = tmp_path / 'file.pth'
  data, _ = torch_writer.make_pickle(np.arange(3))
  torch_writer.write_zip(path, data, {})
  with pytest.raises(ValueError, match="no entry 'file/data/0'"):
    torch_file.read(path)
  for size in (0, 2, 4):
    torch_writer.write_zip(path, data, {'0': np.arange(size)})
    with pytest.raises(ValueError, match=f'{8 * size} bytes where 24 are exp'):
      torch_file.read(path)
  torch_writer.write_zip(path, data, {'0': np.arange(3)}, byteorder='middle')
  with pytest.raises(ValueError, match="damaged .KeyError: b'middle'"):
    torch_file.read(path)


@pytest.mark.parametrize('storages', [
    {}, {'1': np.arange(3)}, {'0': np.arange(2)}, {'0': np.arange(4)},
    {'0': np.arange(3), '1': np.arange(3)}])
def test_storages_that_disagree_in_streams(storages, tmp_path):
  data, _ = torch_writer.make_pickle(np.arange(3), is_legacy=True)
  torch_writer.write_legacy(tmp_path / 'a.pth', data, storages)
  with pytest.raises(ValueError, match='disagrees with|has . numbers, and 24'):
    torch_file.read(tmp_path / 'a.pth')


@pytest.mark.parametrize('offset, shape, strides', [
    (1, (6,), (1,)), (0, (7,), (1,)), (6, (), ()), (0, (2, 3), (3, 2)),
    (0, (2,), (6,)), (-1, (2,), (1,)), (0, (2,), (-1,)), (5, (2,), (-1,)),
    (0, (-1,), (1,)), (0, (2, 3), (3,)), (0, (0,), ()), (0, (2,), (3, 1)),
    (0, [2], (1,)), (0, (2,), [1]), (0, 2, 1), (0.0, (2,), (1,)),
    (0, (2.0,), (1,)), (0, (True,), (1,)), (False, (2,), (1,)),
    ('0', (2,), (1,)), (2**80, (2,), (1,)), (0, (2,), (2**62,)),
    (0, (2**62, 2**62), (0, 0)), (0, (0, 2**40, 2**40), (1, 1, 1)),
    (0, (2**20, 2**20), (0, 0)), (0, (1,) * 33, (1,) * 33)])
def test_tensors_outside_of_their_storage(offset, shape, strides, kind,
                                          tmp_path):
  _FORMATS[kind](tmp_path / 'a.pth', torch_writer.View(
      np.arange(6, dtype='f4'), offset, shape, strides))
  with pytest.raises(ValueError, match='truncated or damaged'):
    torch_file.read(tmp_path / 'a.pth')


@pytest.mark.parametrize('offset, shape, strides', [
    (0, (6,), (1,)), (5, (), ()), (5, (1,), (2**63 - 1,)), (0, (2, 3), (0, 2)),
    (1, (2, 2), (1, 2)), (9, (0,), (1,)), (0, (3, 0), (2**60, 1)),
    (0, (1,) * 32, (1,) * 32)])
def test_strange_tensors(offset, shape, strides, kind, tmp_path):
  _FORMATS[kind](tmp_path / 'a.pth', torch_writer.View(
      np.arange(6, dtype='f4'), offset, shape, strides))
  expected = np.zeros(shape, 'f4')
  for index in np.ndindex(shape):
    expected[index] = offset + sum(
        i * stride for i, stride in zip(index, strides, strict=True))
  _check_tensor(torch_file.read(tmp_path / 'a.pth'), expected)


@pytest.mark.parametrize('saved_id', [
    (), (1,), 'storage', ('storage',), ('module',), ('module', 1, 'a', 'b'),
    ('storage', 'FloatStorage', '0', 'cpu', 3), (None, 1),
    ('other', _FLOAT_STORAGE, '0', 'cpu', 3),
    *(('storage', _FLOAT_STORAGE, key, 'cpu', *rest) for key, *rest in [
        (0, 3), ('0', -1), ('0', 3.0), ('0', True), ('0', 2**90), ('0', 3, 4),
        ('0', 3, ('v', 1, 3)), ('0', 3, ('v', -1, 3)), ('0', 3, ('v', '0', 3)),
        ('0', 3, None, None)])])
def test_wrong_persistent_ids(saved_id, kind, tmp_path):
  data = torch_writer.make_pickle(saved_id)[0][:-1] + pickle.BINPERSID + b'.'
  _WRITERS[kind](tmp_path / 'a.pth', data, {'0': np.zeros([3], 'f4')})
  with pytest.raises(ValueError, match='damaged .broken or refused pickle'):
    torch_file.read(tmp_path / 'a.pth')


def test_unsupported_tensors(kind, tmp_path):
  path = tmp_path / 'file.pth'
  data, storages = torch_writer.make_pickle(np.zeros(3), kind == 'legacy')
  end = data.rindex(pickle.TUPLE)  # Of the arguments.
  float8 = torch_writer.global_fragment('torch.float8_e5m2')
  for changed, match in (
      (data.replace(b'Double', b'QInt8'), "type 'torch.QInt8Storage' is not"),
      (data[:end] + b'}NNs' + data[end:], 'pending conjugation or negation'),
      (data[:end].replace(b'_v2', b'_v3') + float8 + data[end:],
       "tensors of 'torch.float8_e5m2' are not supported")):
    _WRITERS[kind](path, changed, storages)
    with pytest.raises(ValueError, match=match) as info:
      torch_file.read(path)
    assert str(path) in str(info.value) and 'damaged' not in str(info.value)


@pytest.mark.parametrize('content, match', [
    (b'<!DOCTYPE html>', "not a PyTorch checkpoint: it starts with b'<!DOC"),
    (pickle.dumps({'a': 1}), 'not a PyTorch checkpoint'),
    (np.zeros(100).tobytes(), 'not a PyTorch checkpoint'),
    (b'', 'truncated or damaged .it has 0 bytes')])
def test_other_files(content, match, tmp_path):
  path = tmp_path / 'file.pth'
  path.write_bytes(content)
  with pytest.raises(ValueError, match=match) as info:
    torch_file.read(path)
  assert str(path) in str(info.value)
  for missing in (tmp_path, tmp_path / 'none.pth'):
    with pytest.raises(FileNotFoundError, match='is not a file; give the path'):
      torch_file.read(missing)


def test_other_archives(tmp_path):
  path = tmp_path / 'file.pth'
  with tarfile.open(path, 'w') as archive:
    archive.add(__file__, 'pickle')
  with pytest.raises(ValueError, match='is a tar archive.* before 2017'):
    torch_file.read(path)
  with zipfile.ZipFile(path, 'w') as archive:
    archive.writestr('a/b/data.pkl', b'')
  with pytest.raises(ValueError, match='has 0 entries FOLDER/data.pkl'):
    torch_file.read(path)
  torch_writer.write_zip(path, b'', {}, extra_entries=[('constants.pkl', b'')])
  with pytest.raises(ValueError, match='TorchScript archive of torch.jit.sav'):
    torch_file.read(path)
