"""Data sets by name, and files by patterns."""

import pytest

from tests import testing
from tf_resflow.specs import dataset_registry


@pytest.fixture(name='table')
def table_fixture():
  return dataset_registry.DatasetRegistry('dataset', {
      'half': 'fractions:Fraction', 'none': 'no_such_module:Kind'})


def test_patterns(table):
  table.register('file:PATH.txt', lambda path: f'read {path}')
  assert table.names() == ('half', 'none')
  assert table.get('file:my/a:b.txt') == 'read my/a:b.txt'
  assert table.expected == 'one of half, none, file:PATH.txt'
  assert table.split('file:a.txt') == ('file:PATH.txt', 'a.txt')
  assert 'file:' not in table and 'files:a' not in table


def test_options_of_openers(table):
  table.register('file:PATH.txt', lambda path, mode='r': (path, mode))
  assert 'mode' in table.options_of('file:a')
  assert not table.options_of('half')
  assert table.get('file:a', mode='w') == ('a', 'w')


def test_bad_names(table):
  table.register('file:PATH.txt', None)
  testing.check_refusals(lambda name: table.register(name, object()), [
      (name, 'dataset=') for name in (
          'half', '', 'a b', 'a:b', 'a,b', 'a=b', 3, 'file', 'file:OTHER',
          'half:PATH')])
  with pytest.raises(ValueError, match=(
      'a name of letters, digits, "_", "-" and "/", or a pattern such as '
      'table:FILE.csv')):
    table.register('a:b', None)


def test_what_was_meant():
  table = dataset_registry.DatasetRegistry(
      'dataset', {'swissroll': '', 'faces/64': '', 'faces/256': '',
                  'images:FOLDER': '', 'array:FILE.npz': '',
                  'table:FILE.csv': ''})
  names = ['my/own.csv', 'own.npz', 'swisroll', 'faces', 'xyz', '']
  assert [table.advice(name) for name in names] == [
      'Did you mean table:my/own.csv?', 'Did you mean array:own.npz?',
      'Did you mean swissroll?', 'Did you mean faces/64 or faces/256?', '', '']
