"""What tools trace on a tiny flow of digits, counted; nothing twice.

Tracing is most of the time until something happens, so a new trace is to be
noticed. Where it is meant, or one is gone, the message has the new `_TRACES`.
"""

import collections
import functools
import json
import os
import re
import subprocess
import sys

import keras
import pytest

from tests.commands import processes

# By tools, the files of the package that call for a function, its name, and
# how often it is traced.
_TRACES = {
    'train': {
        'evaluation/batch_map.py: run': 1,
        'layers/bijections/act_norm.py: _shift_and_scale': 6,
        'layers/lipschitz/linear.py: _follow_norm': 8,
        'layers/lipschitz/linear.py: _normalize_gradient': 8,
        'models/flow.py: normal_rows': 1,
        'numerics/fixed_point/implicit.py: function': 4,
        'numerics/log_det/memory_modes.py: function': 12,
        'numerics/norms/power_iteration.py: _advanced': 1,
        'numerics/norms/power_iteration.py: _residuals': 1,
        'numerics/norms/power_iteration.py: _rotated': 1,
        'numerics/random.py: _fold_in': 3,
        'numerics/random.py: _signs': 6,
        'numerics/random.py: _uniform_scalar': 1,
        'training/ema.py: _move': 4,
        'training/trainer.py: run_step': 1,
    },
    'evaluate': {
        'evaluation/batch_map.py: run': 2,
        'layers/bijections/act_norm.py: _shift_and_scale': 3,
        'layers/lipschitz/linear.py: _follow_norm': 16,
        'numerics/fixed_point/implicit.py: function': 4,
        'numerics/log_det/memory_modes.py: function': 4,
        'numerics/log_det/skip.py: function': 4,
        'numerics/norms/power_iteration.py: _advanced': 2,
        'numerics/norms/power_iteration.py: _residuals': 2,
        'numerics/norms/power_iteration.py: _rotated': 2,
        'numerics/random.py: _fold_in': 1,
        'numerics/random.py: _signs': 3,
        'numerics/random.py: _uniform_scalar': 1,
    },
    'sample': {
        'evaluation/batch_map.py: run': 1,
        'layers/lipschitz/linear.py: _follow_norm': 8,
        'models/flow.py: normal_rows': 1,
        'numerics/fixed_point/implicit.py: function': 4,
        'numerics/log_det/skip.py: function': 4,
        'numerics/norms/power_iteration.py: _advanced': 1,
        'numerics/norms/power_iteration.py: _residuals': 1,
        'numerics/norms/power_iteration.py: _rotated': 1,
        'numerics/random.py: _fold_in': 1,
    },
    'export': {
        'layers/bijections/act_norm.py: _shift_and_scale': 3,
        'layers/lipschitz/linear.py: _follow_norm': 16,
        'models/flow.py: normal_rows': 1,
        'numerics/fixed_point/implicit.py: function': 4,
        'numerics/log_det/memory_modes.py: function': 4,
        'numerics/log_det/skip.py: function': 4,
        'numerics/norms/power_iteration.py: _advanced': 2,
        'numerics/norms/power_iteration.py: _residuals': 2,
        'numerics/norms/power_iteration.py: _rotated': 2,
        'numerics/random.py: _fold_in': 1,
        'numerics/random.py: _uniform_scalar': 1,
        'serving/saved_model.py: _traced_restore': 1,
        'serving/saved_model.py: _traced_save': 1,
        'serving/saved_model.py: call': 4,
        'serving/saved_model.py: signature_wrapper': 4,
    },
    'bias': {
        'evaluation/batch_map.py: run': 2,
        'layers/bijections/act_norm.py: _shift_and_scale': 3,
        'layers/lipschitz/linear.py: _follow_norm': 8,
        'numerics/log_det/memory_modes.py: function': 8,
        'numerics/norms/power_iteration.py: _advanced': 1,
        'numerics/norms/power_iteration.py: _residuals': 1,
        'numerics/norms/power_iteration.py: _rotated': 1,
        'numerics/random.py: _fold_in': 1,
        'numerics/random.py: _signs': 3,
        'numerics/random.py: _uniform_scalar': 1,
    },
    'fid': {
        'evaluation/batch_map.py: run': 1,
        'evaluation/features.py: _extract_batch': 1,
        'layers/lipschitz/linear.py: _follow_norm': 8,
        'models/flow.py: normal_rows': 1,
        'numerics/fixed_point/implicit.py: function': 4,
        'numerics/log_det/skip.py: function': 4,
        'numerics/norms/power_iteration.py: _advanced': 1,
        'numerics/norms/power_iteration.py: _residuals': 1,
        'numerics/norms/power_iteration.py: _rotated': 1,
        'numerics/random.py: _fold_in': 1,
    },
    'benchmark --worker=train': {
        'benchmarking/tasks.py: run_step': 1,
        'layers/bijections/act_norm.py: _shift_and_scale': 3,
        'layers/lipschitz/linear.py: _follow_norm': 9,
        'layers/lipschitz/linear.py: _normalize_gradient': 9,
        'numerics/log_det/memory_modes.py: function': 8,
        'numerics/norms/power_iteration.py: _advanced': 1,
        'numerics/norms/power_iteration.py: _residuals': 1,
        'numerics/norms/power_iteration.py: _rotated': 1,
        'numerics/random.py: _fold_in': 3,
        'numerics/random.py: _signs': 3,
        'numerics/random.py: _uniform_scalar': 1,
        'training/ema.py: _move': 4,
    },
    'benchmark --worker=evaluate': {
        'benchmarking/tasks.py: run': 1,
        'layers/bijections/act_norm.py: _shift_and_scale': 3,
        'layers/lipschitz/linear.py: _follow_norm': 9,
        'numerics/log_det/memory_modes.py: function': 4,
        'numerics/norms/power_iteration.py: _advanced': 1,
        'numerics/norms/power_iteration.py: _residuals': 1,
        'numerics/norms/power_iteration.py: _rotated': 1,
        'numerics/random.py: _fold_in': 1,
        'numerics/random.py: _signs': 3,
        'numerics/random.py: _uniform_scalar': 1,
    },
    'benchmark --worker=sample': {
        'benchmarking/tasks.py: run': 1,
        'layers/lipschitz/linear.py: _follow_norm': 9,
        'models/flow.py: normal_rows': 1,
        'numerics/fixed_point/implicit.py: function': 4,
        'numerics/norms/power_iteration.py: _advanced': 1,
        'numerics/norms/power_iteration.py: _residuals': 1,
        'numerics/norms/power_iteration.py: _rotated': 1,
        'numerics/random.py: _fold_in': 1,
    },
}

