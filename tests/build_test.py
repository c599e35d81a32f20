"""BUILD states the real imports, and the tree keeps its layout rules.

The checkers themselves are shown wrong trees and must complain. Bazel itself
is not run here.
"""

import pathlib
import re

import pytest

from tests import build_rules
from tests import layout_rules

ROOT = pathlib.Path(__file__).resolve().parent.parent

GOOD_BUILD = """
load("@rules_python//python:defs.bzl", "py_binary", "py_library", "py_test")

py_library(
    name = "numerics",
    srcs = glob(["tf_resflow/numerics/**/*.py"]),
    deps = ["@pypi//tensorflow"],
)

py_library(
    name = "layers",
    srcs = glob(["tf_resflow/layers/**/*.py"]),
    deps = [":numerics", "@pypi//keras"],
)

py_library(
    name = "testing",
    srcs = glob(["tests/**/*.py"], exclude = ["tests/**/*_test.py"]),
    deps = ["@pypi//pytest"],
)

[py_binary(name = tool, srcs = ["bin/" + tool + ".py"], deps = deps)
 for tool, deps in {"train": [":layers", "@pypi//absl_py"]}.items()]

[
    py_test(
        name = test.removesuffix(".py").replace("/", "_"),
        srcs = [test, "tests/bazel_main.py"],
        args = ["$(rootpath " + test + ")"],
        main = "tests/bazel_main.py",
        deps = [":numerics", ":testing"],
    )
    for test in glob(["tests/numerics/*_test.py"])
]
"""

GOOD_FILES = {
  'tf_resflow/numerics/series.py':
    '"""Series."""\nimport math\nimport tensorflow as tf\n',
  'tf_resflow/layers/norm.py':
    '"""Norm."""\nfrom tf_resflow.numerics import series\n'
    'def norm(x):\n  """Norm of x."""\n  import keras\n',
  'tests/bazel_main.py': 'import pytest\n',
  'tests/numerics/series_test.py': 'from tf_resflow.numerics import series\n',
  'bin/train': 'from absl import app\nfrom tf_resflow.layers import norm\n',
}

GOOD_SETUP = """
INSTALL_REQUIRES = ['absl-py>=2', 'keras', 'tensorflow[x]>=2.21,<2.22']
EXTRAS_REQUIRE = {'test': ['pytest']}
"""


def write_tree(root, files):
  for name, text in files.items():
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture(name='tree')
def tree_fixture(tmp_path):
  write_tree(tmp_path, GOOD_FILES)
  return tmp_path


def assert_one(complaints, *fragments):
  """Exactly one complaint, which says all fragments."""
  assert len(complaints) == 1, complaints
  for fragment in fragments:
    assert fragment in complaints[0]


# The repository.


def test_build_states_the_real_imports():
  complaints = build_rules.check_build((ROOT / 'BUILD').read_text(), ROOT)
  assert not complaints, '\n' + '\n'.join(complaints)


def test_layout():
  complaints = layout_rules.check_layout(ROOT)
  assert not complaints, '\n' + '\n'.join(complaints)


def test_setup_declares_every_import():
  complaints = layout_rules.check_requirements(
    (ROOT / 'setup.py').read_text(), ROOT)
  assert not complaints, '\n' + '\n'.join(complaints)


def test_allowed_rooms_have_no_cycle():
  seen = set()
  for room, allowed in build_rules.ALLOWED_ROOMS.items():
    if room in ('evaluation', 'training', 'serving'):
      assert not {'evaluation', 'training', 'serving'} & set(allowed)
    assert seen.issuperset(allowed), f'{room} imports a later room'
    seen.add(room)
  importers = {room for room, allowed in build_rules.ALLOWED_ROOMS.items()
               if 'datasets' in allowed}
  assert importers == {'evaluation', 'training', 'serving', 'conversion'}


# The checkers, on trees that are right and wrong.


def test_accepts_a_right_tree(tree):
  assert build_rules.check_build(GOOD_BUILD, tree) == []
  assert layout_rules.check_layout(tree) == []
  assert layout_rules.check_requirements(GOOD_SETUP, tree) == []


@pytest.mark.parametrize('old, new, fragments', [
  ('deps = [":numerics", "@pypi//keras"]', 'deps = [":numerics"]',
   ['"layers"', 'missing deps ["@pypi//keras"]',
    'deps = [":numerics", "@pypi//keras"]']),
  ('deps = ["@pypi//tensorflow"]',
   'deps = ["@pypi//numpy", "@pypi//tensorflow"]',
   ['"numerics"', 'surplus deps ["@pypi//numpy"]']),
  ('name = "numerics"', 'name = "numeric"',
   ['no py_library "numerics"', 'glob(["tf_resflow/numerics/**/*.py"])',
    'deps = ["@pypi//tensorflow"]']),
  ('glob(["tf_resflow/layers/**/*.py"])', '[]',
   ['"layers"', 'srcs = ["tf_resflow/layers/norm.py"]']),
  ('"train": [":layers", ', '"train": [', ['py_binary "train"', '":layers"']),
  ('{"train": [":layers", "@pypi//absl_py"]}', '{}',
   ['no py_binary for bin/train', '"train": [":layers", "@pypi//absl_py"],']),
  ('deps = [":numerics", ":testing"]', 'deps = [":testing"]',
   ['about [":numerics"]', '"tests/numerics": [":numerics", ":testing"],']),
  ('glob(["tests/numerics/*_test.py"])', '[]',
   ['0 py_test rules for tests/numerics/series_test.py',
    '"tests/numerics": [":numerics", ":testing"],']),
  ('glob(["tests/numerics/*_test.py"])',
   '["tests/numerics/series_test.py", "tests/numerics/gone_test.py"]',
   ['tests/numerics/gone_test.py', 'does not exist']),
  ('main = "tests/bazel_main.py"', 'main = test', ['runs no test']),
])
def test_complains_about_a_wrong_build(tree, old, new, fragments):
  assert GOOD_BUILD.count(old) == 1
  text = GOOD_BUILD.replace(old, new)
  assert_one(build_rules.check_build(text, tree), *fragments)


