"""Types that are chosen together, where one knows which go together."""

import numpy as np
from scipy import stats

from tf_resflow.columns import column_choice
from tf_resflow.columns import column_fits
from tf_resflow.columns import column_types

_REAL, _LOG = column_types.Real(), column_types.Log()


def _chosen(x, condition=None):
  """Returns the specs of detected and of chosen types."""
  detected = tuple(map(column_fits.detected, x.T))
  types = column_choice.chosen(
      [column_fits.candidates(column) for column in x.T], detected, x,
      condition)
  return [[t.spec() for t in those] for those in (detected, types)]


def _bodies(num_rows=600, seed=0):
  """Height, weight and the index of both, a tie of logarithms."""
  height, weight, noise = np.random.default_rng(seed).standard_normal(
      [3, num_rows]) * [[0.06], [0.18], [1e-4]]
  height, weight = 1.7 * np.exp(height), 72.0 * np.exp(weight + 1.2 * height)
  return np.stack(
      [height, weight, weight / height**2 * np.exp(noise)], axis=1)


def test_a_tie_of_logarithms_has_logarithms():
  detected, types = _chosen(_bodies())
  assert detected == ['real', 'log', 'log']
  assert types == ['log', 'log', 'log']


def test_a_tie_of_numbers_has_none():
  """Of a sum, also of whole numbers."""
  a, b = np.exp(0.5 * np.random.default_rng(0).standard_normal([2, 900]) + 4.0)
  x = np.stack([a, b, a + b], axis=1)
  noise = 1e-3 * np.random.default_rng(1).standard_normal(x.shape)
  assert _chosen(x + noise) == [['log'] * 3, ['real'] * 3]
  # So far from 0 that no sample is negative.
  x = np.exp(0.4 * np.log(x) + 3.0)
  x[:, 2] = x[:, 0] + x[:, 1]
  assert _chosen(np.floor(10.0 * x)) == [
      ['integer'] * 3, ['signed_integer'] * 3]


def test_a_tie_with_the_condition_counts():
  """A number whose logarithm is that of the condition, and its square."""
  c, noise = np.random.default_rng(0).standard_normal([2, 500])
  x = np.stack([5.0 + 0.5 * c, np.exp(0.1 * c + 1e-3 * noise)], axis=1)
  x[:, 0] += 0.2 * np.random.default_rng(1).standard_normal(500)
  assert _chosen(x, 0.1 * c[:, np.newaxis])[1] == ['real', 'log']
  assert _chosen(x, np.exp(0.1 * c)[:, np.newaxis])[1] == ['real', 'real']


def test_what_does_not_matter_has_the_fewest_maps():
  x = 50.0 + np.random.default_rng(0).standard_normal([400, 3])
  types = column_choice.chosen([(_REAL, _LOG)] * 3, (_LOG,) * 3, x)
  assert types == (_REAL,) * 3
  # What was asked for stays.
  options = [(_LOG,), (_REAL, _LOG), (_REAL, _LOG)]
  assert column_choice.chosen(options, (_LOG,) * 3, x) == (_LOG, _REAL, _REAL)
  # So does what was detected, if rows are too few.
  assert column_choice.chosen(
      [(_REAL, _LOG)] * 3, (_LOG,) * 3, x[:8]) == (_LOG,) * 3


def test_a_logarithm_of_a_grid_is_a_map():
  """Exchangeable columns, so far from 0 that nothing else counts."""
  x = np.round(np.random.default_rng(0).normal(170.0, 7.0, [900, 4]), 1)
  assert _chosen(x)[1] == ['signed_integer:0.1'] * 4


def test_a_column_that_the_rows_used_do_not_show():
  """It has few values, in rows that are left out: its own type."""
  rng = np.random.default_rng(0)
  x = np.stack([np.zeros(40_000), rng.standard_normal(40_000)], axis=1)
  used = np.linspace(0, 39_999, 2000).astype(int)
  left_out = np.setdiff1d(np.arange(40_000), used)
  x[left_out[::5000], 0] = rng.gamma(2.0, size=8)
  detected, types = _chosen(x)
  assert types == detected


def test_far_rows_do_not_decide(monkeypatch):
  """A tie of numbers, but for one row in a hundred."""
  x = np.exp(0.5 * np.random.default_rng(0).standard_normal([900, 2]))
  x = np.c_[x, x.sum(axis=1, keepdims=True)]
  x += 1e-3 * np.random.default_rng(1).standard_normal(x.shape)
  x[::100, 2] *= 2.0
  assert _chosen(x)[1] == ['real'] * 3
  monkeypatch.setattr(column_choice, 'MAX_DIFFERENCE', np.inf)
  assert _chosen(x)[1] == ['log'] * 3


def test_whole_sets_of_many_columns():
  x = np.concatenate([_bodies(seed=seed) for seed in range(7)], axis=1)
  detected, types = _chosen(x)
  assert types == ['log'] * 21 != detected


def test_the_likelihood_is_that_of_a_gaussian():
  """Of rows that are held out, in the units of the table."""
  x = _bodies(200)
  comparison = column_choice._Comparison(x, None)
  types = _LOG, _REAL, _LOG
  found = comparison.gain(types, (_LOG,) * 3)[0]
  y = x.copy()
  y[:, [0, 2]] = np.log(x[:, [0, 2]])

  def log_prob(rows, log_det):
    fold = np.arange(200) % 5
    return log_det + np.stack([stats.multivariate_normal(
        rows[fold != i].mean(axis=0), np.cov(
            rows[fold != i].T, ddof=0)).logpdf(rows[fold == i])
                               for i in range(5)], axis=1).ravel()

  expected = log_prob(y, -y[:, 0] - y[:, 2]) - log_prob(
      np.log(x), -np.log(x).sum(axis=1))
  np.testing.assert_allclose(
      found, np.clip(expected, -10.0, 10.0).mean(), rtol=0.01)
