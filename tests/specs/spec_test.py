"""Specs: parts, round trips, and one clear line per mistake."""

import dataclasses
from typing import ClassVar

from tests import testing
from tf_resflow.specs import registry
from tf_resflow.specs import spec


def test_round_trip():
  texts = ['exact', 'fixed:10', 'roulette:poisson:2',
           'roulette:poisson:2,exact=2', 'a:b:c,d=e,f=1e-6']
  assert [str(spec.Spec.parse(text)) for text in texts] == texts


def test_no_spec():
  testing.check_refusals(lambda text: spec.Spec.parse(text, 'estimator'), [
      (text, f'estimator={text}: expected NAME, NAME:') for text in (
          '', ':2', 'a:', 'a::b', 'a,', 'a,b', 'a,=b', 'a,b=', 'a,b=1,b=2',
          ',a=b')])


TRUNCATION_DISTRIBUTIONS = registry.Registry('distribution', {})
ESTIMATORS = registry.Registry('estimator', {})


@dataclasses.dataclass(frozen=True)
class _Distribution(spec.Specified):
  registry: ClassVar = TRUNCATION_DISTRIBUTIONS


@dataclasses.dataclass(frozen=True)
class _Poisson(_Distribution):
  rate: float = 2.0


@dataclasses.dataclass(frozen=True)
class _Safe(_Distribution):
  pass


@dataclasses.dataclass(frozen=True)
class _Estimator(spec.Specified):
  registry: ClassVar = ESTIMATORS


@dataclasses.dataclass(frozen=True)
class _Roulette(_Estimator):
  distribution: _Distribution = _Poisson()
  exact: int = spec.option(2, 'exact')
  is_shared: bool = spec.option(True, 'shared')
  limit: float | None = spec.option(None, 'limit')


@dataclasses.dataclass(frozen=True)
class _Fixed(_Estimator):
  num_terms: int = 10
  probe: str = 'rademacher'


TRUNCATION_DISTRIBUTIONS.register('poisson', _Poisson)
TRUNCATION_DISTRIBUTIONS.register('safe', _Safe)
ESTIMATORS.register('roulette', _Roulette)
ESTIMATORS.register('fixed', _Fixed)


def test_specified():
  for text, value in (
      ('roulette', _Roulette()), ('roulette:poisson', _Roulette()),
      ('roulette:poisson:3', _Roulette(_Poisson(3.0))),
      ('roulette:poisson:0.30000000000000004', _Roulette(_Poisson(0.1 + 0.2))),
      ('roulette:safe,exact=20', _Roulette(_Safe(), exact=20)),
      ('roulette:safe,shared=false,limit=0.5',
       _Roulette(_Safe(), is_shared=False, limit=0.5)),
      ('fixed:3:gaussian', _Fixed(3, 'gaussian'))):
    assert _Estimator.get(text) == value
    assert _Estimator.get(value.spec()) == value
    assert _Estimator.get(value) is value


def test_errors():
  whole = 'estimator=roulette:...: expected a valid spec. '
  testing.check_refusals(_Estimator.get, [
      ('other', 'estimator=other: expected one of roulette, fixed'),
      ('roulette:other',
     f'{whole}distribution=other: expected one of poisson, safe'),
      ('roulette:poisson:a',
       f'{whole}distribution=poisson:a: expected a value of rate'),
      ('roulette:safe:2',
       f'{whole}distribution=safe:2: expected at most 0 arguments of safe'),
      ('roulette,shared=maybe', '...of roulette such as true'),
      ('roulette,probe=b', '...Options of roulette: exact, shared, limit.')])


def test_text_of():
  texts = {value: spec.text_of(value) for value in (
      False, None, 1e-7, 'None', (), (1,), ((1, True), None))}
  assert list(texts.values()) == [
      'false', 'none', '1e-07', 'None', '', '1', '1,true,none']
