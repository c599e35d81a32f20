"""Reads BUILD and the real imports, and says where the two disagree.

BUILD is Starlark, whose expressions are Python's: `load_build` refuses what
Starlark lacks, then evaluates it with the build rules replaced by recorders.
Every `check_*` function returns complaints, each with the text that mends it.
"""

import ast
import collections
import pathlib
import sys
from typing import Any, NamedTuple

_BELOW_TOOLS = ('numerics', 'layers', 'bijectors', 'models')

# Which rooms a room may import.
ALLOWED_ROOMS = {
  'numerics': (),
  'layers': ('numerics',),
  'bijectors': ('numerics', 'layers'),
  'models': ('numerics', 'layers', 'bijectors'),
  'datasets': (),
  'evaluation': (*_BELOW_TOOLS, 'datasets'),
  'training': (*_BELOW_TOOLS, 'datasets'),
  'serving': (*_BELOW_TOOLS, 'datasets'),
  'conversion': (*_BELOW_TOOLS, 'datasets', 'training'),
  'benchmarking': (*_BELOW_TOOLS, 'evaluation', 'training'),
}

# Import name -> the distributions it needs. TFP's `tf` extra, which pulls in
# tf_keras, does not survive in Bazel's lock file, so it is named here.
DISTRIBUTIONS = {
  'absl': ('absl-py',),
  'keras': ('keras',),
  'matplotlib': ('matplotlib',),
  'mlxtend': ('mlxtend',),
  'numpy': ('numpy',),
  'pytest': ('pytest',),
  'scipy': ('scipy',),
  'setuptools': ('setuptools',),
  'sklearn': ('scikit-learn',),
  'tensorboard': ('tensorboard',),
  'tensorflow': ('tensorflow',),
  'tensorflow_datasets': ('tensorflow-datasets',),
  'tensorflow_probability': ('tensorflow-probability', 'tf-keras'),
  'tensorflow_serving': ('tensorflow-serving-api',),
}

_STARLARK_BUILTINS = {
  f.__name__: f for f in (bool, dict, enumerate, int, len, list, range, sorted,
                          str, tuple, zip)
}
_NOT_IN_BUILD = (
  ast.AsyncFunctionDef, ast.Await, ast.ClassDef, ast.Delete, ast.For,
  ast.FunctionDef, ast.GeneratorExp, ast.Global, ast.If, ast.Import,
  ast.ImportFrom, ast.JoinedStr, ast.Lambda, ast.NamedExpr, ast.Raise,
  ast.Set, ast.SetComp, ast.Try, ast.While, ast.With, ast.Yield,
)


class Rule(NamedTuple):
  """One target of BUILD: the rule's kind, and its attributes by name."""

  kind: str
  attributes: dict[str, Any]

  @property
  def name(self) -> str:
    """The target's name."""
    return self.attributes['name']

  def get(self, attribute: str) -> Any:
    """The attribute's value, or an empty list."""
    return self.attributes.get(attribute, [])


class BuildError(ValueError):
  """BUILD cannot be read."""


def load_build(text: str, root: pathlib.Path) -> list[Rule]:
  """Evaluates the text of a BUILD file.

  Args:
    text: the contents of the BUILD file.
    root: the folder that `glob` searches.

  Returns:
    The rules in the order in which they are made.

  Raises:
    BuildError: the text is no BUILD file.
  """
  try:
    tree = ast.parse(text, filename='BUILD')
  except SyntaxError as error:
    raise BuildError(f'BUILD:{error.lineno}: {error.msg}') from error
  for node in ast.walk(tree):
    name = getattr(node, 'attr', getattr(node, 'id', ''))
    if isinstance(node, _NOT_IN_BUILD) or name.startswith('__'):
      raise BuildError(
        f'BUILD:{node.lineno}: {type(node).__name__} is not allowed in a '
        'BUILD file; use assignments, calls and list comprehensions.')

  rules = []

  def recorder(kind):
    return lambda **attributes: rules.append(Rule(kind, attributes))

  def glob(include, exclude=(), allow_empty=False):
    del allow_empty  # A room may be added before its first file.
    found = {path for pattern in include for path in root.glob(pattern)}
    found -= {path for pattern in exclude for path in root.glob(pattern)}
    return sorted(
      path.relative_to(root).as_posix() for path in found if path.is_file())

  scope = {
    '__builtins__': _STARLARK_BUILTINS,
    'filegroup': lambda **kwargs: None,
    'glob': glob,
    'load': lambda *args: None,
    'package': lambda **kwargs: None,
  }
  for kind in ('genrule', 'py_binary', 'py_library', 'py_test'):
    scope[kind] = recorder(kind)
  try:
    exec(compile(tree, 'BUILD', 'exec'), scope)  # Vetted above.
  except Exception as error:
    raise BuildError(f'BUILD: {type(error).__name__}: {error}') from error
  return rules


