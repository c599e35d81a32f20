"""What the tests of files and tensors share."""

import pathlib

import numpy as np

from tests.conversion import torch_writer

TESTDATA = pathlib.Path(__file__).parent / 'testdata'
SAVERS = {'zip': torch_writer.save_zip, 'legacy': torch_writer.save_legacy}
WRITERS = {'zip': torch_writer.write_zip, 'legacy': torch_writer.write_legacy}


def check_tensor(tensor, expected):
  """Checks shape, dtype and numbers of a `Tensor`."""
  result = tensor.numpy()
  for value in (tensor, result):
    assert tuple(value.shape) == expected.shape
    assert value.dtype == expected.dtype
  assert result.flags.c_contiguous and result.flags.writeable
  np.testing.assert_array_equal(result, expected)


def arrays():
  """Returns arrays, some of which are views of one."""
  rng = np.random.default_rng(0)
  base = rng.normal(size=[3, 4, 5]).astype('f4')
  return [
      base, base.T, base[1:, ::2, 1:3], base[2, 3, 4:], base[..., :0],
      base.reshape(15, 4)[:, 1], np.broadcast_to(base[0, 0], [2, 5]),
      *(np.array([1, 0, 1], kind) for kind in (
          'f2', 'f8', 'i1', 'i2', 'i4', 'i8', 'u1')),
      np.array(3.5), np.zeros([0], 'i8'), base[::-1]]
