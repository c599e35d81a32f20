"""Files of a run are written whole or not at all, and to no links."""

import os

import pytest
import tensorflow as tf

from tests import splits
from tf_resflow.training import files


def test_errors_of_tensorflow_become_those_of_python(tmp_path):
  with pytest.raises(OSError, match='^the picture cannot be') as error:
    with files.writing('the picture'):
      tf.io.write_file(str(tmp_path), 'a folder is in the way')
  assert '\n' not in str(error.value)
  assert isinstance(error.value.__cause__, tf.errors.OpError)
  with pytest.raises(ZeroDivisionError):
    with files.writing('nothing'):
      _ = 1 / 0


def test_write_text_replaces_a_file(tmp_path):
  """An error before keeps the former one."""
  path = tmp_path / 'text'
  for text in ('one', 'zwei\n'):
    files.write_text(str(path), text)
    assert path.read_text() == text
  with pytest.raises(KeyError):
    files.write_bytes(str(path), b'two', {}.popitem)
  assert os.listdir(tmp_path) == ['text'] and path.read_text() == text


@pytest.mark.reliability(promise='links')
def test_links_among_the_files_of_a_run_are_refused(copied_run):
  """TensorFlow would write to what they point to; folders may be links."""
  files.clean(str(copied_run))
  (copied_run / 'checkpoints' / 'ckpt-6.index').symlink_to('/tmp/victim')
  assert 'ckpt-6.index is one; put a copy in its place.' in splits.refusal(
      files.clean, str(copied_run))
