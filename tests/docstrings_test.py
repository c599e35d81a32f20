"""The examples of the docstrings run, and show what they say.

An example finds its module and the names in that, the usual names of
TensorFlow, Keras and TFP, and the packages in tf_resflow; relative paths lie in
a folder that has two PyTorch checkpoints.
"""

import doctest
import importlib
import inspect
import pathlib
import pkgutil
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tests.conversion import checkpoints
from tests.conversion import torch_writer
import tf_resflow

_PACKAGES = {
    info.name: importlib.import_module(f'tf_resflow.{info.name}')
    for info in pkgutil.iter_modules(tf_resflow.__path__)
    if info.name != '__main__'}
_NAMES = {
    'keras': keras, 'np': np, 'tf': tf, 'tfb': tfb, 'tfd': tfd, **_PACKAGES}
_FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

_ROOT = pathlib.Path(__file__).resolve().parents[1]


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
  """Returns the report of the failures of an example; it may be empty."""
  report = []
  runner = doctest.DocTestRunner(optionflags=_FLAGS)
  runner.run(test, out=report.append, clear_globs=False)
  return ''.join(report)


def _package(name):
  return name.partition('.')[0]


# Those of the workflow and of scikit-learn train.
@pytest.mark.parametrize('package', [
    pytest.param(name, marks=[pytest.mark.slow] * (
        name in ('sklearn', 'workflow')))
    for name in sorted({_package(name) for name in _EXAMPLES})])
def test_examples(package, folder, monkeypatch):
  monkeypatch.chdir(folder)
  reports = [run(test) for name, test in sorted(_EXAMPLES.items())
             if _package(name) == package]
  assert not any(reports), '\n' + ''.join(reports)


def test_code_in_docstrings_is_an_example():
  """A section `Example:` or a fence without `>>>` would not be run."""
  finder = doctest.DocTestFinder(exclude_empty=True)
  for module in modules():
    for test in finder.find(module):
      has_code = 'Example:' in test.docstring or '```' in test.docstring
      assert not has_code or test.examples, (
          f'{test.name}: write its code as an example, with >>>.')


def public(package):
  """Returns what a package hands out beside modules, by its names."""
  names = getattr(package, '__all__', ())
  values = {name: getattr(package, name) for name in names}
  return {n: v for n, v in values.items() if not inspect.ismodule(v)}


def test_public_names_are_few_and_explained():
  """How names are counted: all in `__all__` of a package but modules.

  Each has a docstring, and an example there or a use in tests and documents.
  Constants and types of arguments have none.
  """
  names = {f'{package}.{name}': value for package in _PACKAGES
           for name, value in public(_PACKAGES[package]).items()}
  assert len(names) <= 228
  assert not {'benchmarking', 'commands', 'experiments'} & {
      name.partition('.')[0] for name in names}
  used = set(re.findall(r'\b\w+\.(\w+)', ''.join(
      path.read_text() for path in [
          *_ROOT.glob('tests/**/*.py'), *_ROOT.glob('docs/*.md')])))
  unexplained = [
      name for name, value in names.items()
      if callable(value) and not (inspect.getdoc(value) and (
          '>>>' in value.__doc__ or name.partition('.')[2] in used))]
  assert not unexplained, f'no docstring, example or test: {unexplained}'


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
