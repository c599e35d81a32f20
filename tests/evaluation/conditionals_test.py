"""Conditional distributions of columns, beside those of a Gaussian."""

import numpy as np
import pytest
from scipy import stats

from tests.evaluation import gaussian_flows
from tf_resflow.columns import mapping
from tf_resflow.evaluation import conditionals


def _conditionals(flow, x, **options):
  found = conditionals.Conditionals(flow)
  return found(x, range(3), found.reference(), **options)


def test_real_and_positive_columns_are_those_of_a_gaussian():
  flow = gaussian_flows.make_flow('real', 'log', 'heavy:1.0:2.0')
  x = np.array([9.0, 1.2, 30.0])
  y = mapping.mapped(flow.schema.types, x[np.newaxis])[0][0]
  for i, one in enumerate(_conditionals(flow, x)):
    expected = gaussian_flows.given_others(i, y)
    assert one.is_normalised and not one.is_enumerated
    assert one.log_prob == pytest.approx(expected.logpdf(y[i]), abs=2e-3)
    distance = abs(y[i] - expected.mean()) / expected.std()
    assert one.tail() == pytest.approx(2 * stats.norm.sf(distance), rel=0.02)
    np.testing.assert_allclose(
        one.interval(0.9), [conditionals.values_at(
            one.column_type, np.array(expected.interval(0.9)))], rtol=0.01)
    assert one.gain == pytest.approx(distance**2 / 2, abs=0.02)


def test_whole_numbers_have_the_probabilities_of_their_cells():
  """Those of cells of a Gaussian, by points inside of the other cells."""
  flow = gaussian_flows.make_flow('real', 'log', 'integer')
  x = np.array([2.0, 1.5, 40.0])
  one = _conditionals(flow, x)[2]
  k = np.arange(200)
  points = (k[:, np.newaxis] + (np.arange(1000) + 0.5) / 1000)
  rows = np.stack([np.full(points.shape, x[0]),
                   np.full(points.shape, np.log(x[1])), np.log(points)], -1)
  p = (gaussian_flows.gaussian().pdf(rows) / points).mean(axis=1)
  p /= p.sum()
  values = np.int64(conditionals.values_at(one.column_type, one.y))
  assert one.is_enumerated
  found = np.exp(one.log_density - one.log_norm)
  np.testing.assert_allclose(found, p[values], atol=1e-3)
  assert one.tail() == pytest.approx(p[p <= p[40]].sum(), abs=2e-3)
  order = np.argsort(-p)
  inside = order[:np.searchsorted(np.cumsum(p[order]), 0.9) + 1]
  assert one.interval(0.9) == [(inside.min(), inside.max())]
  assert one.mode == p.argmax()


def test_large_whole_numbers_are_integrated_by_cells():
  flow = gaussian_flows.make_flow(
      'real', 'log', 'signed_integer:0.0001', steps=10_000)
  one = _conditionals(flow, x := np.array([2.0, 1.5, 2.5]))[2]
  expected = gaussian_flows.given_others(
      2, np.array([x[0], np.log(x[1]), x[2] + 5e-5]))
  assert not one.is_enumerated and one.is_normalised
  assert one.log_prob == pytest.approx(
      expected.logpdf(2.50005) - np.log(10_000), abs=2e-3)
  np.testing.assert_allclose(
      one.interval(0.9), [expected.interval(0.9)], atol=2e-3)


def test_a_gap_has_two_intervals():
  one = conditionals.Conditional(
      conditionals.column_types.Real(), y := np.linspace(-9.0, 9.0, 2001),
      np.logaddexp(stats.norm(-4).logpdf(y), stats.norm(4).logpdf(y)), 1000,
      is_enumerated=False)
  inner = stats.norm.isf(0.05)
  np.testing.assert_allclose(
      one.interval(0.9), [(-4 - inner, -4 + inner), (4 - inner, 4 + inner)],
      atol=0.01)
  assert one.tail() < 1e-3
  assert one.gain == pytest.approx(8.0 - np.log(2.0), abs=1e-4)
