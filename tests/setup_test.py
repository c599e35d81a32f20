"""setup.py declares every package that is imported."""

import ast
import pathlib
import re
import runpy
import sys

import setuptools

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


def test_setup_declares_every_import(monkeypatch):
  arguments = {}
  monkeypatch.setattr(setuptools, 'setup', arguments.update)
  runpy.run_path(str(_ROOT / 'setup.py'))
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
