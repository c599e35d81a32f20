"""How many functions TensorFlow traces in the tools, on a tiny flow of digits.

Tracing is most of the time until something happens. As a program, this runs a
tool and writes the names of what was traced, each with the file that called it:

    python -m tests.traces_test FILE.json TOOL --FLAG=VALUE ...
"""

import collections
import functools
import json
import os
import pathlib
import re
import subprocess
import sys
import traceback

import pytest

from tests.commands import processes
from tf_resflow.commands import runner

# The most that a tool may trace.
_BOUNDS = {
    'train': 58,
    'evaluate': 44,
    'sample': 22,
    'export': 50,
    'bias': 29,
    'fid': 23,
    'benchmark --worker=train': 44,
    'benchmark --worker=evaluate': 25,
    'benchmark --worker=sample': 19,
}
# TensorFlow's own, which come with every data set and with its iterators.
_OF_DATA = re.compile(r'.*: (Dataset_.*|_(remote_)?(init|next|finalize)_func)')
_FLOW = (
    '--num_blocks=2,1', '--hidden_channels=4', '--num_dense_blocks=1',
    '--dense_hidden_units=4', '--num_validation=20', '--batch_size=16')
_TRAIN = (
    *_FLOW, '--evaluate_every=2', '--sample_every=2', '--checkpoint_every=2',
    '--log_every=1', '--noevaluate_at_end')


def main(path, tool, *arguments):
  """Runs a tool, and records what is traced meanwhile."""
  runner.load_tensorflow()
  from tensorflow.python.eager.polymorphic_function import tracing_compilation

  names, original = [], tracing_compilation._create_concrete_function
  package = str(pathlib.Path(runner.__file__).parents[1])

  def create(function_type, type_context, func_graph, tracing_options):
    # The innermost file of the package but that of `function_in_graphs`.
    files = [os.path.relpath(frame.filename, package)
             for frame in traceback.extract_stack()
             if frame.filename.startswith(package) and
             not frame.filename.endswith('tracing.py')]
    names.append(f'{(files or ["outside"])[-1]}: {tracing_options.name}')
    return original(function_type, type_context, func_graph, tracing_options)

  tracing_compilation._create_concrete_function = create
  status = runner.run(tool, arguments)
  pathlib.Path(path).write_text(json.dumps(names))
  return status


def _network(root):
  """Returns a file of a network for features of images."""
  import keras

  path = root / 'network.keras'
  keras.Sequential([
      keras.Input((8, 8, 3)), keras.layers.GlobalAveragePooling2D()
  ]).save(path)
  return path


@pytest.fixture(scope='module')
def traces(tmp_path_factory, data_dir):
  """Returns `traces(tool)`: counts of some work, and of more of it."""
  root = tmp_path_factory.mktemp('traces')
  data, run = f'--data_dir={data_dir}', f'--workdir={root}/run2'
  # Two steps more, with a validation, samples and a checkpoint; another batch.
  variants = {
      'train': [(*_TRAIN, data, f'--workdir={root}/run{n}', f'--num_steps={n}')
                for n in (2, 4)],
      'evaluate': [(run, data, '--batch_size=16', f'--num_examples={n}')
                   for n in (16, 31)],
      'sample': [(run, '--batch_size=16', f'--num_samples={n}',
                  f'--output={root}/samples{n}.png') for n in (16, 31)],
      'export': [(run, '--nowarmup', f'--output={root}/exported')],
      'bias': [(run.replace('workdir', 'workdirs'), data, '--batch_size=16',
                f'--num_examples={n}') for n in (16, 31)],
      'fid': [(run, data, '--batch_size=16', f'--num_samples={n}',
               '--num_images=20', f'--inception={_network(root)}')
              for n in (32, 47)],
      # The processes that it starts.
      **{f'benchmark --worker={task}': [
          ('--flagfile=digits', *_FLOW, f'--num_repeats={n}') for n in (2, 3)]
         for task in ('train', 'evaluate', 'sample')},
  }

  @functools.cache
  def count(tool):
    if tool != 'train' and not tool.startswith('benchmark'):
      count('train')  # Makes the run.
    paths = [root / f'{tool}{i}.json' for i in range(len(variants[tool]))]
    started = [subprocess.Popen(
        [sys.executable, '-m', 'tests.traces_test', path, *tool.split(),
         *arguments], cwd=processes.ROOT, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True)
               for path, arguments in zip(paths, variants[tool], strict=True)]
    for process in started:
      stderr = process.communicate()[1]
      assert process.returncode == 0, stderr
    return [collections.Counter(
        name for name in json.loads(path.read_text())
        if not _OF_DATA.fullmatch(name)) for path in paths]

  return count


@pytest.mark.parametrize('tool', _BOUNDS)
def test_bounds(traces, tool):
  some, *more = traces(tool)
  assert 0 < some.total() <= _BOUNDS[tool], some
  for counts in more:
    assert not counts - some


if __name__ == '__main__':
  sys.exit(main(*sys.argv[1:]))
