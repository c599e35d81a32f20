"""What is read of files that users give."""

import numpy as np
import pytest

from tf_resflow import errors
from tf_resflow.specs import machine
from tf_resflow.specs import reading


@pytest.mark.reliability(promise='too-large')
def test_archives_that_expand_are_refused(tmp_path, monkeypatch):
  path = tmp_path / 'zeros.npz'
  np.savez_compressed(path, x=np.zeros([10_000, 2]))
  np.testing.assert_array_equal(
      reading.read_arrays(path)['x'], np.zeros([10_000, 2]))
  for holder, name, value in (
      (reading, 'MAX_ARRAY_BYTES', 100_000),
      (machine, 'memory_bytes', lambda: 100_000),
      (reading, '_MIN_BOMB_BYTES', 0)):
    with monkeypatch.context() as changed:
      changed.setattr(holder, name, value)
      with pytest.raises(
          errors.FormatError, match='It expands to 0.000149 GiB; at most'):
        reading.read_arrays(path)
