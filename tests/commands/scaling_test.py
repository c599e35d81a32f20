"""bin/scaling: a study with its figure, and what it refuses."""

import json

import pytest

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

  monkeypatch.setattr(benchmarking, 'measure', measure)
  output = tmp_path / 'memory.png'
  result = run_tool('scaling', '--study=memory', *_TINY, f'--output={output}')
  assert result.status == 0 and output.stat().st_size > 0
  report = json.loads(result.stdout.splitlines()[-1])
  assert report['peak_memory_gb']['recompute'] == {'10': 2.0, '40': 3.0}
  assert '\npeak_memory_gb.recompute.10 ' in result.stderr
  text, options, tasks = commands[-1]
  assert '--memory=naive\n' in text and '--hidden_channels=4\n' in text
  assert '--estimator=fixed:40\n' in text
  assert options == ['--tasks=train', '--num_repeats=0']
  assert tasks == ['train']


@pytest.mark.parametrize('arguments, message', [
    (['--study=cost'], '--output is missing. The figure, a new .png or .svg'),
    (['--study=cost', '--output={folder}/a.png', '--hybrid'],
     '--hybrid=true: expected false. The'),
    (['--study=none', '--output={folder}/a.png'],
     '--study=none: expected one of cost, memory'),
])
def test_bad_input_is_one_line(run_tool, tmp_path, arguments, message):
  result = run_tool('scaling', *_TINY, *(
      argument.format(folder=tmp_path) for argument in arguments))
  assert (result.status, result.stdout) == (2, '')
  (line,) = result.stderr.splitlines()
  assert line.startswith('scaling: error: ') and message in line
  assert not list(tmp_path.iterdir())
