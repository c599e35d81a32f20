"""Ranks by hand, and a band that holds as often as it says."""

import numpy as np
import pytest

from tf_resflow import errors
from tf_resflow import evaluation

_NUM_SIMULATIONS, _NUM_DRAWS = 200, 99
_NUM_TRIALS = 1000


def _coverage(band, num_simulations=_NUM_SIMULATIONS, num_draws=_NUM_DRAWS):
  """How often the band holds uniform ranks; not those that it was made of."""
  ranks = np.random.default_rng(12_345).integers(
      0, num_draws + 1, [_NUM_TRIALS, num_simulations])
  return np.mean([band.holds(row) for row in ranks])


@pytest.fixture(scope='module', name='band')
def _band():
  return evaluation.simultaneous_band(_NUM_SIMULATIONS, _NUM_DRAWS)


def test_ranks_by_hand():
  """Of two parameters; an equal draw is not smaller."""
  values = [[0.5, 3.0], [2.0, -1.0]]
  draws = [[[0.0, 1.0], [1.0, 2.0], [0.2, 9.0]],
           [[0.0, 1.0], [2.0, 2.0], [0.2, -9.0]]]
  np.testing.assert_array_equal(
      evaluation.ranks(values, draws), [[2, 2], [2, 1]])
  for values, draws in (
      ([3], [2, 5]), ([3], [3]), ([3, 2], [3, 5]), ([3, 2], [3, 5, 1])):
    with pytest.raises(errors.InvalidValueError, match=(
        r'draws=\[.*\]: expected \[N, L, ...\] for values \[N, ...\] \[3')):
      evaluation.ranks(np.zeros(values), np.zeros(draws))


@pytest.mark.parametrize('level', [0.99, 0.9, 0.5])
def test_the_band_holds_as_often_as_it_says(level):
  """Within the chance of 1000 trials and of the simulation of the band."""
  found = _coverage(evaluation.simultaneous_band(
      _NUM_SIMULATIONS, _NUM_DRAWS, level))
  deviation = np.sqrt(level * (1.0 - level) * (1 / _NUM_TRIALS + 1 / 4000))
  assert abs(found - level) < 4 * deviation
  # The band of another level would be noticed.
  for wrong in {0.99, 0.9, 0.5} - {level}:
    assert abs(found - wrong) > 4 * deviation


def test_a_few_draws():
  band = evaluation.simultaneous_band(50, 4)
  np.testing.assert_allclose(band.points, [0.2, 0.4, 0.6, 0.8])
  assert 0.97 < _coverage(band, 50, 4) <= 1.0
  assert not band.holds(np.zeros(50, int))


def test_the_band_is_of_the_seed_alone(band):
  again = evaluation.simultaneous_band(_NUM_SIMULATIONS, _NUM_DRAWS)
  np.testing.assert_array_equal(again.low, band.low)
  np.testing.assert_array_equal(again.high, band.high)
  assert (band.num_draws, band.level) == (_NUM_DRAWS, 0.99)


def test_shares_of_all_ranks_once_are_the_points():
  """Up to those of the ranks that there are: rounding makes no difference."""
  for num_draws in (3, 29, 99, 199, 1000):
    band = evaluation.simultaneous_band(20, num_draws)
    ranks = np.arange(num_draws + 1)
    shares = band.shares(np.random.default_rng(0).permutation(ranks))
    assert np.all(np.abs(shares - band.points) < 1 / (num_draws + 1))
    if num_draws < 100:  # Every point is one of a rank.
      np.testing.assert_allclose(shares, band.points, rtol=1e-12)
  # By hand.
  band = evaluation.simultaneous_band(20, 3)
  np.testing.assert_allclose(band.points, [0.25, 0.5, 0.75])
  np.testing.assert_allclose(
      band.shares([0, 0, 1, 3, 3]), [2 / 5, 3 / 5, 3 / 5])


def _simulated_ranks(scale, shift=0.0, num_simulations=500):
  """Of a posterior in closed form, or of one too wide, narrow or beside it.

  A standard normal parameter, and a datum that is normal around it: the
  posterior has the mean y / 2 and the variance 1 / 2.
  """
  rng = np.random.default_rng(3)
  theta = rng.normal(size=num_simulations)
  y = theta + rng.normal(size=num_simulations)
  draws = (y / 2 + shift)[:, np.newaxis] + scale * np.sqrt(0.5) * rng.normal(
      size=[num_simulations, _NUM_DRAWS])
  return evaluation.ranks(theta, draws)


def test_ranks_tell_a_posterior_from_wrong_ones():
  band = evaluation.simultaneous_band(500, _NUM_DRAWS)
  assert band.holds(_simulated_ranks(1.0))
  for scale, shift in ((0.75, 0.0), (1.4, 0.0), (1.0, 0.2), (1.0, -0.2)):
    assert not band.holds(_simulated_ranks(scale, shift))
  # Too narrow: too many at both ends.
  shares = band.shares(_simulated_ranks(0.75))
  middle = len(shares) // 2
  assert np.argmax(shares - band.high) < middle
  assert np.argmin(shares - band.low) > middle


def test_levels_that_mean_nothing():
  for level in (0.0, 1.0, 1.5, float('nan')):
    with pytest.raises(errors.InvalidValueError, match=f'level={level}: expe'):
      evaluation.simultaneous_band(10, 10, level)


def test_picture(band, tmp_path):
  ranks = {'theta': np.arange(_NUM_SIMULATIONS) % 100,
           'log_prob': np.zeros(_NUM_SIMULATIONS, int)}
  for suffix, start in (('png', b'\x89PNG'), ('svg', b'<?xml')):
    path = tmp_path / f'ranks.{suffix}'
    evaluation.save_ranks(path, ranks, band)
    assert path.read_bytes().startswith(start)
  text = path.read_text()
  assert 'theta' in text and '99% of uniform ranks' in text