def test_complains_about_a_binary_without_a_script(tree):
  text = GOOD_BUILD.replace('{"train":', '{"gone": [], "train":')
  assert_one(build_rules.check_build(text, tree), 'no bin/gone')


@pytest.mark.parametrize('importer, imported', [
  ('numerics', 'layers'), ('layers', 'bijectors'), ('bijectors', 'models'),
  ('models', 'training'), ('evaluation', 'training'), ('training', 'serving'),
  ('models', 'datasets'), ('serving', 'evaluation'), ('datasets', 'models'),
])
def test_complains_about_the_wrong_direction(tmp_path, importer, imported):
  write_tree(tmp_path, {
    f'tf_resflow/{importer}/a.py': f'from tf_resflow.{imported} import b\n'})
  text = (f'py_library(name = "{importer}", '
          f'srcs = ["tf_resflow/{importer}/a.py"], deps = [":{imported}"])')
  assert_one(build_rules.check_build(text, tmp_path),
             f'"{importer}" depends on "{imported}"')


@pytest.mark.parametrize('source, labels', [
  ('import tf_resflow', {':tf_resflow'}),
  ('from tf_resflow import layers', {':layers'}),
  ('from tf_resflow import ResidualFlow', {':tf_resflow'}),
  ('import tf_resflow.models.flow as flow', {':models'}),
  ('from tests import cases', {':testing'}),
  ('from sklearn import datasets', {'@pypi//scikit_learn'}),
  ('import tensorflow_probability as tfp',
   {'@pypi//tensorflow_probability', '@pypi//tf_keras'}),
  ('def f():\n  import mlxtend.data', {'@pypi//mlxtend'}),
  ('import os, json\nfrom concurrent import futures', set()),
])
def test_labels_of_imports(tmp_path, source, labels):
  write_tree(tmp_path, {'a.py': source})
  assert build_rules.imported_labels(tmp_path / 'a.py', tmp_path) == (
    labels, [])


@pytest.mark.parametrize('source, fragment', [
  ('from . import series', 'relative import'),
  ('import tensorflow_addons', 'unknown package `tensorflow_addons`'),
])
def test_complains_about_imports_without_a_label(tmp_path, source, fragment):
  write_tree(tmp_path, {'a.py': source})
  labels, complaints = build_rules.imported_labels(tmp_path / 'a.py', tmp_path)
  assert not labels
  assert_one(complaints, 'a.py:1:', fragment)


@pytest.mark.parametrize('text, fragment', [
  ('def f():\n    pass', 'FunctionDef'),
  ('for x in []:\n    pass', 'For'),
  ('import os', 'Import'),
  ('x = ().__class__', 'Attribute'),
  ('x = f"{1}"', 'JoinedStr'),
  ('py_library(name = "a"', 'BUILD:1:'),
  ('py_libary(name = "a")', 'py_libary'),
])
def test_refuses_what_is_no_build_file(tmp_path, text, fragment):
  with pytest.raises(build_rules.BuildError, match=re.escape(fragment)):
    build_rules.load_build(text, tmp_path)


@pytest.mark.parametrize('name, text, fragment', [
  ('tf_resflow/numerics/a.py', '"""A."""\n' + 'x = 1\n' * 400, '401 lines'),
  ('tests/a_test.py', 'x = 1\n' * 401, '401 lines'),
  ('bin/sample', 'x = 1\n' * 401, '401 lines'),
  ('tf_resflow/numerics/utils.py', '"""A."""\n', 'after what it holds'),
  ('tf_resflow/numerics/a.py', 'x = 1\n', 'the module has no docstring'),
  ('tf_resflow/numerics/a.py', '"""A."""\ndef f():\n  pass\n',
   'a.py:2: `f` has no docstring'),
  ('tf_resflow/numerics/a.py', '"""A."""\nclass C:\n  pass\n', '`C`'),
  ('tf_resflow/models/a.py',
   '"""A."""\nfrom absl import flags\nx = flags.FLAGS.y\n',
   'a.py:3: reads FLAGS'),
  ('tf_resflow/models/a.py', '"""A."""\nfrom absl.flags import FLAGS\n',
   'a.py:2: reads FLAGS'),
  ('tf_resflow/misc/a.py', '"""A."""\n', 'unknown room'),
])
def test_complains_about_the_layout(tree, name, text, fragment):
  write_tree(tree, {name: text})
  assert_one(layout_rules.check_layout(tree), fragment)


@pytest.mark.parametrize('name, text', [
  ('tf_resflow/numerics/a.py', '"""A."""\n' + 'x = 1\n' * 399),
  ('tf_resflow/numerics/a.py', '"""A."""\ndef _f():\n  pass\n'),
  (layout_rules.FLAGS_READERS + 'a.py',
   '"""A."""\nfrom absl import flags\nx = flags.FLAGS.y\n'),
])
def test_layout_allows(tree, name, text):
  write_tree(tree, {name: text})
  assert layout_rules.check_layout(tree) == []


@pytest.mark.parametrize('requirement', ["'absl-py>=2', ", "'keras', "])
def test_complains_about_an_undeclared_requirement(tree, requirement):
  text = GOOD_SETUP.replace(requirement, '')
  assert_one(layout_rules.check_requirements(text, tree),
             requirement.split("'")[1].partition('>')[0], 'is not declared')
