"""Chains given some columns, beside quadrature and closed forms."""

import numpy as np
import pytest
from scipy import integrate
from scipy import stats

from tf_resflow.evaluation import conditional_sampling as sampling


def _given(*columns):
  """Returns what is known of one row, from the intervals of each column."""
  width = max(map(len, columns))
  low, high = (np.array([[column[m][end] if m < len(column) else fill
                          for m in range(width)] for column in columns])[None]
               for end, fill in ((0, np.inf), (1, -np.inf)))
  return sampling.Given(low, high)


_UNKNOWN = [(-np.inf, np.inf)]


def _bent(y, rows=None):
  """Normal `a`, and `b` normal around its square."""
  del rows
  return stats.norm.logpdf(y[:, 0]) + stats.norm.logpdf(
      y[:, 1], y[:, 0]**2, 0.5)


def _proposal():
  rng = np.random.default_rng(0)
  a = rng.normal(size=4000)
  return sampling.Proposal(np.stack([a, rng.normal(a**2, 0.5)], axis=1))


@pytest.mark.parametrize('b', [[(1.5, 1.5)], [(1.0, 1.5), (4.0, np.inf)]],
                         ids=['a number', 'two intervals'])
def test_two_modes_of_a_bent_density(b):
  states, chains = sampling.run_chains(
      _bent, _proposal(), _given(_UNKNOWN, b), num_chains=8)

  def weight(a):
    return stats.norm.pdf(a) * sum(
        stats.norm.pdf(low, a**2, 0.5) if low == high else
        stats.norm.cdf(high, a**2, 0.5) - stats.norm.cdf(low, a**2, 0.5)
        for low, high in b)

  norm, square, fourth = (integrate.quad(
      lambda a, k=k: a**k * weight(a), -9, 9, limit=200)[0] for k in (0, 2, 4))
  assert chains.has_converged.all()
  assert chains.log_prob_given[0] == pytest.approx(np.log(norm), abs=0.2)
  a, found = np.moveaxis(states[:, 0], -1, 0)
  size = chains.effective_size[0]
  mean, std = square / norm, (fourth / norm - (square / norm)**2)**0.5
  assert np.mean(a**2) == pytest.approx(mean, abs=3 * std / size**0.5)
  assert np.mean(a > 0) == pytest.approx(0.5, abs=1.5 / size**0.5)
  assert np.all(np.any([(found >= low) & (found <= high) for low, high in b],
                       axis=0))


@pytest.mark.parametrize('interval', [(8.0, 9.0), (-30.0, -20.0), (-1.0, 2.0)])
def test_tails_have_their_probabilities(interval):
  y = np.random.default_rng(0).normal(size=[4000, 1])
  found = sampling.evidence(
      lambda y, rows: stats.norm.logpdf(y[:, 0]), sampling.Proposal(y),
      _given([interval]))
  low, high = np.sort(np.abs(interval))
  expected = np.log(stats.norm.sf(low) - stats.norm.sf(high)) if (
      np.prod(interval) > 0) else np.log(np.diff(stats.norm.cdf(interval)))
  assert found == pytest.approx(expected, abs=0.25)


def test_steps_return_with_the_density_that_is_stated():
  """A draw and the way back from it have opposite ratios."""
  proposal = _proposal()
  given = sampling.Given(*(np.repeat(end, 5, axis=0) for end in _given(
      _UNKNOWN, [(1.0, 1.5), (4.0, np.inf)])))
  rng = np.random.default_rng(1)
  y = np.stack([rng.normal(size=[5, 7]), rng.uniform(1.0, 1.5, [5, 7])], -1)
  new, ratio = proposal.draw(y, np.full([5, 2], False), given, rng)

  # p(y) / p(new) of the mixture, by its closed form.
  weights, means, covariances = (
      np.exp(proposal._log_weights), proposal._means, proposal._covariances)
  masses = [sum(stats.norm(mean[1], cov[1, 1]**0.5).cdf(high) - stats.norm(
      mean[1], cov[1, 1]**0.5).cdf(low) for low, high in (
          (1.0, 1.5), (4.0, np.inf)))
            for mean, cov in zip(means, covariances, strict=True)]

  def density(y):
    # `b` comes first and is truncated: the masses cancel the weights'.
    return sum(weight * stats.multivariate_normal(mean, cov).pdf(y)
               for weight, mean, cov in zip(
                   weights, means, covariances, strict=True)) / np.dot(
                       weights, masses)

  np.testing.assert_allclose(
      ratio, np.log(density(y)) - np.log(density(new)), rtol=1e-6)


def test_diagnosis_of_known_chains():
  """AR(1): (1 - r) / (1 + r) of the draws count; shifted chains differ."""
  rng = np.random.default_rng(0)
  r, y = 0.5, np.zeros([4000, 2, 4, 1])
  for t in range(1, len(y)):
    y[t] = r * y[t - 1] + rng.normal(size=y.shape[1:]) * (1 - r**2)**0.5
  y[:, 1, 0] += 1.0
  sizes, r_hats = sampling.diagnose(y, np.full([2, 1], True))
  assert sizes[0] == pytest.approx(16_000 * (1 - r) / (1 + r), rel=0.2)
  assert r_hats[0] < 1.01 and r_hats[1] > 1.05


@pytest.mark.slow
def test_chains_that_cannot_move_are_not_called_converged():
  """Modes that the proposal does not know of."""
  def two_spikes(y, rows):
    del rows
    return np.logaddexp(*(stats.norm(m, 1e-4).logpdf(y[:, 0])
                          for m in (-1.0, 1.0)))

  _, chains = sampling.run_chains(
      two_spikes, sampling.Proposal(
          np.random.default_rng(0).normal(size=[500, 1])), _given(_UNKNOWN))
  assert not chains.has_converged.any()
