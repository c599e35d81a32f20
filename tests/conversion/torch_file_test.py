"""Files of `torch.save`: PyTorch's (testdata/), made here, corrupt, hostile."""

import argparse
import collections
import copyreg
import os
import pickle
import struct
import zipfile

import numpy as np
import pytest

from tests import splits
from tests import testing
from tests.conversion import torch_writer
from tf_resflow.conversion import torch_file

_FLOAT_STORAGE = torch_writer.Global('torch', 'FloatStorage')
_plain = torch_writer.fragment
_get = torch_writer.global_fragment
_call = torch_writer.call_fragment
_CORRUPT = '...It cannot be read ('


def _check_array(found, expected):
  assert found.dtype == expected.dtype
  np.testing.assert_array_equal(found, expected, strict=True)


def test_files_of_pytorch(genuine):
  """Holds the readable part of the content in testdata/README.md."""
  base = np.arange(24, dtype='f4').reshape(4, 6) / 8
  expected = {
      'float32': base,
      'transposed': base.T,
      'sliced': base[1:3, 2:5],
      'expanded': np.full([2, 3], 7, 'f4'),
      'float64': np.arange(5) / 3,
      'float16': np.arange(4, dtype='f2') / 4,
      'bfloat16': np.array([-16320, -16448, 0, 16320], 'i2').view('V2'),
      'int64': np.arange(3) - 2**40,
      'int8': np.array([-128, 127], 'i1'), 'uint8': np.array([0, 255], 'u1'),
      'bool': np.array([1, 0], 'u1'),
      'scalar': np.array(2.5, 'f4'), 'empty': np.zeros([0, 3], 'f4'),
      'parameter': np.array([-1, 0, 1], 'f4'),
      'plain_parameter': np.array([0, 1], 'f4')}
  content = torch_file.read(genuine)
  assert [name for name, value in content.items()
          if isinstance(value, np.ndarray)] == list(expected)
  for name, value in expected.items():
    _check_array(content[name], value)
  state, average = content['state_dict'], content['ema']
  assert list(state) == ['weight', 'num_calls']
  _check_array(state['weight'], np.array([1.5, -0.5], 'f4'))
  _check_array(state['num_calls'], np.array(7))
  assert content['args'] == {'lr': 1e-3, 'nblocks': '16-16-16', 'coeff': None}
  assert average['decay'] == 0.999 and average['module']['training'] is True
  (shadow,) = average['shadow_params'].values()
  _check_array(shadow, np.array([1.25, -0.25], 'f4'))


def test_values(load):
  value = [0, -1, 65536, 2**40, -2**80, 0.1, float('-inf'), True, False, None,
           '', 'quoted \' " \\', 'zwölf', '\U0001f600', '\ud800', (1, 2), []]
  # Attributes of any name; keys that are no strings are left out.
  namespace = argparse.Namespace(lr=0.1, args=3, path=4, deep={'a': {}})
  found, attributes = load(pickle.dumps(
      [value, {'a': namespace, 2: 3, None: 4}], 2))
  assert repr(found) == repr(value)  # True is not 1 there.
  assert attributes == {
      'a': {'lr': 0.1, 'args': 3, 'path': 4, 'deep': {'a': {}}}}
  ordered = _plain(collections.OrderedDict(b=1, a=2))
  hide = _plain({'items': 'hides the method'}) + pickle.BUILD
  assert list(load(ordered + hide + b'.').items()) == [('b', 1), ('a', 2)]


def _view(*offset_shape_strides):
  """Returns the pickle of a view of six numbers, and their storage."""
  return torch_writer.make_pickle(torch_writer.View(
      np.arange(6, dtype='f4'), *offset_shape_strides))


def test_strange_tensors(load):
  for offset, shape, strides in (
      (5, (), ()), (5, (1,), (2**62,)), (0, (2, 3), (0, 2)),
      (1, (2, 2), (1, 2)), (9, (0,), (1,)), (0, (3, 0), (2**60, 1)),
      (0, (1,) * 32, (1,) * 32)):
    expected = np.zeros(shape, 'f4')
    for index in np.ndindex(shape):
      expected[index] = offset + sum(
          i * stride for i, stride in zip(index, strides, strict=True))
    _check_array(load(*_view(offset, shape, strides)), expected)


def test_tensors_outside_of_their_storage(load):
  testing.check_refusals(lambda view: load(*_view(*view)), [
      (view, _CORRUPT) for view in (
          (1, (6,), (1,)), (6, (), ()), (0, (2, 3), (3, 2)), (0, (2,), (6,)),
          (-1, (2,), (1,)), (5, (2,), (-1,)), (0, (-1,), (1,)),
          (0, (2, 3), (3,)), (0, 'ab', 'ab'), (0, 2, 1), (0.0, (2,), (1,)),
          (0, (True,), (1,)), (2**80, (2,), (1,)), (0, (2,), (2**62,)),
          (0, (1,) * 33, (1,) * 33))])


def test_every_cut_is_noticed(genuine):
  data = genuine.read_bytes()

  def read(size):
    genuine.write_bytes(data[:size])
    torch_file.read(genuine)

  sizes = {*range(0, 40, 8), *range(0, len(data), 211),
           *range(len(data) - 60, len(data), 6)}
  testing.check_refusals(read, [(size, (
      f'checkpoint={genuine}: expected a complete file of torch.save. It '
      'cannot be read (...): download it again if it is truncated or '
      'corrupt.')) for size in sizes])


