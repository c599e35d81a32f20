"""Rules of the house that no linter knows, on the text of the files.

A rule yields complaints, each of which begins with its place.
"""

import ast
from collections.abc import Iterator
import functools
import pathlib
import re

import pytest

_ROOT = pathlib.Path(__file__).resolve().parent.parent

_MAX_LINES = 400
_PRIVATE_APIS = 'tf_resflow/private_apis.py'
_PRIVATE_TFP_APIS = 'tf_resflow/private_tfp_apis.py'
_CONFIGURATION = 'tf_resflow/configuration'
# Registries of what others named.
_NO_KINDS = {'dataset'}
# Bases that are no contract: what derives from them is no kind.
_NO_CONTRACTS = {'BaseLayer', 'Specified'}
_OLD_MESSAGES = re.compile(
    r'^\S+ is \{\}(;|, which|, but)|\b(must be|expected)\b.*\bgot\b|'
    r'\bgot \{\}')


def _files(root: pathlib.Path, *patterns: str) -> list[pathlib.Path]:
  """Returns files of Python, and the tools of bin/, which have no suffix."""
  return sorted(
      path for pattern in patterns for path in root.glob(pattern)
      if path.is_file() and path.suffix in ('', '.py') and path.name != 'BUILD')


def _nodes(root: pathlib.Path) -> Iterator[tuple[str, ast.AST]]:
  """Yields all that the package and the tools are made of, with its place."""
  for path in _files(root, 'tf_resflow/**/*.py', 'bin/*'):
    place = path.relative_to(root).as_posix()
    for node in _walk(path.read_text()):
      yield f'{place}:{getattr(node, "lineno", 0)}', node


@functools.cache
def _walk(text: str) -> list[ast.AST]:
  return list(ast.walk(ast.parse(text)))


def _last(node: ast.expr) -> str:
  return ast.unparse(node).rpartition('.')[2]


def files(root: pathlib.Path) -> Iterator[str]:
  """No file is long, or named after nothing."""
  for path in _files(root, 'tf_resflow/**/*.py', 'tests/**/*.py', 'bin/*'):
    num_lines = path.read_text().count('\n')
    if num_lines > _MAX_LINES:
      yield (f'{path.relative_to(root)}: {num_lines} lines, at most '
             f'{_MAX_LINES} are allowed; split it by idea.')
    if re.fullmatch(r'utils?|helpers?|common|misc', path.stem):
      yield f'{path.relative_to(root)}: name the file after what it holds.'


def private_names(root: pathlib.Path) -> Iterator[str]:
  """Nothing private of another package is used, not even an inherited one."""
  # Public, of named tuples and of os.
  own, used = {'_asdict', '_exit', '_fields', '_make', '_replace'}, []
  for place, node in _nodes(root):
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
      own.add(node.name)
    elif isinstance(node, ast.Name):
      own.add(node.id)
    elif isinstance(node, ast.ImportFrom):
      used += [(place, alias.name) for alias in node.names]
    elif isinstance(node, ast.Attribute):
      if isinstance(node.ctx, ast.Store) and _last(node.value) == 'self':
        own.add(node.attr)
      used.append((place, node.attr))
  for place, name in used:
    if (re.match('_(?!_)', name) and name not in own and
        not place.startswith((_PRIVATE_APIS, _PRIVATE_TFP_APIS))):
      yield (f'{place}: `{name}` is private to another package; use what is '
             f'public, or put it into {_PRIVATE_APIS} and say there why.')


