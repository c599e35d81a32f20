"""What is fitted to columns: types, moments; outliers."""

import numpy as np
import pandas as pd
import pytest

from tests import schemas
from tests import splits
from tests import testing
from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow.columns import column_checks
from tf_resflow.columns import column_fits
from tf_resflow.columns import column_types
from tf_resflow.columns import schema as schema_lib

_NORMAL = np.random.default_rng(0).standard_normal(2000)


def _fit(x, *asked, others=()):
  """Returns the schema of columns a and b, or a alone."""
  names = ['a', 'b'][:x.shape[1]]
  schema, _ = column_fits.fit(
      schemas.make_schema(*names), np.concatenate([x, *others]),
      num_validation=len(others), asked=asked)
  return schema


def test_types_are_detected():
  rng = np.random.default_rng(1)
  uniform = rng.uniform(size=2000)
  for x, expected in (
    (_NORMAL, 'real'), (5.0 + 0.1 * _NORMAL, 'real'), (uniform - 9.0, 'real'),
    (np.exp(_NORMAL), 'log'), (1e-3 * np.exp(2.0 * _NORMAL), 'log'),
    (1.0 / (1.0 + np.exp(-2.0 * _NORMAL)), 'logit:1.0'),
    (100.0 / (1.0 + np.exp(-2.0 * _NORMAL)), 'logit:100.0'),
    (rng.standard_t(1.5, 2000), 'heavy'),
    (np.append(_NORMAL, 2147483647.0), 'heavy'),
    (rng.poisson(3.0, 2000), 'integer'),
    (np.round(9.0 * _NORMAL), 'signed_integer'),
    (np.round(0.5 * _NORMAL, 2), 'signed_integer:0.01'),
    (0.5 * np.round(50.0 + 9.0 * _NORMAL), 'signed_integer:0.5'),
    (0.5 * np.round(20.0 + 9.0 * _NORMAL.clip(-2.2)), 'integer:0.5'),
    (25.0 * np.round(150.0 + 9.0 * _NORMAL), 'integer:25'),
    (1e6 * np.round(150.0 + 9.0 * _NORMAL), 'integer:1000000'),
    (np.float32(np.round(_NORMAL, 1)), 'signed_integer:0.1'),
    # Too fine, too few values, one between; whole numbers are theirs anyway.
    (np.round(_NORMAL, 3), 'real'), (0.5 * np.round(_NORMAL), 'real'),
    (np.append(np.round(0.5 * _NORMAL, 2), 0.123), 'real'),
    # Fine ones of which rows share values, many or few.
    (np.round(_NORMAL.clip(0.0), 3), 'integer:0.001'),
    (np.round(_NORMAL.clip(None, 0.0), 3), 'heavy_integer'),
    (np.round(_NORMAL.clip(-1.0), 3), 'real'),
    (np.round(_NORMAL[:150], 3).repeat(20), 'signed_integer:0.001'),
    (_NORMAL.clip(0.0), 'heavy'),
    (1000.0 + np.round(1e3 * _NORMAL), 'signed_integer'),
    (25.0 * np.round(50.0 + _NORMAL), 'integer'),
    (rng.integers(0, 2**40, 2000), 'real'),
    (np.round(rng.standard_t(1.5, 2000), 1), 'heavy_integer'),
    (np.round(9.0 * rng.standard_t(1.5, 2000)), 'heavy_integer')):
    found = column_fits.detected(np.float64(x)).spec()
    assert found == expected or expected.startswith('heavy') and (
        found.startswith(f'{expected}:')), (found, expected)


def test_grids_have_the_types_that_suit_them():
  """Counts are never negative, also beside others; heavy tails have a map."""
  rng = np.random.default_rng(0)
  for rate in 2.0, 3.0, 6.0:
    x = np.stack([rng.standard_normal(800), *rng.poisson(rate, [2, 800])], 1)
    schema, _ = column_fits.fit(schemas.make_schema('a', 'b', 'c'), x)
    assert schema.types[1:] == ('integer', 'integer')
  assert len(column_fits.candidates(np.round(50.0 + _NORMAL, 1))) == 3
  x = np.round(rng.standard_t(1.5, [2000, 1]), 1)
  found, = _fit(x).types
  assert found == _fit(x, 'a:heavy_integer').types[0]
  assert found.startswith('heavy_integer:') and found.endswith(':0.1')
  gain = column_fits._gaussian_log_likelihood(
      column_fits.detected(x[:, 0]), x[:, 0]
  ) - column_fits._gaussian_log_likelihood(
      column_fits.candidates(x[:, 0])[0], x[:, 0])
  assert gain > 1.0


