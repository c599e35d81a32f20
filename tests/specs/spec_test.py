"""Specs: parts, and one clear line per mistake.

Round trips of all estimators and solvers are in tests/conformance/.
"""

from tests import testing
from tf_resflow import numerics
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


def test_errors():
  whole = 'estimator=roulette:...: expected a valid spec. '
  law = 'truncation_distribution'
  testing.check_refusals(numerics.Estimator.get, [
      ('other', 'estimator=other: expected one of roulette, adaptive'),
      ('roulette:other', f'{whole}{law}=other: expected one of poisson, geo'),
      ('roulette:poisson:a',
       f'{whole}{law}=poisson:a: expected a value of rate of poisson such as'),
      ('roulette:poisson:2:3',
       f'{whole}{law}=poisson:2:3: expected at most 1 arguments of poisson'),
      ('adaptive,batch_dependent=maybe', '...of adaptive such as true'),
      ('fixed,nothing=b', '...Options of fixed: probe.')])