def isinstance_over_kinds(root: pathlib.Path) -> Iterator[str]:
  """No kind is asked for: the classes answer by methods and attributes.

  A kind is a class that derives from another one of this package.
  """
  classes, foreign, asked = [], set(), []
  for place, node in _nodes(root):
    file = place.partition(':')[0]
    text = ast.unparse(getattr(node, 'func', getattr(node, 'left', node)))
    if isinstance(node, ast.ClassDef):
      classes.append((file, node))
    elif isinstance(node, ast.Import | ast.ImportFrom):
      module = getattr(node, 'module', None)
      foreign.update(
          (file, alias.asname or alias.name) for alias in node.names
          if not f'{module or alias.name}.'.startswith('tf_resflow.'))
    elif isinstance(node, ast.Call) and text in ('isinstance', 'issubclass'):
      asked.append((place, node.args[1]))
    elif isinstance(node, ast.Compare) and text.startswith('type('):
      asked.append((place, node.comparators[0]))
    elif isinstance(node, ast.MatchClass):
      asked.append((place, node.cls))

  def own(file, node):
    """Yields the names in an expression that are not another package's."""
    for part in ast.walk(node):
      if isinstance(part, ast.Attribute | ast.Name):
        if (file, ast.unparse(part).partition('.')[0]) not in foreign:
          yield _last(part)

  contracts = {node.name for _, node in classes} - _NO_CONTRACTS
  kinds = {node.name for file, node in classes for base in node.bases
           if contracts.intersection(own(file, base))}
  for place, node in asked:
    for name in kinds.intersection(own(place.partition(':')[0], node)):
      yield (f'{place}: asks for a `{name}`; let a method or an attribute of '
             'its base answer.')


def names_of_kinds(root: pathlib.Path) -> Iterator[str]:
  """No string is compared with a name that a registry holds."""
  names, compared = set(), []
  for place, node in _nodes(root):
    if isinstance(node, ast.Call) and _last(node.func) == 'Registry':
      if ast.literal_eval(node.args[0]) not in _NO_KINDS:
        names.update(ast.literal_eval(key) for key in node.args[1].keys)
    elif (isinstance(node, ast.Compare | ast.MatchValue) and
          not place.startswith(_CONFIGURATION)):
      compared += [(place, part.value) for part in ast.walk(node)
                   if isinstance(part, ast.Constant)]
  for place, value in compared:
    if value in names:
      yield (f'{place}: compares with `{value}`, the name of a kind; get the '
             'kind from its registry, and ask it.')


def type_hints(root: pathlib.Path) -> Iterator[str]:
  """Public functions and methods say the types of all that they take."""
  for place, node in _nodes(root):
    if not isinstance(node, ast.Module | ast.ClassDef):
      continue
    is_class = isinstance(node, ast.ClassDef)
    if is_class and node.name.startswith('_'):
      continue
    for function in node.body:
      if (not isinstance(function, ast.FunctionDef) or
          re.match('_(?!_init__|_call__)', function.name)):
        continue
      arguments = [*function.args.posonlyargs, *function.args.args]
      is_static = any(_last(d) == 'staticmethod'
                      for d in function.decorator_list)
      missing = [argument.arg for argument in [
          *arguments[is_class and not is_static:], *function.args.kwonlyargs]
                 if not argument.annotation]
      if not function.returns and function.name != '__init__':
        missing.append('return')
      if missing:
        yield (f'{place.partition(":")[0]}:{function.lineno}: '
               f'`{function.name}`: no type of {", ".join(missing)}.')


def messages(root: pathlib.Path) -> Iterator[str]:
  """Errors read `NAME=VALUE: expected WHAT. ADVICE`."""
  inner = set()
  for place, node in _nodes(root):
    if isinstance(node, ast.JoinedStr):
      inner.update(map(id, node.values))
      text = ''.join(part.value if isinstance(part, ast.Constant) else '{}'
                     for part in node.values)
    elif isinstance(node, ast.Constant) and id(node) not in inner:
      text = str(node.value)
    else:
      continue
    if _OLD_MESSAGES.search(text):
      yield f'{place}: `{text}`: say `NAME=VALUE: expected WHAT. ADVICE`.'