def imported_labels(path: pathlib.Path, root: pathlib.Path):
  """Collects what a Python file imports, wherever in the file.

  Args:
    path: the file.
    root: the repository's root folder.

  Returns:
    A pair: the set of Bazel labels that the file needs, and a list of
    complaints about imports that have no label.
  """
  labels, complaints = set(), []
  where = path.relative_to(root).as_posix()
  for node in ast.walk(ast.parse(path.read_text(), filename=where)):
    if isinstance(node, ast.Import):
      modules = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and node.level:
      complaints.append(f'{where}:{node.lineno}: relative import; write '
                        '`from tf_resflow.ROOM import MODULE`.')
      continue
    elif isinstance(node, ast.ImportFrom):
      modules = [f'{node.module}.{alias.name}' for alias in node.names]
    else:
      continue
    for module in modules:
      package, _, rest = module.partition('.')
      if package == 'tf_resflow':
        room = rest.partition('.')[0]
        is_room = room in ALLOWED_ROOMS or (root / package / room).is_dir()
        labels.add(f':{room}' if room and is_room else ':tf_resflow')
      elif package == 'tests':
        labels.add(':testing')
      elif package in DISTRIBUTIONS:
        labels.update(
          '@pypi//' + name.replace('-', '_') for name in DISTRIBUTIONS[package])
      elif package not in sys.stdlib_module_names:
        complaints.append(
          f'{where}:{node.lineno}: unknown package `{package}`; add it to '
          'DISTRIBUTIONS in tests/build_rules.py and to setup.py.')
  return labels, complaints


def needed_labels(paths, root: pathlib.Path, own: str = ''):
  """`imported_labels` of several files together, sorted as in BUILD."""
  labels, complaints = set(), []
  for path in paths:
    more, new = imported_labels(path, root)
    labels |= more
    complaints += new
  labels.discard(own)
  return sorted(labels), complaints


def _listing(labels) -> str:
  """A list of strings as it is written in BUILD."""
  return '[' + ', '.join(f'"{label}"' for label in labels) + ']'


def _deps_complaints(rule, needed):
  if sorted(rule.get('deps')) == list(needed):
    return []
  missing = [label for label in needed if label not in rule.get('deps')]
  surplus = [label for label in rule.get('deps') if label not in needed]
  return [f'BUILD: {rule.kind} "{rule.name}": missing deps '
          f'{_listing(missing)}, surplus deps {_listing(surplus)}; it must '
          f'read: deps = {_listing(needed)}']


def _srcs_complaints(rule, expected):
  if sorted(rule.get('srcs')) == expected:
    return []
  return [f'BUILD: {rule.kind} "{rule.name}": srcs must hold exactly: '
          f'srcs = {_listing(expected)}']


def _library_complaints(rules, name, glob, files, root):
  """Holds one py_library against its files; `glob` is said when it lacks."""
  deps, complaints = needed_labels(files, root, own=f':{name}')
  library = rules.get(('py_library', name))
  if library is None:
    return complaints + [
      f'BUILD: no py_library "{name}"; add: py_library(name = "{name}", '
      f'srcs = glob({glob}), imports = ["."], deps = {_listing(deps)})']
  expected = [path.relative_to(root).as_posix() for path in files]
  return (complaints + _srcs_complaints(library, expected)
          + _deps_complaints(library, deps))