# What more work of the same kind traces: two steps with a validation, samples
# and a checkpoint; a second batch.
_AGAIN = {
    'train': {
    },
    'evaluate': {
    },
    'sample': {
    },
    'bias': {
    },
    'fid': {
    },
    'benchmark --worker=train': {
    },
    'benchmark --worker=evaluate': {
    },
    'benchmark --worker=sample': {
    },
}

# TensorFlow's own, which come with every data set and with its iterators.
_OF_DATA = re.compile(r'Dataset_.*|_(remote_)?(init|next|finalize)_func')
_FLOW = (
    '--num_blocks=2,1', '--hidden_channels=4', '--num_dense_blocks=1',
    '--dense_hidden_units=4', '--num_validation=20', '--batch_size=16',
    '--evaluate_every=2', '--sample_every=2', '--checkpoint_every=2',
    '--log_every=1', '--noevaluate_at_end')


def _start(folder, tool, *arguments):
  """Starts a tool; its traces will be in FOLDER/traces.json."""
  folder.mkdir()
  name, *options = tool.split()
  return subprocess.Popen(
      [sys.executable, '-m', 'tests.traces', str(folder / 'traces.json'), name,
       *options, *arguments], cwd=processes.ROOT, stdout=subprocess.DEVNULL,
      stderr=subprocess.PIPE, text=True,
      env=os.environ | {'TF_CPP_MIN_LOG_LEVEL': '3'})


