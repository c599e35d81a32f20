"""Edits are small and change programs alone; a tiny project is put to trial."""

import dataclasses
import itertools
import os
import pathlib
import subprocess

import pytest

from tests import edits
from tests import mutants
from tests import run_lines

_ROOT = pathlib.Path(__file__).resolve().parents[1]


def test_draw():
  drawn = list(itertools.islice(mutants.draw(_ROOT), 24))
  assert drawn[7::12] == list(itertools.islice(
      edits.shuffled(_ROOT, 'tf_resflow/serving', '0 serving'), 2))
  assert [edit.path.split('/')[1] for edit in drawn] == [*mutants.PACKAGES] * 2
  for edit in drawn:
    text = (_ROOT / edit.path).read_text()
    changed = edit.apply(text)
    lines = text.splitlines(keepends=True)
    rest = lines[edit.line + edit.old.count('\n'):]
    assert changed.startswith(''.join(lines[:edit.line - 1]))
    assert changed.endswith(''.join(rest)) and changed != text


@pytest.mark.parametrize('text, expected', [
    ('y = 2.5 * x', {'y = 2.5 / x', 'y = 5.0 * x', 'y = 1.25 * x'}),
    ('y = (a +  # é - b\n b)', {'y = (a -  # é - b\n b)'}),
    ('if a and b is not c: d()', {
        'if a and b is c: d()', 'if a or b is not c: d()',
        'if not (a and b is not c): d()', 'if a and b is not c: pass'}),
    ('y -= not a or b < c', {
        'y += not a or b < c', 'y -= a or b < c', 'y -= not a and b < c',
        'y -= not a or b <= c', 'y -= not a or b > c', 'pass'}),
    ('y = f.max(x, axis=-1, k=a)', {
        'y = f.min(x, axis=-1, k=a)', 'y = f.max(x, k=a)',
        'y = f.max(x, axis=0, k=a)', 'y = f.max(x, axis=1, k=a)',
        'y = f.max(x, axis=-1, )'}),
    ('def f(x: 1 = True) -> int: return x', {
        'def f(x: 1 = False) -> int: return x',
        'def f(x: 1 = True) -> int: return 0'}),
    ('errors.check(a, "n", 1 + b, help + 2)', {'pass'}),
    ('"""A + 1."""\nimport a\n__all__ = [1]\nlogging.info(1)\nx: A[2] = f"{3}"'
     '\nraise E(x + 4)\nclass C:\n  def __repr__(self): return 5\n'
     'y = field(name=6, help=7 + 8)\nz = ["a"] + [b]', set()),
])
def test_edits(text, expected):
  found = [dataclasses.replace(place, new=new)
           for place, news in edits.find('a.py', text) for new in news]
  assert {e.apply(text) for e in found if edits.works(e, text)} == expected


def test_lines_to_run():
  text = ('a = 1\nclass C:\n  b = 2\n  def f(self, c=3):\n    if (c and\n'
          '        self.b):\n      d = [\n          c]\n    return d\n')
  found = [mutants.lines_to_run(text, line) for line in range(1, 10)]
  inside = [range(5, 7)] * 2 + [range(7, 9)] * 2 + [range(9, 10)]
  assert found == [(range(1, 11), True)] * 4 + [
      (lines, False) for lines in inside]


@pytest.mark.slow
def test_trial_of_a_tiny_project(tmp_path):
  root = tmp_path / 'root'
  code = ('import time\nSIZE = 7\ndef f(a, b):\n  if a is b:\n'
          '    time.sleep(600)\n  return a + b\ndef g(a, b):\n  return a * b\n'
          'def h(a, b):\n  return a - b\ndef i(a, b):\n  return a < b\n'
          'def j(a, b):\n  return a // b\n')
  head = ('import subprocess, sys\nimport pytest\n'
          'from tf_resflow.numerics.a import *\n')
  for path, text in {
      'tf_resflow/__init__.py': '', 'tf_resflow/numerics/a.py': code,
      'tests/__init__.py': '',
      'tests/run_lines.py': pathlib.Path(run_lines.__file__).read_text(),
      'tests/conftest.py': (
          'import pytest\n@pytest.hookimpl(tryfirst=True)\n'
          'def pytest_collection_modifyitems(items):\n'
          '  for item in items:\n'
          '    item.add_marker(pytest.mark.xdist_group(item.path.name))\n'),
      'tests/numerics/__init__.py': '',
      'tests/numerics/a_test.py': (
          f'{head}def test_f(): assert f(4, 2) == 6 and f(1, 2) == 3\n'
          'def test_size(): assert SIZE == 7\n'
          '@pytest.fixture(scope="module")\n'
          'def product(): return g(2, 3)\n'
          'def test_is_there(product): assert product\n'
          'def test_product(product): assert product == 6\n'
          'def test_i(): i(1, 1)\n'),
      'tests/b_test.py': (
          f'{head}@pytest.mark.slow\ndef test_h():\n'
          '  code = "from tf_resflow.numerics.a import h; exit(h(4, 2) - 2)"\n'
          '  subprocess.run([sys.executable, "-c", code], check=True)\n'),
  }.items():
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)
  for command in ('init -q', 'add .',
                  '-c user.name=a -c user.email=a commit -qma'):
    subprocess.run(['git', *command.split()], cwd=root, check=True)
  worker = mutants.Worker(root, 'HEAD', tmp_path / 'worker',
                          min(os.sched_getaffinity(0)))
  places = {edit.old: edit for edit, _ in edits.find(
      'tf_resflow/numerics/a.py', code)}
  file = 'tests/numerics/a_test.py::'
  expected = {'+': ('fast', file + 'test_f', {}),
              'is': ('fast', 'hangs', {}),
              '7': ('fast', file + 'test_size', {}),
              '*': ('fast', file + 'test_product', {}),
              '-': ('slow', 'tests/b_test.py::test_h', {'fast': 0}),
              '<': (None, None, {'fast': 1, 'slow': 0}),
              '//': (None, None, {'fast': 0, 'slow': 0})}
  for grace, olds in (0.5, ['is']), (60.0, expected), (60.0, expected):
    mutants.trial([worker], tmp_path, [places[old] for old in olds],
                  [*mutants.TIERS], 60.0, grace)
  rows = mutants.read(tmp_path)
  assert {old: tuple(rows[places[old].name][key]
                     for key in ('killed_by', 'test', 'passed'))
          for old in expected} == expected
  # Nothing was left for the last one.
  assert len((tmp_path / 'results.jsonl').read_text().splitlines()) == 7
