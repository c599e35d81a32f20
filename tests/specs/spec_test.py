"""Specs and registries: parts, names without imports, and clear errors.

Round trips of all estimators and solvers are in tests/conformance/.
"""

import fractions
import sys

import pytest

from tests import testing
from tf_resflow import errors
from tf_resflow import numerics
from tf_resflow.specs import spec


def test_no_spec():
  testing.check_refusals(lambda text: spec.Spec.parse(text, 'estimator'), [
      (text, f'estimator={text}: expected NAME, NAME:') for text in (
          '', ':2', 'a:', 'a::b', 'a,', 'a,b', 'a,=b', 'a,b=', 'a,b=1,b=2',
          ',a=b')])


def test_errors_of_parts_show_the_whole():
  whole = ('estimator=roulette:...: expected a valid spec. '
           'truncation_distribution=')
  testing.check_refusals(numerics.Estimator.get, [
      ('roulette:other', f'{whole}other: expected one of poisson, geometric'),
      ('roulette:poisson:a', f'{whole}poisson:a: expected a value of rate of')])


@pytest.fixture(name='table')
def table_fixture():
  return spec.Registry('estimator', {
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


def test_options(table):
  def draw(unused_x, count=2, scale=0.5, flip=False, *, noise='normal'):
    return count, scale, flip, noise

  table.register('draw', draw)
  for text, expected in (
      ('draw', (2, 0.5, False, 'normal')),
      ('draw:3', (3, 0.5, False, 'normal')),
      ('draw:3:1e-3,noise=t,flip=true', (3, 1e-3, True, 't'))):
    assert text in table
    assert table.get(text)(None) == expected
  testing.check_refusals(table.get, [
      ('draw:x', 'estimator=...: expected a value of count of draw such as 2.'),
      ('draw:3,count=4', 'estimator=draw:3,count=4 sets count of draw twice.'),
      ('draw,x=3', 'estimator=draw,x=3 has an unknown option x. Options of'),
      ('draw:', 'estimator=draw:: expected NAME'),
      ('half:1:2', 'estimator=half:1:2: expected at most ')])
  names = spec.Registry('mode', {'a': ''}, takes_options=False)
  assert 'a' in names and 'a:1' not in names


def test_bad_names(table):
  testing.check_refusals(lambda name: table.register(name, object()), [
      (name, 'estimator=') for name in (
          'half', '', 'a b', 'a:b', 'a,b', 'a=b', 3, 'file:PATH')])


def test_name_of(table):
  value = table.register('mine', object())
  assert table.name_of(value) == 'mine'
  assert table.name_of(fractions.Fraction) == 'half'
  with pytest.raises(errors.InvalidValueError, match='Register your own'):
    table.name_of(int)
