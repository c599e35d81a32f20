"""How many functions TensorFlow traces in the tools, on a tiny flow of digits.

Tracing is most of the time until something happens.
"""

import collections
import contextlib
import functools
import os
import re
import sys
import traceback
from unittest import mock

import keras
import pytest
import tensorflow as tf
from tensorflow.python.eager.polymorphic_function import tracing_compilation

from tests import graphs
import tf_resflow
from tf_resflow.commands import runner

# The most that a tool may trace.
_BOUNDS = {
    'train': 58,
    'evaluate': 44,
    'sample': 22,
    'export': 50,
    'fid': 23,
    'benchmark --worker=train': 46,
    'benchmark --worker=evaluate': 27,
    'benchmark --worker=sample': 21,
}
# TensorFlow's own, which come with every data set and with its iterators.
_OF_DATA = re.compile(r'.*: (Dataset_.*|_(remote_)?(init|next|finalize)_func)')
_FLOW = (
    '--num_blocks=2,1', '--hidden_channels=4', '--num_dense_blocks=1',
    '--dense_hidden_units=4', '--num_validation=20', '--batch_size=16')
_TRAIN = (
    *_FLOW, '--num_steps=4', '--evaluate_every=2', '--sample_every=2',
    '--checkpoint_every=2', '--log_every=1', '--noevaluate_at_end')
_PACKAGE = os.path.dirname(tf_resflow.__file__)


@contextlib.contextmanager
def _traces():
  """Yields a list that grows by what is traced: asking file, and name."""
  names, original = [], tracing_compilation._create_concrete_function

  def create(function_type, type_context, func_graph, tracing_options):
    # The innermost file of the package but that of `function_in_graphs`.
    files = [os.path.relpath(frame.filename, _PACKAGE)
             for frame in traceback.extract_stack()
             if frame.filename.startswith(_PACKAGE) and
             not frame.filename.endswith('tracing.py')]
    names.append(f'{(files or ["outside"])[-1]}: {tracing_options.name}')
    return original(function_type, type_context, func_graph, tracing_options)

  with mock.patch.object(
      tracing_compilation, '_create_concrete_function', create):
    yield names


def _forget():
  """Lets everything be traced anew, as in a process of its own."""
  graphs.forget(sys.modules[__name__])
  for name, module in list(sys.modules.items()):
    if name.startswith('tf_resflow.'):
      for value in vars(module).values():
        if isinstance(value, functools._lru_cache_wrapper):
          value.cache_clear()
        for cell in getattr(value, '__closure__', None) or ():
          if isinstance(
              cell.cell_contents, tf.types.experimental.PolymorphicFunction):
            cell.cell_contents._function_cache.clear()


@pytest.fixture(scope='module')
def traces(tmp_path_factory, data_dir):
  """Returns `traces(tool)`: how often it traces each function.

  Everything is done twice, at least: steps, validations, samples, checkpoints,
  batches. The second batch is another one.
  """
  root = tmp_path_factory.mktemp('traces')
  keras.Sequential([
      keras.Input((8, 8, 3)), keras.layers.GlobalAveragePooling2D()
  ]).save(root / 'network.keras')
  data, run = f'--data_dir={data_dir}', f'--workdir={root}/run'
  arguments = {
      'train': (*_TRAIN, data, run),
      'evaluate': (run, data, '--batch_size=16', '--num_examples=31'),
      'sample': (run, '--batch_size=16', '--num_samples=31',
                 f'--output={root}/samples.png'),
      'export': (run, '--nowarmup', f'--output={root}/exported'),
      'fid': (run, data, '--batch_size=16', '--num_samples=47',
              '--num_images=20', f'--inception={root}/network.keras'),
      **{f'benchmark --worker={task}': (
          '--flagfile=digits', *_FLOW, '--num_repeats=3')
         for task in ('train', 'evaluate', 'sample')},
  }

  @functools.cache
  def count(tool):
    if tool != 'train' and not tool.startswith('benchmark'):
      count('train')  # Makes the run.
    _forget()
    name, *flags = tool.split()
    with _traces() as names:
      assert runner.run(name, [*flags, *arguments[tool]]) == 0
    return collections.Counter(
        name for name in names if not _OF_DATA.fullmatch(name))

  return count


@pytest.mark.slow
@pytest.mark.parametrize('tool', _BOUNDS)
def test_bounds(traces, tool):
  counts = traces(tool)
  assert 0 < counts.total() <= _BOUNDS[tool], counts


def test_a_function_that_is_traced_again_is_counted():
  function = tf.function(lambda x: x + 1, autograph=False)
  with _traces() as names:
    for size in (1, 2, 2):
      function(tf.zeros([size]))
  assert len(names) == 2
