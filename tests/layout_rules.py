"""Checks the rules of the tree that a linter does not know.

Every `check_*` function returns complaints, each saying what to do.
"""

import ast
import pathlib

from tests import build_rules

MAX_LINES = 400
FLAGS_READERS = 'tf_resflow/commands/'


def check_layout(root: pathlib.Path) -> list[str]:
  """Checks rooms, names, lengths, docstrings and the reading of flags.

  Args:
    root: the repository's root folder.

  Returns:
    Complaints, empty when the tree keeps the rules.
  """
  complaints = []
  rooms = {path.relative_to(root).parts[1]
           for path in root.glob('tf_resflow/*/**/*.py')}
  for room in sorted(rooms - set(build_rules.ALLOWED_ROOMS)):
    complaints.append(
      f'tf_resflow/{room}: unknown room; add it to ALLOWED_ROOMS in '
      'tests/build_rules.py or move its files.')
  package = sorted(root.glob('tf_resflow/**/*.py'))
  tests = sorted(root.glob('tests/**/*.py'))
  for path in [*package, *tests, *build_rules.bin_scripts(root)]:
    complaints += _file_complaints(path, path.relative_to(root).as_posix())
  for path in package:
    where = path.relative_to(root).as_posix()
    tree = ast.parse(path.read_text(), filename=where)
    complaints += _docstring_complaints(tree, where)
    if not where.startswith(FLAGS_READERS):
      complaints += _flags_complaints(tree, where)
  return complaints


def _file_complaints(path, where):
  complaints = []
  num_lines = len(path.read_text().splitlines())
  if num_lines > MAX_LINES:
    complaints.append(f'{where}: {num_lines} lines, at most {MAX_LINES} are '
                      'allowed; split it by idea.')
  if path.name in ('utils.py', 'util.py', 'helpers.py'):
    complaints.append(f'{where}: name the file after what it holds.')
  return complaints


def _docstring_complaints(tree, where):
  kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
  complaints = []
  if not ast.get_docstring(tree):
    complaints.append(f'{where}: the module has no docstring; add one.')
  for node in tree.body:
    if (isinstance(node, kinds) and not node.name.startswith('_')
        and not ast.get_docstring(node)):
      complaints.append(
        f'{where}:{node.lineno}: `{node.name}` has no docstring; add one.')
  return complaints


def _flags_complaints(tree, where):
  """Finds `flags.FLAGS` and `from absl.flags import FLAGS`."""
  complaints = []
  for node in ast.walk(tree):
    reads = isinstance(node, ast.Attribute) and node.attr == 'FLAGS'
    if isinstance(node, ast.ImportFrom) and node.module == 'absl.flags':
      reads = any(alias.name in ('FLAGS', '*') for alias in node.names)
    if reads:
      complaints.append(f'{where}:{node.lineno}: reads FLAGS; only '
                        f'{FLAGS_READERS} may, so pass the value in.')
  return complaints


def check_requirements(setup_text: str, root: pathlib.Path) -> list[str]:
  """Holds the imports of the package and the tools against setup.py.

  Args:
    setup_text: the contents of setup.py, with the literals INSTALL_REQUIRES
      and EXTRAS_REQUIRE.
    root: the repository's root folder.

  Returns:
    Complaints, empty when every third-party package is declared.
  """
  declared = _declared_distributions(setup_text)
  needed = {}
  for path in [*sorted(root.glob('tf_resflow/**/*.py')),
               *build_rules.bin_scripts(root)]:
    labels, _ = build_rules.imported_labels(path, root)
    for label in labels:
      if label.startswith('@pypi//'):
        name = label.removeprefix('@pypi//').replace('_', '-')
        needed.setdefault(name, path.relative_to(root).as_posix())
  # tf-keras comes with the `tf` extra of TFP.
  needed.pop('tf-keras', None)
  return [f'setup.py: `{name}`, imported by {where}, is not declared; add it '
          'to INSTALL_REQUIRES or to an extra.'
          for name, where in sorted(needed.items()) if name not in declared]


def _declared_distributions(setup_text):
  """Names of all distributions in setup.py, without extras and versions."""
  declared = set()
  for node in ast.parse(setup_text, filename='setup.py').body:
    if not isinstance(node, ast.Assign):
      continue
    (target,) = node.targets
    value = ast.literal_eval(node.value)
    if target.id == 'INSTALL_REQUIRES':
      groups = [value]
    elif target.id == 'EXTRAS_REQUIRE':
      groups = value.values()
    else:
      continue
    for group in groups:
      for requirement in group:
        for separator in '[<>=!~; ':
          requirement = requirement.partition(separator)[0]
        declared.add(requirement.lower().replace('_', '-'))
  return declared