def test_missing_or_short_entries(load):
  data, right = torch_writer.make_pickle(np.arange(3))
  testing.check_refusals(lambda storages: load(data, storages), [
      ({}, "...no item named 'file/data/0'"),
      *(({'0': np.arange(size)}, f'...{8 * size} bytes where 24 are expected')
        for size in (0, 2)),
      ({'0': np.arange(4)}, "...'0' holds more than 3 numbers")])
  testing.check_refusals(lambda order: load(data, right, byteorder=order), [
      ('big', '...big-endian machine')])
  # As PyTorch before 2.1 wrote it.
  _check_array(load(data, right, byteorder=None), np.arange(3))


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

  testing.check_refusals(read, [(id_, _CORRUPT) for id_ in (
      (), (1,), 'storage', ('storage', 'FloatStorage', '0', 'cpu', 3),
      ('storage', _FLOAT_STORAGE, '0', 'cpu', 3, ('v', 1, 2)),
      ('other', _FLOAT_STORAGE, '0', 'cpu', 3),
      *(('storage', _FLOAT_STORAGE, key, 'cpu', *rest) for key, *rest in [
          (0, 3), ('0', -1), ('0', 3.0), ('0', True)]))] + [
      (('storage', _FLOAT_STORAGE, '0', 'cpu', size),
       f"...storage '0' has {size} numbers, more than the file")
      for size in (10**12, 2**90)])


def test_unsupported_tensors(load):
  data, storages = torch_writer.make_pickle(np.zeros(3))
  end = data.rindex(pickle.TUPLE)  # Of the arguments.
  neg = _plain({'neg': True})
  start = '...It cannot be read (it holds '
  testing.check_refusals(lambda changed: load(changed, storages), [
      (data.replace(b'Double', b'QInt8'), f"{start}tensors of 'torch.QInt8St"),
      (data.replace(b'Double', b'D' * 10**5), f"{start}tensors of 'torch.DDD"),
      (data[:end] + neg + data[end:], f'{start}a tensor with pending conj')])


def test_other_files(tmp_path):
  path = tmp_path / 'file.pth'

  def read(content):
    path.write_bytes(content)
    torch_file.read(path)

  start = (f'checkpoint={path}: expected a complete file of torch.save. It '
           'cannot be read (')
  testing.check_refusals(read, [
      (b'<!DOCTYPE html>',
       f"{start}it is neither ...of torch.save, but with b'<!DOC"),
      (pickle.dumps({'a': 1}), f'{start}it is neither'),
      (b'', f'{start}EOFError')])
  testing.check_refusals(torch_file.read, [
      (missing, f'checkpoint={missing}: expected a file.')
      for missing in (tmp_path, tmp_path / 'none.pth')])
  # Archives of something else.
  for kind, message in (
      (zipfile.ZIP_STORED, '...is another zip archive'),
      (zipfile.ZIP_DEFLATED, '...its entries are compressed, or larger')):
    with zipfile.ZipFile(path, 'w', kind) as archive:
      archive.writestr('a/b/data.pkl', b'')
    testing.check_refusals(torch_file.read, [(path, message)])


def test_payloads_run_in_plain_pickle_only(load, tmp_path, monkeypatch):
  # A program around ours may have registered it.
  monkeypatch.setitem(copyreg._inverted_registry, 0xf1, ('os', 'system'))
  monkeypatch.setitem(copyreg._extension_cache, 0xf1, os.system)
  path = tmp_path / 'made'
  system, shell = _get('os.system'), _plain(f'touch {path}')
  for data, said in (
      (_call(system, shell), "(it names 'os.system', which no checkpoint"),
      (_call(_get('builtins.eval'), _plain(f'open({str(path)!r}, "w")')),
       "names 'builtins.eval'"),
      (_call(_plain('os') + _plain('system') + pickle.STACK_GLOBAL, shell), ''),
      (b'(' + shell + b'ios\nsystem\n', ''),
      (_call(pickle.EXT1 + b'\xf1', shell), '')):
    assert said in splits.refusal(load, data + b'.')
    assert not path.exists()
    pickle.loads(data + b'.')
    path.unlink()
  # Names of NumPy have stand-ins.
  memmap = _call(_get('numpy.memmap'), *map(
      _plain, (str(path), 'uint8', 'w+', 0, (1,))))
  assert load(memmap + b'.') == {} and not path.exists()


def test_nothing_but_objects_is_changed(load):
  """Else numbers of another type or place could be read, or classes differ."""
  tensor, storages = _view(0, (2,), (1,))
  testing.check_refusals(lambda data: load(data, storages), [
      (start + state + b'b.', _CORRUPT)
      for start in (tensor[:-1], _get('torch.Size'),
                    _get('torch._utils._rebuild_tensor_v2'))
      for state in (_plain((None, {'offset': 5})), _plain({'offset': 5}))])


def test_pickles_that_ask_for_too_much(load, monkeypatch):
  """In depth, where C overflows its stack, in time, and in memory."""
  deep = b')' + 10**6 * pickle.TUPLE1
  wide = b')' + 100 * b'q\x00h\x00\x86'  # To hash has 2**100 steps.
  for key in deep, wide:
    assert load(b'}' + key + b'Ns.') == {}
  assert len(load(b']' * 10**6 + b'a' * (10**6 - 1) + b'.')) == 1
  # Of its memo the unpickler in C makes an array.
  assert load(b']' + pickle.LONG_BINPUT + b'\xff\xff\xff\xff.') == []
  with pytest.raises(ValueError, match='cannot be read'):
    load(b'(' + deep + pickle.FROZENSET + b'.')
  monkeypatch.setattr(torch_file, '_MAX_PICKLE_BYTES', 1000)
  testing.check_refusals(load, [
      (pickle.BINBYTES8 + struct.pack('<Q', 2**40) + b'.', _CORRUPT),
      (pickle.BINUNICODE + struct.pack('<I', 2**32 - 1) + b'.', _CORRUPT),
      (b'(' + 1000 * b'}' + b'.', '...it holds too many objects')])
