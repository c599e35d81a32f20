"""Rules of the architecture that no linter knows, on the text of the files.

A rule yields complaints, each of which begins with its place.
"""

import ast
from collections.abc import Iterator
import functools
import pathlib
import re

import pytest

_ROOT = pathlib.Path(__file__).resolve().parent.parent

_PRIVATE_APIS = 'tf_resflow/private_'
# Private by their spelling alone: of named tuples and of os.
_PUBLIC = {'_asdict', '_exit', '_fields', '_make', '_replace'}
# Bases that are no contract: what derives from them is no implementation.
_NO_CONTRACTS = {'BaseLayer', 'Specified'}


def _files(*patterns: str) -> list[pathlib.Path]:
  """Returns files of Python, and the tools of bin/, which have no suffix."""
  paths = {path for pattern in patterns for path in _ROOT.glob(pattern)}
  return sorted(path.relative_to(_ROOT) for path in paths if path.is_file())


@functools.cache
def _nodes() -> list[tuple[str, int, ast.AST]]:
  """Returns all syntax nodes of the package and the tools: file, line, node."""
  return [(file.as_posix(), getattr(node, 'lineno', 0), node)
          for file in _files('tf_resflow/**/*.py', 'bin/*')
          for node in ast.walk(ast.parse((_ROOT / file).read_text()))]


def _last(node: ast.expr) -> str:
  return ast.unparse(node).rpartition('.')[2]


def private_names() -> Iterator[str]:
  """Nothing private of another package is used, not even an inherited one."""
  own, used = set(_PUBLIC), []
  for file, line, node in _nodes():
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
      own.add(node.name)
    elif isinstance(node, ast.Name):
      own.add(node.id)
    elif isinstance(node, ast.ImportFrom):
      used += [(file, line, alias.name) for alias in node.names]
    elif isinstance(node, ast.Attribute):
      if isinstance(node.ctx, ast.Store) and _last(node.value) == 'self':
        own.add(node.attr)
      used.append((file, line, node.attr))
  for file, line, name in used:
    if (re.match('_(?!_)', name) and name not in own and
        not file.startswith(_PRIVATE_APIS)):
      yield (f'{file}:{line}: `{name}` is private to another package; use what '
             f'is public, or put it into {_PRIVATE_APIS}*.py and say why.')


def isinstance_over_own_types() -> Iterator[str]:
  """No type is asked for that derives from another one of this package.

  The classes answer by methods and attributes.
  """
  classes, foreign, asked = [], set(), []
  for file, line, node in _nodes():
    text = ast.unparse(getattr(node, 'func', getattr(node, 'left', node)))
    if isinstance(node, ast.ClassDef):
      classes.append((file, node))
    elif isinstance(node, ast.Import | ast.ImportFrom):
      module = getattr(node, 'module', None)
      foreign.update(
          (file, alias.asname or alias.name) for alias in node.names
          if not f'{module or alias.name}.'.startswith('tf_resflow.'))
    elif isinstance(node, ast.Call) and text in ('isinstance', 'issubclass'):
      asked.append((file, line, node.args[1]))
    elif isinstance(node, ast.Compare) and text.startswith('type('):
      asked.append((file, line, node.comparators[0]))
    elif isinstance(node, ast.MatchClass):
      asked.append((file, line, node.cls))

  def own(file, node):
    """Returns the names in an expression that are not another package's."""
    return {_last(part) for part in ast.walk(node)
            if isinstance(part, ast.Attribute | ast.Name) and
            (file, ast.unparse(part).partition('.')[0]) not in foreign}

  contracts = {node.name for _, node in classes} - _NO_CONTRACTS
  types = {node.name for file, node in classes for base in node.bases
           if contracts & own(file, base)}
  for file, line, node in asked:
    for name in types & own(file, node):
      yield (f'{file}:{line}: asks for a `{name}`; let a method or an '
             'attribute of its base answer.')


def registered_names() -> Iterator[str]:
  """No string is compared with a name that a registry holds.

  Names of data sets are other people's.
  """
  names, compared = set(), []
  for file, line, node in _nodes():
    if isinstance(node, ast.Call) and _last(node.func) == 'Registry' and (
        isinstance(node.args[1], ast.Dict)):
      names.update(ast.literal_eval(key) for key in node.args[1].keys)
    elif (isinstance(node, ast.Compare | ast.MatchValue) and
          not file.startswith('tf_resflow/specs/')):
      compared += [(file, line, part.value) for part in ast.walk(node)
                   if isinstance(part, ast.Constant)]
  for file, line, value in compared:
    if value in names:
      yield (f'{file}:{line}: compares with `{value}`, a name in a registry; '
             'get what it names from there, and ask that.')


def mirrored_tests() -> Iterator[str]:
  """Every module and tool has a test, and every test of a package is one.

  What studies run beside flows (`programs`) are no modules.
  """

  def test_of(path):
    # bin/ starts the modules of commands.
    folder = ['commands' if part == 'bin' else part for part in
              path.parent.parts if part != 'tf_resflow']
    return pathlib.Path('tests', *folder, f'{path.stem}_test.py')

  tests = {test_of(file): file for file in _files('tf_resflow/**/*.py', 'bin/*')
           if file.stem not in ('__init__', '__main__')
           and 'programs' not in file.parts}
  for test, file in tests.items():
    if not (_ROOT / test).exists():
      yield f'{file}: has no {test}.'
  packages = [path.relative_to(_ROOT) for path in _ROOT.glob('tf_resflow/**/')]
  # A test may be that of a package, too.
  expected = tests.keys() | {test_of(path) for path in packages}
  for test in _files('tests/*/**/*_test.py'):
    if (pathlib.Path('tf_resflow', test.parts[1]) in packages and
        test not in expected):
      yield (f'{test}: tests no module of that name; name it after one, or put '
             'it into tests/.')


@pytest.mark.parametrize('rule', [
    isinstance_over_own_types, mirrored_tests, private_names,
    registered_names], ids=lambda rule: rule.__name__)
def test_architecture(rule):
  complaints = list(rule())
  assert not complaints, '\n' + '\n'.join(complaints)
