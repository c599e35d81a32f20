"""bin/scaling: a study with its figure, and what it refuses."""

from tests.commands import results
from tf_resflow import benchmarking

_TINY = ['--dataset=digits', '--num_blocks=1', '--hidden_channels=4',
         '--num_dense_blocks=0', '--batch_size=4']


def test_memory_measures_processes_and_draws(run_tool, tmp_path, monkeypatch):
  commands = []

  def measure(command, tasks):
    flagfile, *options = command[-3:]
    with open(flagfile.removeprefix('--flagfile='), encoding='utf-8') as file:
      commands.append((file.read(), options, tasks))
    return {'peak_memory_gb': 1.0 + len(commands)}

  monkeypatch.setattr(benchmarking.report, 'measure', measure)
  output = tmp_path / 'memory.png'
  result = run_tool('scaling', '--study=memory', *_TINY, f'--output={output}')
  report = results.report(result)
  assert output.stat().st_size > 0
  assert report['peak_memory_gb']['recompute'] == {'10': 2.0, '40': 3.0}
  assert '\npeak_memory_gb.recompute.10 ' in result.stderr
  text, options, tasks = commands[-1]
  assert '--memory=naive\n' in text and '--hidden_channels=4\n' in text
  assert '--estimator=fixed:40\n' in text
  assert options == ['--tasks=train', '--num_repeats=0']
  assert tasks == ['train']


def test_bad_input(run_tool, tmp_path):
  output = f'--output={tmp_path}/a.png'
  results.check_errors(run_tool, 'scaling', [
      ([], '--output is missing. The figure, a new .png or .svg'),
      ([output, '--hybrid'], '--hybrid=true cannot be used here. The'),
  ], '--study=time', *_TINY)
  results.check_error(
      run_tool('scaling', '--study=memory', '--dataset=2d/moons', output),
      'scaling: error: --dataset=2d/moons: expected a data set of images')
  assert not list(tmp_path.iterdir())
