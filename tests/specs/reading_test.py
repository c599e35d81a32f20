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
  monkeypatch.setattr(machine, 'memory_bytes', lambda: 100_000)
  with pytest.raises(
      errors.FormatError, match='It expands to 0.000149 GiB, more than the'):
    reading.read_arrays(path)
