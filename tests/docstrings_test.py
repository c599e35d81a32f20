"""The examples of the docstrings run, and show what they say.

An example finds its module and the names in that, the usual names of
TensorFlow, Keras and TFP, and the rooms of the package; relative paths lie in a
folder that has two PyTorch checkpoints.
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

_ROOMS = {
    info.name: importlib.import_module(f'tf_resflow.{info.name}')
    for info in pkgutil.iter_modules(tf_resflow.__path__)
    if info.name != '__main__'}
_NAMES = {
    'keras': keras, 'np': np, 'tf': tf, 'tfb': tfb, 'tfd': tfd, **_ROOMS}
_FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

# Rooms whose every public class and function has an example, but for base
# classes, named tuples, and these, which others make or share.
_ILLUSTRATED = ('bijectors', 'layers', 'models', 'numerics')
_WITHOUT = {
    'Certificate', 'FlowBijector', 'LayerOperator',
    'LogDetSeries', 'noinline_function'}


def modules():
  names = [tf_resflow.__name__] + [
      info.name for info in pkgutil.walk_packages(
          tf_resflow.__path__, tf_resflow.__name__ + '.')
      if not info.name.endswith('__main__')]
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
  names = {**_NAMES, module.__name__.rpartition('.')[2]: module}
  return {k: v for k, v in names.items() if k not in vars(module)}


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


def _room(name):
  return name.partition('.')[0]


@pytest.mark.parametrize('room', sorted({_room(name) for name in _EXAMPLES}))
def test_examples(room, folder, monkeypatch):
  monkeypatch.chdir(folder)
  reports = [run(test) for name, test in sorted(_EXAMPLES.items())
             if _room(name) == room]
  assert not any(reports), '\n' + ''.join(reports)


def test_code_in_docstrings_is_an_example():
  """A section `Example:` or a fence without `>>>` would not be run."""
  finder = doctest.DocTestFinder(exclude_empty=True)
  for module in modules():
    for test in finder.find(module):
      has_code = 'Example:' in test.docstring or '```' in test.docstring
      assert not has_code or test.examples, (
          f'{test.name}: write its code as an example, with >>>.')


def public(room):
  """Returns the classes and functions that a room hands out, by their names."""
  names = getattr(room, '__all__', None) or vars(room)
  return {name: value for name in names
          for value in [getattr(room, name)]
          if callable(value) and not name.startswith('_')}


def test_what_is_public_has_an_example():
  values = [value for room in _ILLUSTRATED
            for value in public(_ROOMS[room]).items()]
  missing = [
      name for name, value in values
      if '>>>' not in value.__doc__ and name not in _WITHOUT and not (
          inspect.isclass(value) and (
              issubclass(value, tuple) or value.__subclasses__()))]
  assert values and not missing, f'no example: {missing}'


def undocumented(cls):
  """Returns the public attributes that neither a class nor its bases explain.

  What overrides a method keeps to the contract of that, be it of Keras or TFP.
  """
  kinds = (classmethod, property, staticmethod, type(undocumented))
  return [
      name for name, value in vars(cls).items()
      if isinstance(value, kinds) and not name.startswith('_') and
      not inspect.getdoc(value) and
      not any(hasattr(base, name) for base in cls.__bases__)]


def test_public_methods_have_docstrings():
  missing = [
      f'{module.__name__}.{name}.{method}' for module in modules()
      for name, value in vars(module).items()
      if inspect.isclass(value) and value.__module__ == module.__name__ and
      not name.startswith('_') for method in undocumented(value)]
  assert not missing, f'no docstring: {missing}'
