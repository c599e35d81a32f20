"""Specs: parts, round trips, and one clear line per mistake."""

import dataclasses
from typing import ClassVar

import pytest

from tf_resflow import errors
from tf_resflow.configuration import registry
from tf_resflow.configuration import spec

_SHELL = set(' \t\n\'"`$&|;<>(){}[]*?!#~\\')


@pytest.mark.parametrize('text', [
    'exact', 'fixed:10', 'roulette:poisson:2', 'roulette:poisson:2,exact=2',
    'a:b:c,d=e,f=1e-6'])
def test_round_trip(text):
  parts = spec.Spec.parse(text)
  assert str(parts) == text
  assert not _SHELL & set(text)


@pytest.mark.parametrize('text', [
    '', ':2', 'a:', 'a::b', 'a,', 'a,b', 'a,=b', 'a,b=', 'a,b=1,b=2', ',a=b'])
def test_no_spec(text):
  with pytest.raises(errors.InvalidValueError, match='^estimator=.*expected N'):
    spec.Spec.parse(text, 'estimator')


LAWS = registry.Registry('law', {})
KINDS = registry.Registry('kind', {})


@dataclasses.dataclass(frozen=True)
class _Law(spec.Specified):
  registry: ClassVar = LAWS


@dataclasses.dataclass(frozen=True)
class _Poisson(_Law):
  rate: float = 2.0


@dataclasses.dataclass(frozen=True)
class _Safe(_Law):
  pass


@dataclasses.dataclass(frozen=True)
class _Kind(spec.Specified):
  registry: ClassVar = KINDS


@dataclasses.dataclass(frozen=True)
class _Roulette(_Kind):
  law: _Law = _Poisson()
  exact: int = spec.option(2, 'exact')
  is_shared: bool = spec.option(True, 'shared')
  limit: float | None = spec.option(None, 'limit')


@dataclasses.dataclass(frozen=True)
class _Fixed(_Kind):
  num_terms: int = 10
  probe: str = 'rademacher'


LAWS.register('poisson', _Poisson)
LAWS.register('safe', _Safe)
KINDS.register('roulette', _Roulette)
KINDS.register('fixed', _Fixed)


@pytest.mark.parametrize('text, value', [
    ('roulette', _Roulette()),
    ('roulette:poisson', _Roulette()),
    ('roulette:poisson:3', _Roulette(_Poisson(3.0))),
    ('roulette:safe,exact=20', _Roulette(_Safe(), exact=20)),
    ('roulette:safe,shared=false,limit=0.5',
     _Roulette(_Safe(), is_shared=False, limit=0.5)),
    ('fixed:3:gaussian', _Fixed(3, 'gaussian'))])
def test_specified(text, value):
  assert _Kind.get(text) == value
  assert _Kind.get(value.spec()) == value
  assert _Kind.get(value) is value


def test_spec_of_a_float_is_exact():
  value = _Roulette(_Poisson(0.1 + 0.2))
  assert _Kind.get(value.spec()) == value


@pytest.mark.parametrize('text, message', [
    ('other', 'kind=other: expected one of roulette, fixed'),
    ('roulette:other', 'law=other: expected one of poisson, safe'),
    ('roulette:poisson:a', 'law=poisson:a: expected a value of rate'),
    ('roulette:safe:2', 'law=safe:2: expected at most 0 arguments of safe'),
    ('fixed:1:a:b', 'kind=fixed:1:a:b: expected at most 2 arguments'),
    ('fixed:2.5', 'kind=fixed:2.5: expected a value of num_terms'),
    ('fixed,exact=2', 'fixed, which has no options'),
    ('roulette,exact=a', 'kind=roulette,exact=a: .* exact of roulette like 2'),
    ('roulette,probe=b', 'roulette with the options exact, shared, limit')])
def test_errors(text, message):
  with pytest.raises(ValueError, match=message) as error:
    _Kind.get(text)
  assert '\n' not in str(error.value)


def test_a_bool_is_true_or_false():
  with pytest.raises(ValueError, match='of roulette like true'):
    _Kind.get('roulette,shared=maybe')