def raises(root: pathlib.Path) -> Iterator[str]:
  """Values are refused with the error of tf_resflow/errors.py."""
  for place, node in _nodes(root):
    if isinstance(node, ast.Raise) and node.exc and ast.unparse(
        node.exc).partition('(')[0] == 'ValueError':
      yield f'{place}: raises a ValueError; raise errors.InvalidValueError.'


def shadowed_names(root: pathlib.Path) -> Iterator[str]:
  """No room hands out what bears the name of one of its modules.

  Which of the two the name means would depend on what was imported before.
  """
  for path in _files(root, 'tf_resflow/**/__init__.py'):
    for node in _walk(path.read_text()):
      if isinstance(node, ast.keyword) and node.arg == 'submod_attrs':
        for name in sum(ast.literal_eval(node.value).values(), []):
          if (path.parent / name).exists() or (
              path.parent / f'{name}.py').exists():
            yield (f'{path.relative_to(root)}: `{name}` is the name of a '
                   'module, too; rename one of the two.')


def _test_of(path: pathlib.Path) -> pathlib.Path:
  """Returns the test of a module or a tool; both relative to the root."""
  folder = [part for part in path.parent.parts if part != 'tf_resflow']
  # bin/ starts the modules of commands.
  folder = ['commands' if part == 'bin' else part for part in folder]
  return pathlib.Path('tests', *folder, f'{path.stem}_test.py')


def _modules(root: pathlib.Path) -> dict[pathlib.Path, pathlib.Path]:
  return {path.relative_to(root): _test_of(path.relative_to(root))
          for path in _files(root, 'tf_resflow/**/*.py', 'bin/*')
          if path.stem not in ('__init__', '__main__')}


def untested_modules(root: pathlib.Path) -> Iterator[str]:
  """Every module and every tool has a test of its own."""
  for path, test in _modules(root).items():
    if not (root / test).exists():
      yield f'{path}: has no {test}.'


def strayed_tests(root: pathlib.Path) -> Iterator[str]:
  """Every test in the folder of a room is that of a module or of a sub-room."""
  expected = set(_modules(root).values()) | {
      _test_of(path.relative_to(root))
      for path in root.glob('tf_resflow/*/**/')}
  rooms = {path.parts[1] for path in expected if len(path.parts) > 2}
  for path in _files(root, 'tests/*/**/*_test.py'):
    test = path.relative_to(root)
    if test.parts[1] in rooms and test not in expected:
      yield (f'{test}: tests no module of that name; name it after one, or put '
             'it beside the rooms.')


_RULES = (files, isinstance_over_kinds, messages, names_of_kinds, private_names,
          raises, shadowed_names, strayed_tests, type_hints, untested_modules)


@pytest.mark.parametrize('rule', _RULES, ids=lambda rule: rule.__name__)
def test_house(rule):
  complaints = list(rule(_ROOT))
  assert not complaints, '\n' + '\n'.join(complaints)


# The rules, on small trees.

_FILES = {
    'tf_resflow/configuration/registries.py':
        'E = registry.Registry("estimator", {"exact": "m:E"})\n'
        'D = registry.Registry("dataset", {"digits": "m:D"})\n',
    'tf_resflow/layers/layer.py':
        'import keras\n'
        'class Layer(keras.layers.Layer):\n'
        '  def __init__(self, size: int, **kwargs):\n'
        '    self._size = size\n'
        '    raise errors.InvalidValueError("size", size, "one")\n'
        'class Dense(Layer):\n  pass\n',
    'tests/configuration/registries_test.py': '',
    'tests/layers/layer_test.py': '',
}


@pytest.fixture(name='tree')
def tree_fixture(tmp_path):
  for name, text in _FILES.items():
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(text)
  return tmp_path


def test_right_tree(tree):
  for rule in _RULES:
    assert not list(rule(tree))


_LAYER = 'tf_resflow/layers/layer.py'


