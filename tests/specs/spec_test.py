"""Specs: parts, and one clear line per mistake.

Round trips of all estimators and solvers are in tests/conformance/.
"""

from tests import testing
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