def test_types_support_validation_rows():
  x = np.exp(_NORMAL)
  assert column_fits.detected(x, np.array([-1.0])).spec() != 'log'
  assert _fit(x[:, None], others=[[[-1.0]]]).types != ('log',)


def test_types_are_chosen_together():
  """But for what was asked; none of them costs a column its digits."""
  a, b = np.exp(0.1 * np.random.default_rng(0).standard_normal([2, 900]))
  x = np.stack([a, 1e-4 * b + a**2], axis=1)
  assert _fit(x).types == ('log', 'log')
  assert _fit(x, 'a:real').types == ()
  far = np.append(x, [[3e8, x[0, 1]]], axis=0)
  assert _fit(far).types[0].startswith(('log', 'heavy'))


def test_asked_types_are_checked():
  x = np.stack([np.exp(_NORMAL) - 0.5, _NORMAL], axis=1)
  schema = _fit(x, 'a:real')
  assert schema.types == ()
  np.testing.assert_allclose(schema.moments('modelled')[0], x.mean(axis=0))
  far = np.append(_NORMAL, 2147483647.0)[:, None]
  testing.check_refusals(lambda given: _fit(*given), [
      ((x, 'a:log'), 'column_types=a:log: expected a type of which all training'
       ' values are above 0 in float32. 505 of 2,000 are not: a is not above 0 '
       'in row 9 (-0.00526609954994917), ...Use --column_types=a:heavy.'),
      ((100.0 / (1.0 + np.exp(-x[:, 1:])), 'a:logit'),
       'column_types=a:logit: ...Use --column_types=a:logit:100.0.'),
      ((x, 'b:integer'), 'column_types=b:integer: expected a '),
      ((np.append(25.0 * np.round(9 + _NORMAL), 30.0)[:, None], 'a:integer:25'),
       'column_types=a:integer:25: expected a type of which all training values'
       ' are a multiple of 25 >= 0 in float32. 1 of 2,001 are not: a is not a '
       'multiple of 25 >= 0 in row 2001 (30). Use --column_types=a:signed_i'),
      ((far, 'a:real'), 'column_types=a:real leaves ...distinct values in '
       'float32, because of outliers such as 2.14748e+09. Use'),
      # Also where columns are only standardised.
      ((np.append(_NORMAL, 1e15)[:, None], 'none'), 'column_types=a:real leaves'
       ' ...because of outliers such as 1e+15. Use another type')])


def test_rows_are_float64_where_float32_would_cost_digits(caplog):
  """Of a column, or of a direction that only whitening widens."""
  rng = np.random.default_rng(1)
  for offset, noise, dtype in (
      (0.0, 1.0, None), (50.0, 1.0, None), (1e5, 1.0, 'float64'),
      (50.0, 1e-3, 'float64'), (1e6, 0.1, 'float64')):
    a = offset + _NORMAL
    x = np.stack([a, a + noise * rng.standard_normal(2000)], axis=1)
    assert _fit(x).dtype == dtype, (offset, noise)
  assert _fit(1e6 + 0.1 * rng.standard_normal([2000, 1])).dtype
  assert splits.refusal(_fit, np.stack([
      1e10 + _NORMAL, 1e10 + _NORMAL + 1e-3 * rng.standard_normal(2000)],
                                       axis=1)).startswith(
      'columns=a,b vary too little for their size, together if not alone, for')
  for scale, is_condition, is_right in (
      (1e-3, True, True), (1e-5, True, False), (1e-7, False, True),
      (1e-9, False, False)):
    assert is_right != bool(column_checks.column_problem(
        1.0 + scale * _NORMAL, np.ones(2), is_condition))