@pytest.mark.parametrize('rule, name, text, fragment', [
    (files, _LAYER, 'x = 1\n' * 401, '401 lines'),
    (files, 'bin/train', 'x = 1\n' * 401, '401 lines'),
    (files, 'tests/utils.py', '', 'after what it holds'),
    (private_names, _LAYER, 'layer._flatten()', '`_flatten`'),
    (private_names, _LAYER, 'x = self._tracker', '`_tracker`'),
    (private_names, _LAYER, 'f._no_warning = True', '`_no_warning`'),
    (private_names, _LAYER, 'from tfp import _Chain', '`_Chain`'),
    (isinstance_over_kinds, _LAYER,
     'match x:\n  case Dense():\n    pass', '`Dense`'),
    (isinstance_over_kinds, _LAYER, 'isinstance(x, layer.Dense)', '`Dense`'),
    (isinstance_over_kinds, _LAYER, 'isinstance(x, (int, Dense))', '`Dense`'),
    (isinstance_over_kinds, _LAYER, 'type(x) is Dense', '`Dense`'),
    (names_of_kinds, _LAYER,
     'match x:\n  case "exact":\n    pass', '`exact`'),
    (names_of_kinds, _LAYER, 'x == "exact"', '`exact`'),
    (names_of_kinds, 'bin/train', 'x in ("a", "exact")', '`exact`'),
    (type_hints, _LAYER, 'def f(x: int, y, *, z) -> int:\n  pass', 'of y, z.'),
    (type_hints, _LAYER, 'def f():\n  pass', '`f`: no type of return'),
    (type_hints, _LAYER, 'class C:\n  def call(self, x):\n    pass', 'x, ret'),
    (type_hints, _LAYER, 'class C:\n  def __init__(self, x):\n    pass', 'x.'),
    (messages, _LAYER, 'f"{x} is {y}; it must be 1 "', 'is {}; it'),
    (messages, _LAYER, 'f"x must be 1 or "\nf"more, got {y}"', 'got {}'),
    (messages, _LAYER, '"{} is {}, which is odd".format(x, y)', 'is {}, '),
    (raises, _LAYER, 'raise ValueError(f"{x}")', 'ValueError'),
    (shadowed_names, 'tf_resflow/layers/__init__.py',
     'attach(__name__, submod_attrs={"layer": ["Layer", "layer"]})', '`layer`'),
    (untested_modules, 'tf_resflow/layers/norms/power.py', '',
     'has no tests/layers/norms/power_test.py'),
    (untested_modules, 'bin/train', '', 'has no tests/commands/train_test.py'),
    (strayed_tests, 'tests/layers/seeds_test.py', '', 'seeds_test.py'),
])
def test_wrong_tree(tree, rule, name, text, fragment):
  path = tree / name
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text((_FILES.get(name, '') if rule is not files else '') + text)
  complaints = list(rule(tree))
  assert len(complaints) == 1 and fragment in complaints[0], complaints


@pytest.mark.parametrize('name, text', [
    (_LAYER, 'x = 1\n' * 390),
    (_LAYER, 'x = self._size, self.__dict__, t._replace(a=1)'),
    (_PRIVATE_APIS, 'x = layer._flatten()'),
    (_LAYER, 'isinstance(x, Layer)'),
    (_LAYER, 'isinstance(x, keras.layers.Dense)'),
    (_LAYER, 'x == "digits"'),
    (_LAYER, 'def f(x: int, *args, **kwargs) -> int:\n  return lambda y: y'),
    (_LAYER, 'def _f(x):\n  pass'),
    (_LAYER, 'class _C:\n  def f(self):\n    pass'),
    (_LAYER, 'raise errors.InvalidValueError("x", x, "one of {a, b}")'),
    ('tests/conformance/seeds_test.py', ''),
    ('tests/layers_test.py', ''),
])
def test_what_rules_allow(tree, name, text):
  path = tree / name
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(_FILES.get(name, '') + text)
  for rule in _RULES:
    if (rule, name) != (untested_modules, _PRIVATE_APIS):
      assert not list(rule(tree))
