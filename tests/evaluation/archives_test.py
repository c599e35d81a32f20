"""Archives come back whole, or in part; what is none is named."""

import numpy as np
import pytest

from tf_resflow.evaluation import archives


def test_all_arrays_or_some(tmp_path):
  path = tmp_path / 'a.npz'
  np.savez(path, x=np.arange(3), y=np.ones([2, 2]))
  arrays = archives.read_arrays(path, 'inputs')
  assert list(arrays) == ['x', 'y']
  np.testing.assert_array_equal(arrays['x'], [0, 1, 2])
  arrays = archives.read_arrays(path, 'inputs', keys=('y',))
  assert arrays['x'] is None
  np.testing.assert_array_equal(arrays['y'], np.ones([2, 2]))


def test_what_is_not_read_may_be_damaged(tmp_path):
  """Objects would run code where they are loaded."""
  path = tmp_path / 'a.npz'
  np.savez(path, x=np.arange(3), y=np.array([{}]))
  arrays = archives.read_arrays(path, 'inputs', keys=('x',))
  np.testing.assert_array_equal(arrays['x'], [0, 1, 2])
  with pytest.raises(ValueError, match='It cannot be read: Object arrays'):
    archives.read_arrays(path, 'inputs')


def test_messages_begin_with_the_name(tmp_path):
  for path in (tmp_path / 'none.npz', tmp_path):
    with pytest.raises(ValueError) as error:
      archives.read_arrays(path, 'compare')
    assert str(error.value).startswith(f'compare={path}: expected an .npz file')
    assert error.value.name == 'compare'
