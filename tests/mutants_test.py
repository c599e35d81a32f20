"""Edits are small and change programs alone; a tiny project is put to trial."""

import dataclasses
import itertools
import os
import pathlib
import subprocess

import pytest

from tests import edits
from tests import mutants

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


@pytest.mark.slow
def test_trial_of_a_tiny_project(tmp_path):
  root = tmp_path / 'root'
  code = ('import time\ndef f(a, b):\n  if a is b:\n    time.sleep(600)\n'
          '  return a + b\ndef g(a, b): return a * b\n'
          'def h(a, b): return a - b\ndef i(a, b): return a < b\n')
  # The first commit tests h, the second one f.
  for name, value in ('h', 2), ('f', 6):
    test = f'from tf_resflow.numerics.a import *\ndef test_{name}(): assert '
    for path, text in {
        'tf_resflow/__init__.py': '', 'tf_resflow/numerics/a.py': code,
        'tests/numerics/a_test.py': f'{test}{name}(4, 2) == {value}\n',
        'tests/b_test.py': test.replace(name + '()', 'g()') + 'g(2, 3) == 6\n',
    }.items():
      (root / path).parent.mkdir(parents=True, exist_ok=True)
      (root / path).write_text(text)
    for command in ('init -q', 'add .',
                    '-c user.name=a -c user.email=a commit -qma'):
      subprocess.run(['git', *command.split()], cwd=root, check=True)
  worker = mutants.Worker(root, 'HEAD', 'HEAD~1', tmp_path / 'worker',
                          min(os.sched_getaffinity(0)))
  places = {edit.old: edit for edit, _ in edits.find(
      'tf_resflow/numerics/a.py', code)}
  expected = {'+': ('mirror', 'tests/numerics/a_test.py::test_f'),
              'is': ('mirror', 'hangs'),
              '*': ('fast', 'tests/b_test.py::test_g'),
              '-': ('old', 'tests/numerics/a_test.py::test_h'),
              '<': (None, None)}
  output = tmp_path / 'output'
  output.touch()
  trials = [(0.0, ['is']), (60.0, expected), (60.0, expected)]
  for grace, olds in trials:  # Nothing is left for the last one.
    mutants.Trial([worker], output, grace).run(
        [places[old] for old in olds], ['mirror', 'fast', 'old'])
  rows, results = mutants.read(output)
  found = {old: results[places[old].name] for old in expected}
  assert {old: (row['killed_by'], row['test'])
          for old, row in found.items()} == expected
  assert len(rows) == 10  # Three suites, five edits, two by old tests.
