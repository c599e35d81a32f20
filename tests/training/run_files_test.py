"""Where the files of a run are looked for."""

from tests import testing
from tf_resflow.training import run_files


def test_the_path_of_a_file(tmp_path):
  for name in ('run.flags', 'file'):
    (tmp_path / name).touch()
  assert run_files.path_of(str(tmp_path), run_files.RUN_FLAGS) == str(
      tmp_path / 'run.flags')
  testing.check_refusals(lambda name: run_files.path_of(
      str(tmp_path / name), run_files.MODEL_JSON), [
          ('.', f'workdir={tmp_path}: expected the folder of a run. There is '
           'no model.json; train one with bin/train.'),
          ('run*', '...without any of [ ] * ? '), ('file', '...It is a file')])
  run_files.check_path(str(tmp_path / 'new'))
