"""bin/scaling: a prediction, a study with its figure, and what it refuses."""

import json

import pytest

from tf_resflow import benchmarking

_TINY = ['--dataset=digits', '--num_blocks=1', '--hidden_channels=4',
         '--num_dense_blocks=0', '--batch_size=4']


def test_prediction(run_tool):
  result = run_tool(
      'scaling', '--study=prediction', *_TINY, '--num_steps=1000')
  assert result.status == 0
  report = json.loads(result.stdout.splitlines()[-1])
  assert report['num_steps'] == 1000 and report['step_operations'] > 0
  assert {r['num_devices'] for r in report['predictions']} == {1, 4, 8}
  assert 'A prediction, not a measurement' in result.stderr


def test_memory_measures_processes_and_draws(run_tool, tmp_path, monkeypatch):
  commands = []

  def measure(command, tasks):
    flagfile = command[1].removeprefix('--flagfile=')
    with open(flagfile, encoding='utf-8') as file:
      commands.append((file.read(), command[2:], tasks))
    return {'peak_memory_gb': 1.0 + len(commands)}

  monkeypatch.setattr(benchmarking, 'measure', measure)
  output = tmp_path / 'memory.png'
  result = run_tool('scaling', '--study=memory', *_TINY, '--terms=10,40',
                    f'--output={output}')
  assert result.status == 0 and output.stat().st_size > 0
  report = json.loads(result.stdout.splitlines()[-1])
  assert report['peak_memory_gb']['recompute'] == {'10': 2.0, '40': 3.0}
  text, options, tasks = commands[-1]
  assert '--memory=naive' in text and '--hidden_channels=4' in text
  assert options == [
      '--tasks=train', '--num_repeats=0', '--num_roulette_terms=38']
  assert tasks == ['train']


@pytest.mark.parametrize('arguments, message', [
    (['--study=cost'], '--output is missing; name the .png or .svg file'),
    (['--study=cost', '--output=/nowhere/a.png'], 'there is no folder'),
    (['--study=memory', f'--output={__file__}'], 'expected a name that ends'),
    (['--study=prediction', '--output=a.png'], 'a prediction has no figure'),
    (['--study=prediction', '--memory=naive'], 'must be left as they are'),
    (['--study=memory', '--output=/tmp/scaling_test.png', '--terms=1,x'],
     "--terms is '1,x'; expected two or more"),
    (['--study=memory', '--output=/tmp/scaling_test.png', '--terms=1,3'],
     '--terms has 1, but 2 are always computed'),
])
def test_bad_input_is_one_line(run_tool, arguments, message):
  result = run_tool('scaling', *_TINY, *arguments)
  assert result.status == 2
  assert message in result.stderr.splitlines()[-1]
  assert result.stderr.splitlines()[-1].startswith('scaling: error: ')
