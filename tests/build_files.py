"""Writes the BUILD files: every dependency in them is an import.

    python -m tests.build_files

One stands in every room of tf_resflow/ and of tests/, in the folders above
them, and in bin/. Nobody edits them; `build_files_test.py` fails where they are
not what this writes. Modules that `lazy_loader` attaches count as imported;
those that a registry names do not, since they lie above it.
"""

import ast
from collections.abc import Iterable
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

# Where distributions are not called as what is imported. The extra of TFP that
# brings tf_keras does not survive in Bazel's lock file.
DISTRIBUTIONS = {
    'absl': ('absl_py',),
    'PIL': ('pillow',),
    'importlinter': ('import_linter',),
    'sklearn': ('scikit_learn',),
    'tensorflow_probability': ('tensorflow_probability', 'tf_keras'),
    'tensorflow_serving': ('tensorflow_serving_api',),
}

# Folders whose tests read files of the repository, or start its tools.
_READS_FILES = re.compile(r'__file__|import documents|\bROOT\b')
# What the rules are loaded from.
_DEFINITIONS = {
    'py_binary': '@rules_python//python:defs.bzl',
    'py_library': '@rules_python//python:defs.bzl',
    'tests': '//tests:tests.bzl',
}
_TOP_FILES = """glob([
        "*.*",
        ".ci/*",
        "docs/**",
    ])"""


def _target(name: str, root: pathlib.Path) -> str:
  """Returns the target that holds the module of a dotted name of ours."""
  top, part = f'{name}.'.split('.')[:2]
  if part and (root / top / part).is_dir():
    return f'//{top}/{part}'
  # The modules beside the rooms lie below them, and `__init__` above.
  if (top == 'tf_resflow' and part != '__init__' and
      (root / top / f'{part}.py').exists()):
    return f'//{top}:{part}'
  return f'//{top}'


def dependencies(paths: Iterable[pathlib.Path], root: pathlib.Path) -> set[str]:
  """Returns the targets that files import, wherever in the files."""
  names, targets = set(), set()
  for path in paths:
    package = '.'.join(path.relative_to(root).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(), filename=str(path))):
      if isinstance(node, ast.Import):
        names.update(alias.name for alias in node.names)
      elif isinstance(node, ast.ImportFrom):
        names.update(f'{node.module}.{alias.name}' for alias in node.names)
      elif isinstance(node, ast.Call) and ast.unparse(
          node.func) == 'lazy_loader.attach':
        names.update(f'{package}.{module}' for keyword in node.keywords
                     for module in ast.literal_eval(keyword.value))
  for name in names:
    top = name.partition('.')[0]
    if top in ('tf_resflow', 'tests'):
      targets.add(_target(name, root))
    elif top not in sys.stdlib_module_names:
      targets.update(f'@pypi//{d}' for d in DISTRIBUTIONS.get(top, (top,)))
  return targets


def _rule(kind: str, **attributes: str | list[str] | set[str]) -> str:
  """Returns a rule, formatted as Buildifier formats it."""
  lines = []
  for name, value in attributes.items():
    if not value:
      continue
    if isinstance(value, set):
      value = sorted(value, key=lambda label: (
          label[0] == '@', label.replace(':', '!')))
    if isinstance(value, list):
      items = ''.join(f'        "{item}",\n' for item in value)
      value = f'[\n{items}    ]' if value[1:] else f'[{items.strip()[:-1]}]'
    elif not value.startswith('glob(') and value != 'True':
      value = f'"{value}"'
    lines.append(f'    {name} = {value},\n')
  return f'{kind}(\n{"".join(lines)})\n'


def _library(target, srcs, paths, root, data=()):
  folder, _, name = target.partition(':')
  return _rule(
      'py_library', name=name or folder.split('/')[-1], srcs=srcs, data=data,
      imports=['/'.join('..' for _ in folder[2:].split('/'))],
      deps=dependencies(paths, root) - {target})


def _package(folder, root):
  """A library for each module of tf_resflow/ itself."""
  return [_library(_target(f'tf_resflow.{path.stem}', root), [path.name],
                   [path], root) for path in sorted(folder.glob('*.py'))]


