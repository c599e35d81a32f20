"""Files of `torch.save`, whole and broken; those in testdata/ are PyTorch's."""

import itertools
import pickle
import tarfile
import zipfile

import numpy as np
import pytest

from tests.conversion import torch_files
from tests.conversion import torch_writer
from tf_resflow.conversion import pickles
from tf_resflow.conversion import torch_file
from tf_resflow.conversion import torch_tensor

_FLOAT_STORAGE = torch_writer.Global('torch', 'FloatStorage')


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


def test_files_of_pytorch(genuine):
  content = torch_file.read(genuine)
  expected = _expected()
  assert list(content) == [
      *expected, 'state_dict', 'args', 'ema', 'test_bpd', 'others']
  for name, value in expected.items():
    torch_files.check_tensor(content[name], value)
  module = content['ema'].state['module']
  assert module.path == 'flows.Scale' and module.state['training'] is True
  assert list(content['state_dict']) == ['weight', 'num_calls']
  torch_files.check_tensor(
      content['state_dict']['weight'], np.array([1.5, -0.5], 'f4'))
  torch_files.check_tensor(content['state_dict']['num_calls'], np.array(7))
  args = content['args']
  assert args.path == 'argparse.Namespace'
  assert args.state == {'lr': 1e-3, 'nblocks': '16-16-16', 'coeff': None}
  assert content['ema'].path == 'flows.Average'
  assert content['ema'].state['decay'] == 0.999
  (shadow,) = content['ema'].state['shadow_params'].values()
  torch_files.check_tensor(shadow, np.array([1.25, -0.25], 'f4'))
  assert content['test_bpd'] == 3.25
  assert isinstance(content['test_bpd'], np.float64)
  size, values, dtype, _ = content['others']
  assert (size.args, values.args) == ([[2, 3]], [[1, 2]])
  assert dtype == pickles.Object('torch.float32')


def test_objects_of_the_writer(kind, tmp_path):
  module = torch_writer.Instance(
      'flows', 'Net', {'weight': torch_writer.Parameter(np.ones([2]))},
      is_module=True)
  torch_files.SAVERS[kind](tmp_path / 'a.pth', {
      'modules': [module, torch_writer.Instance('flows', 'Net', None, True)],
      'class': torch_writer.ModuleClass('flows', 'Other')})
  content = torch_file.read(tmp_path / 'a.pth')
  first, second = content['modules']
  assert first.path == 'flows.Net' and second == pickles.Object('flows.Net')
  torch_files.check_tensor(first.state['weight'], np.ones([2]))
  assert content['class'] == pickles.Object('flows.Other')


@pytest.mark.parametrize('old, new', [
    (b'ctorch\nFloatStorage', b'ctorch.cuda\nFloatStorage'),
    (b'\n_rebuild_tensor_v2', b'\n_rebuild_tensor')])
def test_other_names_of_the_same(old, new, kind, tmp_path):
  array = np.arange(3, dtype='f4')
  data, storages = torch_writer.make_pickle(array, kind == 'legacy')
  assert old in data
  torch_files.WRITERS[kind](
      tmp_path / 'a.pth', data.replace(old, new), storages)
  torch_files.check_tensor(torch_file.read(tmp_path / 'a.pth'), array)


def test_every_cut_is_noticed(genuine):
  data = genuine.read_bytes()
  for size in {*range(40), *range(0, len(data), 61),
               *range(len(data) - 60, len(data))}:
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
  if isinstance(value, pickles.Object):
    value = [value.args, value.state]
  if isinstance(value, dict):
    value = list(value.values())
  if isinstance(value, (list, tuple)):
    return itertools.chain.from_iterable(map(_tensors, value))
  return [value] if isinstance(value, torch_tensor.Tensor) else []


@pytest.mark.parametrize('seal', [False, True])
def test_random_changes(seal, genuine, kind):
  """With `seal`, only the pickle changes, and the checksum fits."""
  data = genuine.read_bytes()
  pickled, storages = torch_writer.make_pickle(
      {'arrays': torch_files.arrays(),
       'object': torch_writer.Instance('a', 'b', {})},
      kind == 'legacy')
  rng = np.random.default_rng(0)
  num_errors = 0
  for _ in range(100):
    changed = bytearray(pickled if seal else data)
    for position in rng.integers(len(changed), size=rng.integers(1, 4)):
      changed[position] = rng.integers(256)
    if seal:
      torch_files.WRITERS[kind](genuine, bytes(changed), storages)
    else:
      genuine.write_bytes(changed)
    try:
      for tensor in _tensors(torch_file.read(genuine)):
        assert tensor.numpy().shape == tensor.shape
    except ValueError as error:
      assert '\n' not in str(error)
      num_errors += 1
  assert 0 < num_errors < 100


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


@pytest.mark.parametrize('saved_id', [
    (), (1,), 'storage', ('storage',), ('module',),
    ('storage', 'FloatStorage', '0', 'cpu', 3), (None, 1),
    ('storage', _FLOAT_STORAGE, '0', 'cpu', 3, ('v', 1, 2)),
    ('other', _FLOAT_STORAGE, '0', 'cpu', 3),
    *(('storage', _FLOAT_STORAGE, key, 'cpu', *rest) for key, *rest in [
        (0, 3), ('0', -1), ('0', 3.0), ('0', True), ('0', 2**90), ('0', 3, 4),
        ('0', 3, None, None)])])