def _test_complaints(rules, root):
  """Holds the py_test rules against the test files, one to one."""
  complaints = []
  targets = collections.defaultdict(list)
  for (kind, _), rule in rules.items():
    if kind == 'py_test':
      for source in rule.get('srcs'):
        if source.endswith('_test.py'):
          targets[source].append(rule)
  folders = collections.defaultdict(list)
  for path in sorted(root.glob('tests/**/*_test.py')):
    folders[path.parent].append(path)
  for folder, paths in folders.items():
    # Tests of one room share one line of deps; every test needs the runner.
    deps, new = needed_labels(paths, root)
    deps = sorted({*deps, ':testing'})
    complaints += new
    line = f'"{folder.relative_to(root).as_posix()}": {_listing(deps)},'
    wrong_deps = set()
    for path in paths:
      name = path.relative_to(root).as_posix()
      rules_of_file = targets.pop(name, [])
      if len(rules_of_file) != 1:
        complaints.append(
          f'BUILD: {len(rules_of_file)} py_test rules for {name}, expected 1; '
          f'TEST_DEPS must hold once: {line}')
        continue
      (rule,) = rules_of_file
      wrong_deps |= set(rule.get('deps')) ^ set(deps)
      if rule.get('main') != 'tests/bazel_main.py' or not any(
          name in argument for argument in rule.get('args')):
        complaints.append(
          f'BUILD: py_test "{rule.name}" runs no test; write '
          f'main = "tests/bazel_main.py", args = ["$(rootpath {name})"].')
    if wrong_deps:
      complaints.append(f'BUILD: TEST_DEPS disagree with the imports about '
                        f'{_listing(sorted(wrong_deps))}; it must read: {line}')
  complaints += [f'BUILD: py_test for {name}, which does not exist; remove it.'
                 for name in sorted(targets)]
  return complaints


def bin_scripts(root: pathlib.Path) -> list[pathlib.Path]:
  """The command-line tools: the files of bin/ without a suffix."""
  return sorted(path for path in root.glob('bin/*')
                if path.is_file() and not path.suffix)


def _binary_complaints(rules, root):
  """Holds the py_binary rules against the tools in bin/, one to one."""
  complaints = []
  binaries = {name for kind, name in rules if kind == 'py_binary'}
  for script in bin_scripts(root):
    deps, new = needed_labels([script], root)
    complaints += new
    if script.name in binaries:
      complaints += _deps_complaints(rules['py_binary', script.name], deps)
    else:
      complaints.append(f'BUILD: no py_binary for bin/{script.name}; BIN_DEPS '
                        f'lacks: "{script.name}": {_listing(deps)},')
  for name in sorted(binaries - {script.name for script in bin_scripts(root)}):
    complaints.append(
      f'BUILD: py_binary "{name}", but no bin/{name}; remove it.')
  return complaints


def _order_complaints(rules):
  """Holds the rooms' deps against the one-way order."""
  complaints = []
  for room, allowed in ALLOWED_ROOMS.items():
    rule = rules.get(('py_library', room))
    for label in rule.get('deps') if rule else ():
      target = label.removeprefix(':')
      if not label.startswith('@') and target not in allowed:
        may = ', '.join(allowed) or 'no other room'
        complaints.append(f'BUILD: "{room}" depends on "{target}", but may '
                          f'import {may}; move the code or pass it in.')
  return complaints


def check_build(text: str, root: pathlib.Path) -> list[str]:
  """Holds a BUILD text against the tree.

  Args:
    text: the contents of the BUILD file.
    root: the repository's root folder.

  Returns:
    Complaints, empty when BUILD states exactly what the files import. A room
    that BUILD names and that has no file yet is not compared.

  Raises:
    BuildError: the text is no BUILD file.
  """
  complaints = []
  rules = {}
  for rule in load_build(text, root):
    if (rule.kind, rule.name) in rules:
      complaints.append(f'BUILD: two targets "{rule.name}"; rename one.')
    rules[rule.kind, rule.name] = rule

  for room in ALLOWED_ROOMS:
    files = sorted(root.glob(f'tf_resflow/{room}/**/*.py'))
    if files:
      complaints += _library_complaints(
        rules, room, f'["tf_resflow/{room}/**/*.py"]', files, root)
  surface = sorted(root.glob('tf_resflow/*.py'))
  if surface:
    complaints += _library_complaints(
      rules, 'tf_resflow', '["tf_resflow/*.py"]', surface, root)
  support = sorted(path for path in root.glob('tests/**/*.py')
                   if not path.name.endswith('_test.py'))
  if support:
    complaints += _library_complaints(
      rules, 'testing', '["tests/**/*.py"], exclude = ["tests/**/*_test.py"]',
      support, root)

  return (complaints + _order_complaints(rules) + _test_complaints(rules, root)
          + _binary_complaints(rules, root))
