"""Rows given some columns, beside the conditionals of a Gaussian."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tests.evaluation import gaussian_flows
from tf_resflow import models
from tf_resflow.workflow import imputing


@pytest.fixture(scope='module', name='flow')
def make_flow():
  return gaussian_flows.make_flow('real', 'log', 'integer')


def _given(places, values):
  """Returns mean and covariance of the other mapped numbers."""
  normal = gaussian_flows.gaussian()
  others = [i for i in range(3) if i not in places]
  gain = normal.cov[np.ix_(others, places)] @ np.linalg.inv(
      normal.cov[np.ix_(places, places)])
  return (normal.mean[others] + gain @ (values - normal.mean[places]),
          normal.cov[np.ix_(others, others)]
          - gain @ normal.cov[np.ix_(places, others)])


@pytest.mark.slow
def test_numbers_are_given(flow):
  frame = imputing.sample_given(flow, 1000, {'b': 1.2, 'a': -1.0})
  assert {*frame['a']} == {-1.0} and {*frame['b']} == {1.2}
  (mean,), ((variance,),) = _given([0, 1], [-1.0, np.log(1.2)])
  # Whole numbers by the probabilities of their cells.
  cells = stats.norm(mean, variance**0.5).cdf(np.log(np.arange(1, 200)))
  p = np.diff(np.r_[0.0, cells])
  k = np.arange(len(p))
  expected, std = p @ k, (p @ k**2 - (p @ k)**2)**0.5
  size = min(1000, frame.attrs['effective_size'][0])
  assert frame['c'].mean() == pytest.approx(expected, abs=3 * std / size**0.5)
  assert np.mean(frame['c'] == p.argmax()) == pytest.approx(
      p.max(), abs=1.5 / size**0.5)
  normal = gaussian_flows.gaussian()
  assert frame.attrs['log_prob_given'][0] == pytest.approx(  # Of 1.2 itself.
      stats.multivariate_normal(normal.mean[:2], normal.cov[:2, :2]).logpdf(
          [-1.0, np.log(1.2)]) - np.log(1.2), abs=0.1)
  whole = {'a': -1.0, 'b': 1.2, 'c': 9}
  found = imputing.sample_given(flow, 1, whole)
  assert found.attrs['log_prob_given'][0] == pytest.approx(
      float(flow.log_prob(found)[0]), abs=0.1)


@pytest.mark.slow
def test_cells_and_intervals_are_given(flow):
  """A whole number is a cell: its probability; so are lists of them."""
  frame = imputing.sample_given(
      flow, 500, {'c': [3, 4, 9], 'a': (None, 1.0)})
  assert {*frame['c']} <= {3, 4, 9} and frame['a'].max() <= 1.0
  rows = gaussian_flows.gaussian().rvs(400_000, random_state=0)
  k = np.floor(np.exp(rows[:, 2]))
  kept = rows[np.isin(k, [3, 4, 9]) & (rows[:, 0] <= 1.0)]
  size = min(500, frame.attrs['effective_size'][0])
  assert frame.attrs['log_prob_given'][0] == pytest.approx(
      np.log(len(kept) / len(rows)), abs=0.2)
  found = np.log(frame['b'])
  assert found.mean() == pytest.approx(
      kept[:, 1].mean(), abs=3 * kept[:, 1].std() / size**0.5)
  assert found.std() == pytest.approx(kept[:, 1].std(), rel=3 / (2 * size)**0.5)


@pytest.mark.slow
def test_a_frame_gives_columns_row_by_row(flow, caplog):
  given = pd.DataFrame({'b': [1.2, 1.7], 'c': [12, np.nan]}, ['s', 't'])
  frame = imputing.sample_given(flow, 2, given)
  assert [*frame.index] == ['s', 's', 't', 't']
  assert frame['b'].tolist() == [1.2, 1.2, 1.7, 1.7]
  assert frame['c'].tolist()[:2] == [12, 12]
  assert 'improbable' not in caplog.text
  far = imputing.sample_given(flow, 1, {'b': 1e-3})
  assert far.attrs['rank'] == [0.0] and 'improbable' in caplog.text
  caplog.clear()
  # Of intervals the probability counts.
  assert np.isnan(imputing.sample_given(
      flow, 1, {'a': (-2.0, None)}).attrs['rank'][0])
  assert 'improbable' not in caplog.text
  imputing.sample_given(flow, 1, {'a': (9.0, None)})
  assert 'improbable' in caplog.text


def test_gaps_are_filled_and_the_rest_stays(flow):
  rng = np.random.default_rng(0)
  rows = gaussian_flows.gaussian().rvs(40, random_state=1)
  frame = pd.DataFrame({
      'note': 'x', 'c': np.floor(np.exp(rows[:, 2])), 'a': rows[:, 0],
      'b': np.exp(rows[:, 1])}, rng.permutation(40))
  frame.insert(0, 'note', 'y', allow_duplicates=True)
  holes = frame.copy()
  holes.loc[frame.index[:30], 'a'] = np.nan
  holes.loc[frame.index[20:35], 'c'] = np.nan
  filled = imputing.impute(flow, holes, draws=20)
  assert filled.index.names == ['draw', None] and len(filled) == 800
  one = filled.loc[3]
  assert [*one.columns] == [*frame.columns] and one.index.equals(frame.index)
  known = holes[['a', 'b', 'c']].notna()
  pd.testing.assert_frame_equal(
      one[['a', 'b', 'c']][known], frame[['a', 'b', 'c']][known])
  assert not filled.isna().any(axis=None)
  # Those of `a` alone, given b and c: 20 rows of 20 draws.
  z = []
  for label in frame.index[:20]:
    b, c = frame.loc[label, ['b', 'c']]
    (mean,), ((variance,),) = _given([1, 2], [np.log(b), np.log(c + 0.5)])
    z.append((filled.xs(label, level=1)['a'] - mean) / variance**0.5)
  assert np.mean(z) == pytest.approx(0.0, abs=0.2)
  assert np.std(z) == pytest.approx(1.0, abs=0.15)


@pytest.mark.slow
def test_conditions_are_those_of_the_rows():
  flow = models.VectorFlowConfig(
      event_size=2, num_blocks=1, condition_size=1, condition_at=('base',),
      schema={'columns': [
          {'name': 'a', 'position': 0}, {'name': 'b', 'position': 1},
          {'name': 't', 'role': 'condition', 'position': 2}]}).build()
  flow.initialize(np.random.default_rng(0).normal(size=[50, 2]),
                  np.zeros([50, 1]))
  frame = pd.DataFrame({'a': [0.5, np.nan, 2.0], 'b': [np.nan] * 3,
                        't': [1.0, -1.0, np.nan]})
  filled = imputing.impute(flow, frame)
  assert filled['b'].notna().tolist() == [True, True, False]
  assert filled['a'].tolist()[::2] == [0.5, 2.0]
  assert imputing.sample_given(
      flow, 2, {'t': 1.0, 'a': 0.5})['t'].tolist() == [1, 1]


@pytest.mark.slow
def test_rows_of_any_number_have_draws_of_their_own(flow, monkeypatch):
  """Also those of several parts."""
  monkeypatch.setattr(imputing, '_NUM_NUMBERS', 120)
  frame = pd.DataFrame({'a': [1.0] * 30, 'c': 12.0, 'b': np.nan})
  assert imputing.impute(flow, frame)['b'].nunique() == 30


@pytest.mark.slow
def test_labels_are_given():
  flow = models.VectorFlowConfig(
      event_size=2, num_blocks=1, condition_labels=3, condition_at=('base',)
  ).build()
  flow.initialize(np.random.default_rng(0).normal(size=[50, 2]),
                  np.zeros([50], int))
  filled = imputing.impute(flow, np.array([[0.5, np.nan], [np.nan, 1.0]]),
                           condition=[0, 2])
  assert not filled.isna().any(axis=None)