def test_wrong_persistent_ids(saved_id, kind, tmp_path):
  data = torch_writer.make_pickle(saved_id)[0][:-1] + pickle.BINPERSID + b'.'
  torch_files.WRITERS[kind](
      tmp_path / 'a.pth', data, {'0': np.zeros([3], 'f4')})
  with pytest.raises(ValueError, match='truncated or damaged'):
    torch_file.read(tmp_path / 'a.pth')


def test_unsupported_tensors(kind, tmp_path):
  path = tmp_path / 'file.pth'
  data, storages = torch_writer.make_pickle(np.zeros(3), kind == 'legacy')
  end = data.rindex(pickle.TUPLE)  # Of the arguments.
  float8 = torch_writer.global_fragment('torch.float8_e5m2')
  for changed, match in (
      (data.replace(b'Double', b'QInt8'), "not of 'torch.QInt8Storage'"),
      (data[:end] + torch_writer.fragment({'neg': True}) + data[end:],
       'pending conjugation or negation'),
      (data[:end].replace(b'_v2', b'_v3') + float8 + data[end:],
       "not of 'torch.float8_e5m2'")):
    torch_files.WRITERS[kind](path, changed, storages)
    with pytest.raises(ValueError, match=match) as info:
      torch_file.read(path)
    assert str(path) in str(info.value) and 'damaged' not in str(info.value)


@pytest.mark.parametrize('code, data, found', [
    ('f8', b'\x00' * 6 + b'\xf8\x3f', 1.5), ('>f8', b'\x3f\xf8', 1.5),
    ('i2', b'\x03\x00', 3), ('b1', b'\x01', True),
    ('O8', b'x' * 8, None), ('V8', b'x' * 8, None), ('f8', b'x' * 7, None),
    ('f8', b'', None), ('f8', 3, None), (8, b'x' * 8, None)])
@pytest.mark.parametrize('is_python_2', [False, True])
def test_numpy_scalars(code, data, found, is_python_2, tmp_path):
  call, plain = torch_writer.call_fragment, torch_writer.fragment
  order, code = ('>', code[1:]) if str(code)[0] == '>' else ('<', code)
  if order == '>':
    data = data.ljust(8, b'\x00')
  text = plain(data.decode('latin1') if isinstance(data, bytes) else data)
  if not is_python_2:
    text = call(torch_writer.global_fragment('_codecs.encode'), text,
                plain('latin1'))
  dtype = call(torch_writer.global_fragment('numpy.dtype'), plain(code))
  dtype += plain((3, order, None, None, None, -1, -1, 0)) + pickle.BUILD
  torch_writer.write_zip(tmp_path / 'a.pth', b'\x80\x02' + call(
      torch_writer.global_fragment('numpy.core.multiarray.scalar'), dtype,
      text) + b'.', {})
  if found is not None:
    assert torch_file.read(tmp_path / 'a.pth') == found
    return
  with pytest.raises(ValueError, match='truncated or damaged'):
    torch_file.read(tmp_path / 'a.pth')


def test_messages_are_short(kind, tmp_path):
  """Whatever is said of a file, it does not print what the file says."""
  huge = 'x' * 10**6
  for content in (
      torch_writer.View(np.zeros(3), 0, (2**62,) * 30, (1,) * 30),
      torch_writer.View(np.zeros(3), 0, huge, huge), {(huge,): 1}):
    torch_files.SAVERS[kind](tmp_path / 'a.pth', content)
    with pytest.raises(ValueError) as info:
      torch_file.read(tmp_path / 'a.pth')
    assert len(str(info.value)) < 600
  for old, new in ((b'Double', b'D' * 10**5), (b'cpu', huge.encode())):
    data, storages = torch_writer.make_pickle(np.zeros(3), kind == 'legacy')
    torch_files.WRITERS[kind](
        tmp_path / 'a.pth', data.replace(old, new), storages)
    with pytest.raises(ValueError) as info:
      torch_file.read(tmp_path / 'a.pth')
    assert len(str(info.value)) < 600


@pytest.mark.parametrize('content, match', [
    (b'<!DOCTYPE html>', "magic number, not with b'<!DOC"),
    (pickle.dumps({'a': 1}), 'expected a file of torch.save'),
    (np.zeros(100).tobytes(), 'expected a file of torch.save'),
    (b'', 'truncated or damaged .it has 0 bytes')])
def test_other_files(content, match, tmp_path):
  path = tmp_path / 'file.pth'
  path.write_bytes(content)
  with pytest.raises(ValueError, match=match) as info:
    torch_file.read(path)
  assert str(path) in str(info.value)
  for missing in (tmp_path, tmp_path / 'none.pth'):
    with pytest.raises(ValueError, match='expected a file'):
      torch_file.read(missing)


def test_other_archives(tmp_path):
  path = tmp_path / 'file.pth'
  with tarfile.open(path, 'w') as archive:
    archive.add(__file__, 'pickle')
  with pytest.raises(ValueError, match='after 2017, not a tar archive'):
    torch_file.read(path)
  with zipfile.ZipFile(path, 'w') as archive:
    archive.writestr('a/b/data.pkl', b'')
  with pytest.raises(ValueError, match='one entry FOLDER/data.pkl .*, not 0'):
    torch_file.read(path)
  torch_writer.write_zip(path, b'', {}, extra_entries=[('constants.pkl', b'')])
  with pytest.raises(ValueError, match='not a TorchScript archive'):
    torch_file.read(path)
