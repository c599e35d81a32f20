"""Tensors: their numbers are read when they are asked for, and checked."""

import io
import struct
import tracemalloc

import numpy as np
import pytest

from tests.conversion import torch_files
from tests.conversion import torch_writer
from tf_resflow.conversion import torch_file


def test_tensors_describe_themselves(genuine):
  tensor = torch_file.read(str(genuine))['sliced']
  assert repr(tensor) == 'Tensor(shape=(2, 3), dtype=float32)'
  with pytest.raises(AttributeError):
    tensor.shape = (3, 2)
  first, second = tensor.numpy(), tensor.numpy()
  first[:] = 0  # Of no effect on the next.
  assert second.all() and tensor.numpy().all()


@pytest.mark.parametrize('order', ['little', 'big', None, 'legacy'])
def test_views_of_shared_storages(order, tmp_path):
  path, arrays = tmp_path / 'file.pth', torch_files.arrays()
  if order == 'legacy':
    torch_writer.save_legacy(path, arrays)
  else:
    torch_writer.save_zip(path, arrays, byteorder=order)
  # One storage for all views of `base`, unless they run backwards.
  assert len(torch_writer.make_pickle(arrays)[1]) == len(arrays) - 6
  for tensor, array in zip(torch_file.read(path), arrays, strict=True):
    torch_files.check_tensor(tensor, array)


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
  torch_files.check_tensor(end, np.array([1, 2, 3], 'f4'))
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


@pytest.mark.parametrize('offset, shape, strides', [
    (1, (6,), (1,)), (0, (7,), (1,)), (6, (), ()), (0, (2, 3), (3, 2)),
    (0, (2,), (6,)), (-1, (2,), (1,)), (0, (2,), (-1,)), (5, (2,), (-1,)),
    (0, (-1,), (1,)), (0, (2, 3), (3,)), (0, (0,), ()), (0, (2,), (3, 1)),
    (0, 'ab', 'ab'), (0, 2, 1), (0.0, (2,), (1,)),
    (0, (2.0,), (1,)), (0, (True,), (1,)), (False, (2,), (1,)),
    ('0', (2,), (1,)), (2**80, (2,), (1,)), (0, (2,), (2**62,)),
    (0, (2**62, 2**62), (0, 0)), (0, (0, 2**40, 2**40), (1, 1, 1)),
    (0, (2**20, 2**20), (0, 0)), (0, (1,) * 33, (1,) * 33)])
def test_tensors_outside_of_their_storage(offset, shape, strides, kind,
                                          tmp_path):
  torch_files.SAVERS[kind](tmp_path / 'a.pth', torch_writer.View(
      np.arange(6, dtype='f4'), offset, shape, strides))
  with pytest.raises(ValueError, match='truncated or damaged'):
    torch_file.read(tmp_path / 'a.pth')


@pytest.mark.parametrize('offset, shape, strides', [
    (0, (6,), (1,)), (5, (), ()), (5, (1,), (2**63 - 1,)), (0, (2, 3), (0, 2)),
    (1, (2, 2), (1, 2)), (9, (0,), (1,)), (0, (3, 0), (2**60, 1)),
    (0, (1,) * 32, (1,) * 32)])
def test_strange_tensors(offset, shape, strides, kind, tmp_path):
  torch_files.SAVERS[kind](tmp_path / 'a.pth', torch_writer.View(
      np.arange(6, dtype='f4'), offset, shape, strides))
  expected = np.zeros(shape, 'f4')
  for index in np.ndindex(shape):
    expected[index] = offset + sum(
        i * stride for i, stride in zip(index, strides, strict=True))
  torch_files.check_tensor(torch_file.read(tmp_path / 'a.pth'), expected)