def test_columns_near_their_bounds():
  """Types are those that suit in float32, also for validation rows."""
  logits = 1.0 / (1.0 + np.exp(-2.0 * _NORMAL))
  for x, near, spec in (
    (logits, 1 - 1e-12, 'logit:1.0'),
    (100.0 * logits, 100 - 1e-10, 'logit:100.0'),
    (logits, 1e-40, 'logit:1.0'), (np.exp(_NORMAL), 1e-40, 'log'),
    (np.exp(_NORMAL), 1e-46, 'log')):
    assert column_fits.detected(x).spec() == spec
    for train, others in ((x, [near]), (np.append(x, near), [])):
      found = column_fits.detected(train, others)
      assert found.spec() != spec
      assert found.supports(np.float32(near))
      others = np.reshape(others, [-1, 1, 1])
      assert splits.refusal(
          _fit, train[:, None], f'a:{spec}', others=others).endswith(
              f' in row 2001 ({near:.15g}). Use --column_types=a:'
              f'{column_fits._kind(found.spec())}.')
  # What is far from a bound in float32 is left.
  assert column_fits.detected(logits, [1e-12, 1 - 1e-7]).spec() == 'logit:1.0'


def test_what_cannot_be_fitted():
  def fit(num_validation=2, **options):
    rows = np.random.default_rng(0).normal(size=[20, 2])
    return datasets.table(
      pd.DataFrame(rows, columns=['a', 'b']), **options
    ).with_validation(num_validation)

  testing.check_refusals(lambda options: fit(**options), [
    ({'num_validation': 16}, 'num_validation=16: expected at most 14, as'),
    ({'condition_on': ['a'], 'column_types': ['a:log']}, '...a modelled col'),
    ({'column_types': ['c:log']}, 'column_types=c:log: expected NAME:TYPE'),
    ({'column_types': ['guess']}, 'column_types=guess: expected NAME:TYPE'),
    ({'column_types': ['a:positive']}, '...and one of real, log, ')])
  with pytest.raises(errors.InvalidValueError, match='none alone'):
    fit(column_types=['none', 'a:log'])
  plain = fit(column_types=['none'])
  assert (plain.schema.types, plain.schema.whitening, plain.smoothing) == (
    (), (), 0.0)
  assert fit().schema.whitening


def test_rounding_is_no_value(caplog):
  """Rates that were computed: three of them, which differ by rounding."""
  rng = np.random.default_rng(0)
  price = np.exp(rng.normal(3.0, 1.0, 400))
  rate = price * rng.choice([0.05, 0.2, 0.1], 400, p=[0.1, 0.8, 0.1]) / price
  assert len(np.unique(rate)) > 5
  schema = datasets.table(
      pd.DataFrame({'price': price, 'rate': rate})).with_validation(0).schema
  assert 'Column rate has only 3 distinct values' in caplog.text
  scale = column_types.Heavy.fitted(rate).scale
  assert scale == rate.std() and len(schema.types) == 2


def test_weights_repeat_rows():
  rng = np.random.default_rng(0)
  x = rng.normal(size=[60, 3]) @ rng.normal(size=[3, 3])
  x[:, 1] = np.round(5.0 * x[:, 1])
  weight = rng.integers(1, 4, 60)
  schema = schema_lib.Schema.unnamed(2).with_columns([
      schema_lib.Column(role=schema_lib.CONDITION)])
  weighted, repeated = (
      column_fits.fit(schema, rows[:, :2], rows[:, 2:], asked=[
          'x0:real', 'x1:signed_integer'], weight=values)[0]
      for rows, values in ((x, weight), (np.repeat(x, weight, axis=0), None)))
  for role in schema_lib.OF_FLOWS:
    np.testing.assert_allclose(
        weighted.moments(role), repeated.moments(role), rtol=1e-12)
  np.testing.assert_allclose(weighted.whitening, repeated.whitening, rtol=1e-9)


def test_whole_numbers_have_the_moments_of_their_cells():
  """Those of log(x + U), U uniform, by its integrals."""
  x = np.random.default_rng(0).poisson(3.0, [3000, 1])
  schema = _fit(x)
  ends = np.maximum([x, x + 1.0], 1e-300)
  log = np.log(ends)
  first, second = (np.diff(ends * integral, axis=0).mean() for integral in (
    log - 1.0, log**2 - 2.0 * log + 2.0))
  np.testing.assert_allclose(
      np.ravel(schema.moments('modelled')),
      [first, np.sqrt(second - first**2)], rtol=0.02)
  assert schema.types == ('integer',)
