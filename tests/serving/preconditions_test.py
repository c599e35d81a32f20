"""Invalid exports are refused before they take any time."""

import os
import sys

import pytest

from tests import testing
from tf_resflow.serving import preconditions


@pytest.mark.reliability(promise='bad-path')
def test_refuses_to_replace_anything(tmp_path):
  (tmp_path / 'file').write_text('mine')
  testing.check_refusals(preconditions.check_output, [
      (str(tmp_path), '...expected a new or empty folder'),
      (str(tmp_path / 'file'), '...file: expected a folder. It is a file.'),
      ('', '...expected a local folder'),
      ('gs://bucket/digits/1', '...expected a local path. It is a URL')])
  assert os.listdir(tmp_path) == ['file']


def test_missing_package_names_the_extra(monkeypatch):
  monkeypatch.setitem(sys.modules, 'tensorflow_serving.apis', None)
  with pytest.raises(ValueError, match=r"'tf_resflow\[serving\]', or .*warmup"):
    preconditions.check_is_installed()
