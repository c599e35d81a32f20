"""BUILD files and setup.py state the real imports."""

import ast
import graphlib
import re
import runpy

import pytest
import setuptools

from tests import build_files

_FILES = {
    'bin/train': 'from absl import app\nfrom tf_resflow.layers import norm\n',
    'tests/__init__.py': '',
    'tests/bazel_main.py': 'import pytest\n',
    'tests/numerics/conftest.py': 'from tests import bazel_main\n',
    'tests/numerics/series_test.py': 'from tf_resflow.numerics import series\n',
    'tf_resflow/__init__.py':
        'import lazy_loader\n'
        'lazy_loader.attach(__name__, submod_attrs={"layers": ["norm"]})\n',
    'tf_resflow/errors.py': '',
    'tf_resflow/layers/__init__.py':
        'import lazy_loader\n'
        'lazy_loader.attach(__name__, submodules=["norm"])\n',
    'tf_resflow/layers/norm.py':
        'from tf_resflow.numerics import series\n'
        'def norm(x):\n  import keras\n',
    'tf_resflow/numerics/series.py':
        'import math\nimport tensorflow as tf\nfrom tf_resflow import errors\n',
}


def write(root, name, text):
  path = root / name
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(text)
  return path


@pytest.fixture(name='tree')
def tree_fixture(tmp_path):
  for name, text in _FILES.items():
    write(tmp_path, name, text)
  build_files.update(tmp_path)
  assert not build_files.update(tmp_path, write=False)
  return tmp_path


