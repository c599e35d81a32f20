"""Where the files of a run are looked for."""

import pytest

from tf_resflow import errors
from tf_resflow.training import run_files


def test_the_path_of_a_file(tmp_path):
  (tmp_path / 'run.flags').touch()
  assert run_files.path_of(str(tmp_path), run_files.RUN_FLAGS) == str(
      tmp_path / 'run.flags')
  with pytest.raises(errors.InvalidValueError) as error:
    run_files.path_of(str(tmp_path), run_files.MODEL_JSON)
  assert str(error.value) == (
      f'workdir={tmp_path}: expected the folder of a run. There is no '
      'model.json; train one with bin/train.')


@pytest.mark.parametrize('name, said', [
    ('run*', r'without any of \[ \] \* \? '), ('file', 'It is a file'),
    ('run', None), ('new', None)])
def test_what_can_be_the_path_of_a_run(tmp_path, name, said):
  (tmp_path / 'file').touch()
  (tmp_path / 'run').mkdir()
  path = str(tmp_path / name)
  if said is None:
    run_files.check_path(path)
    return
  with pytest.raises(errors.InvalidValueError, match=said):
    run_files.check_path(path)
