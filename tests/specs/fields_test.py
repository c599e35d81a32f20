"""Fields: texts, limits, and what follows from them."""

import dataclasses
import math
from typing import Literal

import pytest

from tests import testing
from tf_resflow import errors
from tf_resflow.specs import fields
from tf_resflow.specs import spec

COLOURS = spec.Registry(
    'colour', {'red': 'a:b', 'blue': 'a:c'}, with_arguments=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sample(fields.Section):
  """One field of every type."""

  flip: bool = fields.field(False, help='Flip.')
  count: int = fields.field(2, help='Count.', minimum=1)
  size: int | None = fields.field(None, help='Size.', minimum=1, maximum=9)
  rate: float = fields.field(0.5, help='Rate.', above=0)
  decay: float = fields.field(0.5, help='Decay.', minimum=0, below=1)
  name: str = fields.field('a', help='Name.', choices=('a', 'b'))
  colour: str = fields.field('red', help='Colour.', choices=COLOURS)
  spec: str = fields.field('red:2', help='Spec.', choices=COLOURS, flag='paint')
  widths: tuple[int, ...] = fields.field(
      (1, 2), help='Widths.', minimum=1, min_length=2)
  means: tuple[float, ...] = fields.field((), help='Means.', is_flag=False)
  share: float | Literal['1/D', 'all'] = fields.field(
      'all', help='Share.', minimum=0)
  plain: int = 3

  def check(self):
    errors.check(
        self.count != 7 or self.flip, 'count', self.count, 'another number')


FIELDS = {f.name: f for f in Sample.fields()}


_WHOLE = 'expected an integer >= 1.'
_WIDTHS = 'expected 2 or more integers >= 1, such as 1,2.'
_SHARE = 'expected a number >= 0, or 1/D, or all.'


def test_parse():
  for name, text, value in (
      ('flip', '1', True), ('flip', 'False', False), ('count', '12', 12),
      ('size', '3', 3), ('rate', '1e-3', 1e-3), ('rate', '5e-324', 5e-324),
      ('rate', '0.30000000000000004', 0.1 + 0.2), ('name', 'b', 'b'),
      ('widths', '3,1', (3, 1)), ('widths', ' 3, 1', (3, 1)),
      ('means', '', ()), ('means', '1,1e-7', (1.0, 1e-7)),
      ('spec', 'blue:1,x=2', 'blue:1,x=2'), ('share', '0.5', 0.5),
      ('share', '1/D', '1/D')):
    assert repr(FIELDS[name].parse(text)) == repr(value)
    assert FIELDS[name].parse(spec.text_of(value)) == value


def test_home_folder(monkeypatch):
  """Of a path, which a shell leaves as it is behind a flag."""
  monkeypatch.setenv('HOME', '/home/me')
  assert FIELDS['spec'].parse('~/a~') == '/home/me/a~'
  assert FIELDS['spec'].parse('a/~/b') == 'a/~/b'


def test_texts_that_are_no_value():
  testing.check_refusals(lambda pair: FIELDS[pair[0]].parse(pair[1]), [
      (('flip', 'maybe'), 'flip=maybe: expected true or false.'),
      (('count', '2.5'), f'count=2.5: {_WHOLE}'),
      (('count', ''), f'count=: {_WHOLE}'),
      (('rate', 'fast'), 'rate=fast: expected a number > 0.'),
      (('widths', '4,x'), f'widths=4,x: {_WIDTHS}'),
      (('share', '1/d'), f'share=1/d: {_SHARE}'),
      (('means', '1,'), 'means=1,: expected numbers, such as 0.5,0.25.')])


def test_limits():
  testing.check_refusals(lambda values: Sample(**values), [
      (dict(count=0), f'count=0: {_WHOLE}'),
      (dict(count=True), f'count=true: {_WHOLE}'),
      (dict(count=2.0), f'count=2.0: {_WHOLE}'),
      (dict(count='2'), f'count=2: {_WHOLE}'),
      (dict(count=None), f'count=none: {_WHOLE}'),
      (dict(count=7), 'count=7: expected another number.'),
      (dict(flip=1), 'flip=1: expected true or false.'),
      (dict(size=10), 'size=10: expected an integer in [1, 9].'),
      (dict(rate=0.0), 'rate=0.0: expected a number > 0.'),
      (dict(rate=math.nan), 'rate=nan: expected a number > 0.'),
      (dict(rate=math.inf), 'rate=inf: expected a number > 0.'),
      (dict(decay=1), 'decay=1.0: expected a number in [0, 1).'),
      (dict(name='c'), 'name=c: expected one of a, b.'),
      (dict(share=-1), f'share=-1.0: {_SHARE}'),
      (dict(share='D'), f'share=D: {_SHARE}'),
      (dict(share=('1/D',)), f'share=1/D: {_SHARE}'),
      (dict(colour='green'), 'colour=green: expected one of red, blue, with a'),
      (dict(spec='green:2'), 'paint=green:2: expected one of red, blue, with '),
      (dict(spec='red:'), 'paint=red:: expected NAME, NAME:ARGUMENT or'),
      (dict(widths=(1,)), f'widths=1: {_WIDTHS}'),
      (dict(widths=(1, 0)), f'widths=1,0: {_WIDTHS}'),
      (dict(widths=3), f'widths=3: {_WIDTHS}'),
      (dict(means=(math.nan,)), 'means=nan: expected numbers, such as ')])


def test_values_become_what_the_type_says():
  sample = Sample(widths=[3, 4], means=[1, 2.5], rate=2, size=None)
  assert sample.widths == (3, 4) and sample.means == (1.0, 2.5)
  assert type(sample.means[0]) is type(sample.rate) is float
  assert sample == Sample(widths=(3, 4), means=(1.0, 2.5), rate=2.0)
  assert hash(sample) == hash(dataclasses.replace(sample))


def test_fields():
  assert [f.name for f in Sample.fields()] == list(Sample().values())
  assert FIELDS['plain'] == fields.Field(
      name='plain', type=int, default=3, flag='plain',
      group='One field of every type')


def test_changed_keeps_the_rules():

  @dataclasses.dataclass(frozen=True, kw_only=True)
  class Other(Sample):
    rate: float = fields.changed(Sample, 'rate', 0.25)

  assert Other().rate == 0.25
  (rate,) = [f for f in Other.fields() if f.name == 'rate']
  assert rate == dataclasses.replace(FIELDS['rate'], default=0.25)
  with pytest.raises(ValueError, match='> 0'):
    Other(rate=-1.0)