def rules(text):
  """Returns the attributes of the rules of a BUILD file by their names.

  Starlark's expressions are Python's.
  """
  calls = [node.value for node in ast.parse(text).body]
  attributes = [
      {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
      for call in calls if isinstance(call, ast.Call)]
  return {ast.literal_eval(rule['name']): rule
          for rule in attributes if 'name' in rule}


def dependencies(text, name, attribute='deps'):
  return ast.literal_eval(rules(text)[name].get(attribute, '[]'))


# The repository.


def test_build_files_are_up_to_date():
  differences = build_files.update(write=False)
  assert not differences, (
      f'{", ".join(differences)}: not what the imports ask for. Run '
      '`python -m tests.build_files` and commit what it writes.')


def test_no_target_depends_on_itself():
  graph = {}
  for path, text in build_files.build_files().items():
    package = '//' + path.removesuffix('BUILD').strip('/')
    for name in rules(text):
      target = (package if package.endswith(f'/{name}')
                else f'{package}:{name}')
      graph[target] = dependencies(text, name)
      graph[f'{target}_test'] = dependencies(text, name, 'test_deps')
  graphlib.TopologicalSorter(graph).prepare()
  ours = {target for targets in graph.values() for target in targets
          if target.startswith('//')}
  assert ours <= set(graph)


def test_setup_declares_every_import(monkeypatch):
  arguments = {}
  monkeypatch.setattr(setuptools, 'setup', arguments.update)
  runpy.run_path(str(build_files.ROOT / 'setup.py'))
  names = {re.match(r'[\w-]+', requirement)[0].replace('-', '_')
           for requirements in (arguments['install_requires'],
                                *arguments['extras_require'].values())
           for requirement in requirements}
  needed = {
      target.removeprefix('@pypi//')
      for text in build_files.build_files().values() for name in rules(text)
      for attribute in ('deps', 'test_deps')
      for target in dependencies(text, name, attribute)
      if target.startswith('@pypi')}
  # tf_keras comes with an extra of TFP; setuptools builds the package.
  missing = needed - names - {'tf_keras', 'setuptools'}
  assert not missing, f'{missing}: declare it in setup.py.'


# Small trees.


@pytest.mark.parametrize('path, name, expected', [
    ('tf_resflow', 'tf_resflow',
     ['//tf_resflow/layers', '@pypi//lazy_loader']),
    ('tf_resflow', 'errors', []),
    ('tf_resflow/layers', 'layers',
     ['//tf_resflow/numerics', '@pypi//keras', '@pypi//lazy_loader']),
    ('tf_resflow/numerics', 'numerics',
     ['//tf_resflow:errors', '@pypi//tensorflow']),
    ('tests', 'tests', ['@pypi//pytest']),
    ('tests/numerics', 'numerics', ['//tests']),
    ('bin', 'train_tool', ['//tf_resflow/layers', '@pypi//absl_py']),
])
def test_dependencies_are_the_imports(tree, path, name, expected):
  assert dependencies((tree / path / 'BUILD').read_text(), name) == expected


def test_tests_depend_on_their_imports_and_what_they_share(tree):
  text = (tree / 'tests/numerics/BUILD').read_text()
  assert dependencies(text, 'numerics', 'test_deps') == [
      '//tests', '//tests/numerics', '//tf_resflow/numerics']


def test_every_test_of_a_folder_is_a_target(tree):
  """Starlark's statements are Python's, as far as tests.bzl goes."""
  targets = []

  class Native:
    """Stands for what Bazel gives a macro."""

    filegroup = staticmethod(lambda **attributes: None)
    package_name = staticmethod(lambda: 'tests/numerics')

    @staticmethod
    def glob(include, exclude=(), allow_empty=False):
      folder = tree / 'tests/numerics'
      found = {path for pattern in include for path in folder.glob(pattern)}
      found -= {path for pattern in exclude for path in folder.glob(pattern)}
      assert found or allow_empty
      return sorted(path.relative_to(folder).as_posix() for path in found)

  write(tree, 'tests/numerics/norms/power_test.py', '')
  definitions = build_files.ROOT / 'tests/tests.bzl'
  names = {
      'load': lambda *names: None, 'native': Native,
      'py_library': lambda **attributes: targets.append(attributes),
      'py_test': lambda **attributes: targets.append(attributes)}
  exec(definitions.read_text(), names)
  names['tests'](name='numerics', deps=['//tests'], test_deps=['//a'])
  assert {target['name']: (target['srcs'][0], target['deps'])
          for target in targets} == {
      'numerics': ('conftest.py', ['//tests']),
      'norms_power_test': ('norms/power_test.py', ['//a']),
      'series_test': ('series_test.py', ['//a'])}


@pytest.mark.parametrize('source, expected', [
    ('import tf_resflow', ['//tf_resflow']),
    ('from tf_resflow import layers', ['//tf_resflow/layers']),
    ('from tf_resflow import ResidualFlow', ['//tf_resflow']),
    ('import tf_resflow.numerics.series as s', ['//tf_resflow/numerics']),
    ('from tests import bazel_main', ['//tests']),
    ('from tests.numerics import conftest', ['//tests/numerics']),
    ('from sklearn import datasets', ['@pypi//scikit_learn']),
    ('import tensorflow_probability as tfp',
     ['@pypi//tensorflow_probability', '@pypi//tf_keras']),
    ('def f():\n  import mlxtend.data', ['@pypi//mlxtend']),
    ('import os, json\nfrom concurrent import futures', []),
])
def test_targets_of_imports(tree, source, expected):
  path = write(tree, 'a.py', source)
  assert sorted(build_files.dependencies([path], tree)) == expected


@pytest.mark.parametrize('name, text, wrong', [
    ('tf_resflow/errors.py', 'import numpy', ['tf_resflow/BUILD']),
    ('tf_resflow/layers/norm.py', 'import scipy', ['tf_resflow/layers/BUILD']),
    ('tf_resflow/layers/norm.py', '', ['tf_resflow/layers/BUILD']),
    ('tests/numerics/law_test.py', 'import scipy', ['tests/numerics/BUILD']),
    ('bin/sample', '', ['bin/BUILD']),
    ('tf_resflow/numerics/norms/power.py', 'import numpy',
     ['tf_resflow/numerics/BUILD']),
    ('tf_resflow/models/flow.py', '', ['BUILD', 'tf_resflow/models/BUILD']),
    ('tf_resflow/layers/BUILD', '', ['tf_resflow/layers/BUILD']),
    ('tf_resflow/numerics/norms/BUILD', '',
     ['tf_resflow/numerics/norms/BUILD']),
])
def test_what_differs_is_found_and_mended(tree, name, text, wrong):
  write(tree, name, text)
  assert build_files.update(tree, write=False) == wrong
  assert build_files.update(tree) == wrong
  assert not build_files.update(tree)


def test_unknown_packages_are_not_declared(tree):
  """They are asked of setup.py under the name of the import."""
  path = write(tree, 'a.py', 'import tensorflow_addons')
  assert build_files.dependencies([path], tree) == {'@pypi//tensorflow_addons'}
