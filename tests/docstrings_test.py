"""The examples of the docstrings run, and show what they say.

An example finds the names of its module, the usual names of TensorFlow, Keras
and TFP, and the rooms of the package; relative paths lie in a folder that has
two PyTorch checkpoints.
"""

import doctest
import importlib
import inspect
import pkgutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tests.conversion import checkpoints
from tests.conversion import torch_writer
import tf_resflow
from tf_resflow import benchmarking
from tf_resflow import bijectors
from tf_resflow import conversion
from tf_resflow import datasets
from tf_resflow import evaluation
from tf_resflow import layers
from tf_resflow import models
from tf_resflow import numerics
from tf_resflow import training

_ROOMS = {
    'benchmarking': benchmarking, 'bijectors': bijectors,
    'conversion': conversion, 'datasets': datasets, 'evaluation': evaluation,
    'layers': layers, 'models': models, 'numerics': numerics,
    'training': training}
_NAMES = {
    'keras': keras, 'np': np, 'tf': tf, 'tfb': tfb, 'tfd': tfd, **_ROOMS}
_FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

# Rooms whose every public class and function has an example, but for base
# classes and for what is returned or shared between the rooms.
_ILLUSTRATED = ('bijectors', 'layers', 'models', 'numerics')
_WITHOUT = {
    'AdaptiveDraw', 'BlockBound', 'BlockTraces', 'Draw', 'Flow',
    'LayerOperator', 'PowerIteration', 'Solution', 'SpectralLayer',
    'Truncation', 'shared_function'}


def modules():
  names = [tf_resflow.__name__] + [
      info.name for info in pkgutil.walk_packages(
          tf_resflow.__path__, tf_resflow.__name__ + '.')]
  return [importlib.import_module(name) for name in names]


def examples():
  """Returns `{name: DocTest}` of all docstrings with examples."""
  finder = doctest.DocTestFinder(exclude_empty=True)
  return {
      test.name.removeprefix('tf_resflow.'): test
      for module in modules()
      for test in finder.find(module, extraglobs=_missing_names(module))
      if test.examples}


def _missing_names(module):
  return {k: v for k, v in _NAMES.items() if k not in vars(module)}


_EXAMPLES = examples()


@pytest.fixture(scope='module', name='folder')
def folder_fixture(tmp_path_factory):
  folder = tmp_path_factory.mktemp('examples')
  checkpoints.write(folder / 'cifar10_resflow.pth', 'grey')
  torch_writer.save_zip(folder / 'model.pth', {
      'state_dict': {'weight': np.array([[1.0, 2.0]], np.float32)}})
  return folder


def run(test):
  """Returns the report of the failures of an example, empty if there are none.
  """
  report = []
  runner = doctest.DocTestRunner(optionflags=_FLAGS)
  runner.run(test, out=report.append, clear_globs=False)
  return ''.join(report)


@pytest.mark.parametrize('name', sorted(_EXAMPLES))
def test_example(name, folder, monkeypatch):
  monkeypatch.chdir(folder)
  report = run(_EXAMPLES[name])
  assert not report, '\n' + report


def test_a_wrong_example_fails():
  parser = doctest.DocTestParser()
  for text in ('>>> 1 + 1\n3\n', '>>> missing_name\n'):
    assert run(parser.get_doctest(text, {}, 'wrong', None, None))
  assert not run(parser.get_doctest('>>> 1 + 1\n2\n', {}, 'right', None, None))


def test_code_in_docstrings_is_an_example():
  """A section `Example:` or a fence without `>>>` would not be run."""
  finder = doctest.DocTestFinder(exclude_empty=True)
  for module in modules():
    for test in finder.find(module):
      has_code = 'Example:' in test.docstring or '```' in test.docstring
      assert not has_code or test.examples, (
          f'{test.name}: write its code as an example, with >>>.')


@pytest.mark.parametrize('room', _ILLUSTRATED)
def test_what_is_public_has_an_example(room):
  public = {
      name: value for name, value in vars(_ROOMS[room]).items()
      if (inspect.isclass(value) or callable(value)) and
      not name.startswith('_') and name not in _WITHOUT}
  assert public
  missing = [
      name for name, value in public.items() if '>>>' not in value.__doc__]
  assert not missing, f'no example: {missing}'