def _finish(folder, process):
  """Returns names and places of what was traced, with the lines there."""
  stderr = process.communicate()[1]
  assert process.returncode == 0, stderr
  lines = collections.defaultdict(list)
  for name, place in json.loads((folder / 'traces.json').read_text()):
    if not _OF_DATA.fullmatch(name):
      file, _, line = place.partition(':')
      lines[f'{file}: {name}'].append(line)
  return lines


def _network(folder):
  """Returns a file of a network for features of images."""
  path = folder / 'network.keras'
  if not path.exists():
    keras.Sequential([
        keras.Input((8, 8, 3)), keras.layers.GlobalAveragePooling2D()
    ]).save(path)
  return path


def _counts(lines):
  return {name: len(found) for name, found in sorted(lines.items())}


def _difference(more, less):
  """Returns how much more there is of each, with the lines of `more`."""
  return {name: found[len(less.get(name, ())):] for name, found in more.items()
          if len(found) > len(less.get(name, ()))}


def _literal(counts):
  rows = (f'        {name!r}: {count},' for name, count in counts.items())
  return '\n'.join(['{', *rows, '    }'])


def _check(tool, lines, table, title):
  expected, found = table[tool], _counts(lines)
  news = [
      f'{name}: {found.get(name, 0)} times, not {expected.get(name, 0)}; '
      f'called for in line {", ".join(dict.fromkeys(lines.get(name, "-")))}'
      for name in sorted({*expected, *found})
      if found.get(name, 0) != expected.get(name, 0)]
  if news:
    pytest.fail('\n'.join([
        f'{tool} traces something else than {title} says.', *news,
        f'If that is meant, {title} in {__file__} has to have:',
        f'    {tool!r}: {_literal(found)},']), pytrace=False)


@pytest.fixture(scope='module')
def trace(tmp_path_factory, data_dir):
  """Returns `trace(tool)`: the traces of some work and of more, at once."""
  root = tmp_path_factory.mktemp('traces')
  data, run = f'--data_dir={data_dir}', f'--workdir={root}/train0/run'
  variants = {
      'train': [(*_FLOW, data, f'--workdir={root}/train{i}/run',
                 f'--num_steps={n}') for i, n in enumerate((2, 4))],
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
          ('--flagfile=digits', *_FLOW[:6], f'--num_repeats={n}')
          for n in (2, 3)] for task in ('train', 'evaluate', 'sample')},
  }

  @functools.cache
  def trace(tool):
    if tool != 'train' and not tool.startswith('benchmark'):
      trace('train')  # Makes the run.
    folders = [root / f'{tool}{i}' for i in range(len(variants[tool]))]
    started = [_start(folder, tool, *arguments) for folder, arguments in zip(
        folders, variants[tool], strict=True)]
    return [_finish(folder, process) for folder, process in zip(
        folders, started, strict=True)]

  return trace


@pytest.mark.parametrize('tool', _TRACES)
def test_counts(trace, tool):
  _check(tool, trace(tool)[0], _TRACES, '_TRACES')


@pytest.mark.parametrize('tool', _AGAIN)
def test_more_of_the_same(trace, tool):
  less, more = trace(tool)
  _check(tool, _difference(more, less), _AGAIN, '_AGAIN')
  assert not _difference(less, more)


def test_new_traces_are_said():
  table = {'train': {'a.py: f': 1, 'b.py: g': 1}}
  with pytest.raises(pytest.fail.Exception) as error:
    _check('train', {'a.py: f': ['7', '9'], 'c.py: h': ['3']}, table, '_TABLE')
  text = str(error.value)
  assert 'a.py: f: 2 times, not 1; called for in line 7, 9' in text
  assert 'b.py: g: 0 times, not 1; called for in line -' in text
  assert 'c.py: h: 1 times, not 0; called for in line 3' in text
  assert ("'train': {\n        'a.py: f': 2,\n        'c.py: h': 1,\n    },"
          ) in text
  _check('train', {'a.py: f': ['7'], 'b.py: g': ['2']}, table, '_TABLE')
