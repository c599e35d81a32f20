"""setup.py declares every package that is imported, and the one version."""

import ast
import pathlib
import re
import runpy
import sys

import pytest
import setuptools

import tf_resflow

_ROOT = pathlib.Path(__file__).resolve().parent.parent
_OURS = {'docs', 'tests', 'tf_resflow'}
# Distributions that are called otherwise than what is imported.
_DISTRIBUTIONS = {
    'absl': 'absl_py',
    'griffe': 'griffelib',
    'PIL': 'pillow',
    'sklearn': 'scikit_learn',
    'tensorflow_serving': 'tensorflow_serving_api',
}


def imported():
  """Returns the top-level packages of all imports, wherever in the files.

  What studies run beside flows (`programs`) has environments of its own.
  """
  files = [path for folder in _OURS
           for path in (_ROOT / folder).rglob('*.py')
           if path.parent.name != 'programs']
  files += [path for path in (_ROOT / 'bin').iterdir() if path.is_file()]
  names = set()
  for path in files:
    for node in ast.walk(ast.parse(path.read_text(), filename=str(path))):
      if isinstance(node, ast.Import):
        names.update(alias.name for alias in node.names)
      elif isinstance(node, ast.ImportFrom):
        names.add(node.module)
  return {name.partition('.')[0] for name in names}


@pytest.fixture
def arguments(monkeypatch):
  """Those of the call in setup.py."""
  found = {}
  monkeypatch.setattr(setuptools, 'setup', found.update)
  runpy.run_path(str(_ROOT / 'setup.py'))
  return found


def test_setup_declares_every_import(arguments):
  declared = {
      re.match(r'[\w-]+', requirement)[0].replace('-', '_')
      for requirements in (arguments['install_requires'],
                           *arguments['extras_require'].values())
      for requirement in requirements}
  needed = imported() - _OURS - sys.stdlib_module_names
  assert {'keras', 'sklearn'} <= needed
  # setuptools builds the package.
  missing = {_DISTRIBUTIONS.get(name, name) for name in needed} - declared - {
      'setuptools'}
  assert not missing, f'{sorted(missing)}: declare it in setup.py.'


def test_the_version_and_its_date_agree(arguments):
  newest = re.search(r'^## \[(\d.*)\] - (.*)$', (
      _ROOT / 'CHANGELOG.md').read_text(), re.MULTILINE)
  citation = dict(re.findall(r'^([\w-]+): (.+)$', (
      _ROOT / 'CITATION.cff').read_text(), re.MULTILINE))
  assert newest.groups() == (citation['version'], citation['date-released'])
  assert newest[1] == arguments['version'] == tf_resflow.__version__