def _room(folder, root):
  has_data = any(path.is_file() and path.suffix not in ('', '.py', '.pyc')
                 for path in folder.rglob('*'))
  return [_library(f'//tf_resflow/{folder.name}', 'glob(["**/*.py"])',
                   folder.rglob('*.py'), root,
                   data=[':files'] if has_data else [])]


def _tests(folder, root):
  """What `tests.bzl` makes a library and a target for each test of."""
  target = '//' + folder.relative_to(root).as_posix()
  paths = set(folder.glob('**/*.py' if target != '//tests' else '*.py'))
  tests = {path for path in paths if path.name.endswith('_test.py')}
  read_files = any(_READS_FILES.search(path.read_text()) for path in paths)
  return [_rule(
      'tests', name=folder.name, data=['//:tree'] if read_files else [],
      deps=dependencies(paths - tests, root) - {target},
      test_deps=dependencies(tests, root) | {target, '//tests'})]


def _tools(folder, root):
  """bin/train is //bin:train_tool: Bazel wants the name train for the file."""
  rules = []
  for path in sorted(folder.glob('*')):
    if path.is_file() and not path.suffix and path.name != 'BUILD':
      copy = f'{path.name}.py'  # py_binary takes no file without the suffix.
      rules += [
          _rule('genrule', name=f'{path.name}_py', srcs=[path.name],
                outs=[copy], cmd='cp $< $@'),
          _rule('py_binary', name=f'{path.name}_tool', srcs=[copy],
                data=[':files'], main=copy, deps=dependencies([path], root))]
  return rules


def _text(rules):
  kinds = {rule.partition('(')[0] for rule in rules}
  loads = ''
  for file in sorted({_DEFINITIONS[kind] for kind in kinds & {*_DEFINITIONS}}):
    names = ''.join(f', "{kind}"' for kind in sorted(kinds)
                    if _DEFINITIONS.get(kind) == file)
    loads += f'load("{file}"{names})\n'
  # The tests' targets are visible by themselves.
  package = ('' if 'tests' in kinds else
             'package(default_visibility = ["//visibility:public"])\n')
  return '\n'.join([
      '"""Written by `python -m tests.build_files`: do not edit."""\n',
      *filter(None, [loads, package]), *rules])


def build_files(root: pathlib.Path = ROOT) -> dict[str, str]:
  """Returns the text of every BUILD file of a tree, by its path."""
  rules = {'bin': _tools(root / 'bin', root),
           'tests': ['exports_files(["bazel_main.py"])\n',
                     *_tests(root / 'tests', root)],
           'tf_resflow': _package(root / 'tf_resflow', root)}
  for top, rules_of in ('tests', _tests), ('tf_resflow', _room):
    for room in sorted((root / top).glob('*/')):
      if any(room.rglob('*.py')):
        rules[f'{top}/{room.name}'] = rules_of(room, root)
  for folder, rules_of_folder in rules.items():
    if not folder.startswith('tests'):
      rules_of_folder.append(
          _rule('filegroup', name='files', srcs='glob(["**"])'))
  # What tests read that look at the repository itself.
  rules[''] = [_rule('filegroup', name='files', srcs=_TOP_FILES), _rule(
      'filegroup', name='tree',
      srcs={':files', *(f'//{folder}:files' for folder in rules)})]
  return {f'{folder}/BUILD'.lstrip('/'): _text(rules_of_folder)
          for folder, rules_of_folder in rules.items()}


def update(root: pathlib.Path = ROOT, write: bool = True) -> list[str]:
  """Makes the BUILD files of a tree what they should be.

  Args:
    root: the repository's root folder.
    write: False to leave the files as they are.

  Returns:
    The files that differed, some of them to be deleted.
  """
  texts = build_files(root)
  found = {path.relative_to(root).as_posix(): path.read_text()
           for pattern in ('BUILD', 'bin/BUILD', 'tests/**/BUILD',
                           'tf_resflow/**/BUILD')
           for path in root.glob(pattern)}
  wrong = sorted(name for name in {*texts, *found}
                 if texts.get(name) != found.get(name))
  for name in wrong if write else ():
    if name in texts:
      (root / name).write_text(texts[name])
    else:
      (root / name).unlink()
  return wrong


if __name__ == '__main__':
  print(*update(), sep='\n')
