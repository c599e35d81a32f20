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


def _log_prob(one):
  """The log of the density, or probability, of the value of the row."""
  return one.own - one.log_norm


def test_real_and_positive_columns_are_those_of_a_gaussian():
  flow = gaussian_flows.make_flow('real', 'log', 'heavy:1.0:2.0')
  x = np.array([9.0, 1.2, 30.0])
  y = mapping.mapped(flow.schema.types, x[np.newaxis])[0][0]
  for i, one in enumerate(_conditionals(flow, x)):
    expected = gaussian_flows.given_others(i, y)
    assert one.is_normalised
    assert _log_prob(one) == pytest.approx(expected.logpdf(y[i]), abs=2e-3)
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
  values = np.int64(one.nodes)
  assert np.ptp(values) == len(values) - 1 and one.is_normalised
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
  assert len(one.nodes) < 1000 and one.is_normalised
  assert _log_prob(one) == pytest.approx(
      expected.logpdf(2.50005) - np.log(10_000), abs=2e-3)
  np.testing.assert_allclose(
      one.interval(0.9), [expected.interval(0.9)], atol=0.02)  # A node.


def test_a_gap_has_two_intervals():
  y = np.linspace(-9.0, 9.0, 2001)
  log_density = np.logaddexp(
      stats.norm(-4).logpdf(y), stats.norm(4).logpdf(y))
  one = conditionals.Conditional(
      conditionals.column_types.Real(), y, log_density, log_density[1000],
      (-np.inf, np.inf))
  inner = stats.norm.isf(0.05)
  np.testing.assert_allclose(
      one.interval(0.9), [(-4 - inner, -4 + inner), (4 - inner, 4 + inner)],
      atol=0.01)
  assert one.tail() < 1e-3
  assert one.gain == pytest.approx(8.0 - np.log(2.0), abs=1e-4)


def test_distant_modes_are_reached():
  """Of columns that do not suit a value that is a thousand deviations away."""
  flow = gaussian_flows.make_flow('real', 'real', 'real')
  x = gaussian_flows.MEAN + [2000.0, 0.0, 0.0]
  for i, one in enumerate(_conditionals(flow, x)[1:], 1):
    expected = gaussian_flows.given_others(i, x)
    assert one.is_normalised
    np.testing.assert_allclose(
        one.interval(0.9), [expected.interval(0.9)], atol=0.02)


def test_small_counts_with_wide_tails_have_their_probabilities():
  """Whose range is too large to sum all of it."""
  flow = gaussian_flows.make_flow(
      'real', 'real', 'integer', mean=[0.0, 0.0, 1.0], std=[1.0, 1.0, 1.5],
      lower=np.eye(3))
  k = np.arange(50_000)
  # As the flow averages a cell.
  points = np.log(k[:, np.newaxis] + (np.arange(16) + 0.5) / 16)
  p = (stats.norm(1.0, 1.5).pdf(points) / np.exp(points)).mean(axis=1)
  p /= p.sum()
  found = conditionals.Conditionals(flow)
  reference = found.reference()
  for value in (0, 1, 300):
    (one,) = found(np.array([0.0, 0.0, value]), [2], reference)
    assert one.is_normalised and one.mode == p.argmax()
    assert _log_prob(one) == pytest.approx(np.log(p[value]), abs=0.01)
    assert one.tail() == pytest.approx(p[p <= p[value]].sum(), rel=0.1)


def test_a_column_with_one_value_harms_no_other():
  flow = gaussian_flows.make_flow(
      'real', 'real', 'signed_integer', mean=[0.0, 0.0, 0.5],
      std=[1.0, 1.0, 0.05], lower=np.eye(3))
  first, _, last = _conditionals(flow, np.array([1.0, 0.0, 0.0]))
  assert _log_prob(first) == pytest.approx(stats.norm.logpdf(1.0), abs=2e-3)
  assert last.interval(0.9) == [(0.0, 0.0)] and last.mode == 0.0
