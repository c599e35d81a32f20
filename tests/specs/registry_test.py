"""Registries: names without imports, registration, and clear errors."""

import fractions
import sys

import pytest

from tests import testing
from tf_resflow import errors
from tf_resflow.specs import registry


@pytest.fixture(name='table')
def table_fixture():
  return registry.Registry('estimator', {
      'half': 'fractions:Fraction', 'none': 'no_such_module:Kind'})


def test_names_and_checks_import_nothing_and_get_does(table):
  assert table.names() == ('half', 'none')
  assert table.check('none') == 'none'
  assert 'no_such_module' not in sys.modules
  assert table.get('half') is fractions.Fraction
  with pytest.raises(ModuleNotFoundError):
    table.get('none')


def test_register(table):
  value = object()
  assert table.register('my/type-2', value) is value
  assert table.register('my/type-2', value) is value  # A module imported twice.
  assert table.get('my/type-2') is value
  assert table.names()[-1] == 'my/type-2'
  table.register('late', 'fractions:Fraction')
  assert table.get('late') is fractions.Fraction


def test_patterns(table):
  table.register('file:PATH.txt', lambda path: f'read {path}')
  assert table.names() == ('half', 'none')
  assert table.get('file:my/a:b.txt') == 'read my/a:b.txt'
  assert table.expected == 'one of half, none, file:PATH.txt'
  assert table.split('file:a.txt') == ('file:PATH.txt', 'a.txt')
  assert not table.knows('file:') and not table.knows('files:a')


def test_options(table):
  def draw(unused_x, count=2, scale=0.5, flip=False, *, noise='normal'):
    return count, scale, flip, noise

  table.register('draw', draw)
  for text, expected in (
      ('draw', (2, 0.5, False, 'normal')),
      ('draw:3', (3, 0.5, False, 'normal')),
      ('draw:3:1e-3,noise=t,flip=true', (3, 1e-3, True, 't'))):
    assert table.knows(text)
    assert table.get(text)(None) == expected
  testing.check_refusals(table.get, [
      ('draw:x', 'estimator=...: expected a value of count of draw such as 2.'),
      ('draw:3,count=4', 'estimator=draw:3,count=4 sets count of draw twice.'),
      ('draw,x=3', 'estimator=draw,x=3 has an unknown option x. Options of'),
      ('draw:', 'estimator=draw:: expected NAME'),
      ('half:1:2', 'estimator=half:1:2: expected at most ')])
  names = registry.Registry('mode', {'a': ''}, takes_options=False)
  assert names.knows('a') and not names.knows('a:1')


def test_bad_names(table):
  table.register('file:PATH.txt', None)
  testing.check_refusals(lambda name: table.register(name, object()), [
      (name, 'estimator=') for name in (
          'half', '', 'a b', 'a:b', 'a,b', 'a=b', 3, 'file', 'file:OTHER',
          'half:PATH')])


def test_name_of(table):
  value = table.register('mine', object())
  assert table.name_of(value) == 'mine'
  assert table.name_of(fractions.Fraction) == 'half'
  with pytest.raises(errors.InvalidValueError, match='Register your own'):
    table.name_of(int)


def test_what_was_meant():
  table = registry.Registry(
      'dataset', {'swissroll': '', 'faces/64': '', 'faces/256': '',
                  'images:FOLDER': '', 'array:FILE.npz': '',
                  'table:FILE.csv': ''})
  names = ['my/own.csv', 'own.npz', 'swisroll', 'faces', 'xyz', '']
  assert [table.advice(name) for name in names] == [
      'Did you mean table:my/own.csv?', 'Did you mean array:own.npz?',
      'Did you mean swissroll?', 'Did you mean faces/64 or faces/256?', '', '']
