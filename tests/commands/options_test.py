"""Flags are the fields of groups, each once for all tools that share it."""

import dataclasses
import os

import numpy as np
import pytest

from tests import testing
from tf_resflow import errors
from tf_resflow import training
from tf_resflow.commands import options


@dataclasses.dataclass(frozen=True, kw_only=True)
class File(options.OutputFile):
  """A tool that writes text."""

  suffixes = ('.txt', '.csv')


@pytest.mark.reliability(promise='bad-path')
def test_output_files_are_checked_before_the_work(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'folder.txt').mkdir()
  (tmp_path / 'old.txt').write_text('old')
  for path, said in (
      ('', 'expected a name that ends in .txt or .csv.'),
      ('a.png', 'expected a name that ends in .txt or .csv.'),
      ('gs://b/a.txt', 'expected a local path. It is a URL: mount the store,'),
      ('/none/a.txt', 'expected a file in a folder that exists. There is no'),
      ('folder.txt', 'expected a file. It is a folder.'),
      ('old.txt', 'expected a new file. It exists: name another one, or give')):
    testing.check_refusal(File, {'output': path}, f'output={path}: {said}')
  File()
  File(output='new.csv')
  File(output='old.txt', overwrite=True)
  assert sorted(os.listdir(tmp_path)) == ['folder.txt', 'old.txt']
  monkeypatch.setattr(os, 'access', lambda path, mode: False)
  with pytest.raises(errors.InvalidValueError, match='that may be written'):
    File(output='a.txt')


def test_averaged_weights_or_the_others(trained_workdir):
  """`Run.open`, by which every tool gets its model, takes those asked for."""
  image = np.full([1, 8, 8, 1], 0.25, np.float32)
  found = []
  for averaged in (True, False):
    flow = options.StoredRun(
        workdir=str(trained_workdir), averaged=averaged).open()
    found.append(flow(image))
    model, _ = training.workdir.restore_model(
        str(trained_workdir), averaged=averaged)
    np.testing.assert_array_equal(found[-1], model(image))
  assert np.abs(found[0] - found[1]).max() > 5e-3
