"""bin/study: lists, tables of a log, and what it refuses."""

from tests.commands import results
from tests.experiments import studies
from tf_resflow.specs import registries


def test_lists_and_refuses(run_tool, tmp_path):
  listed = run_tool('study')
  assert listed.status == 0
  for name in registries.STUDIES.names():
    assert name in listed.stdout
  results.check_errors(run_tool, 'study', [
      (['none', '--workdir=a'], '--name=none: expected one of blocks'),
      (['activations'], '--name requires --workdir or --log.'),
      (['activations', 'b', '--workdir=a'], "unexpected argument 'b'"),
      (['--workdir=a'], '--workdir requires --name.'),
      (['activations', '--workdir=a', '--log=b'],
       '--workdir cannot be used with --log'),
      ([f'--log={tmp_path}/none'],
       f'file={tmp_path}/none: expected the log of a study')])


def test_tables_of_a_log(run_tool, tmp_path):
  path = tmp_path / 'a.jsonl'
  studies.write_log(path, 0.1)
  # The log says which study it is of.
  result = run_tool('study', f'--log={path}', f'--output={tmp_path}/a.png')
  assert result.status == 0, result.stderr
  assert '(**+0.0972 +- 0.0474**); 1,200 steps |' in result.stdout
  assert (tmp_path / 'a.png').exists()
  # Half of it is not read as if it were all.
  lines = path.read_text().splitlines(keepends=True)
  path.write_text(''.join(lines[:-1]))
  results.check_error(
      run_tool('study', f'--log={path}'),
      f'study: error: --log={path}: expected the log of a study that is done')
