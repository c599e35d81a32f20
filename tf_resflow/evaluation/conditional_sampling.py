"""Samples of columns of a flow given the others, by Markov chains."""

from collections.abc import Callable
import math
from typing import Any, NamedTuple

import numpy as np
from scipy import special
from scipy import stats
import threadpoolctl

from tf_resflow import errors
from tf_resflow.columns import mixtures

# Samples that a proposal is fitted to, and that what is given is compared with;
# components, and what is added to variances of standardised coordinates.
NUM_SAMPLES, NUM_RANKED = 5000, 200
_NUM_COMPONENTS, _REGULARIZATION = 10, 1e-6
# Factor of the covariance of all samples in a further component, its weight.
_WIDTH, _WEIGHT = 4.0, 0.05
# Candidates of the first states, a multiple of the number of chains.
_NUM_CANDIDATES = 16
# Chains of a row, or a multiple; steps of the first round, that is not kept;
# the most rounds, of twice as many each; states of a chain that are kept.
NUM_CHAINS, _NUM_STEPS, _MAX_ROUNDS, NUM_STATES = 4, 250, 4, 500
# A row has converged with so many effective draws of each column, and at most
# this potential scale reduction.
MIN_EFFECTIVE, MAX_R_HAT = 100.0, 1.05
# Quantiles whose effective draws those of the tails are.
_TAILS = 0.05, 0.95


class Given(NamedTuple):
  """What is known of rows, in coordinates `y`, of each column of each row.

  A column is given if its only interval has one point.

  Attributes:
    low, high: ends of the intervals that hold it, `[N, D, M]`; those past the
      last one are `inf, -inf`. Infinite ends stand for no bound.
  """

  low: np.ndarray
  high: np.ndarray

  @property
  def is_fixed(self) -> np.ndarray:
    """Which columns are given, bool `[N, D]`."""
    return (self.low == self.high).any(axis=-1)

  @property
  def is_bounded(self) -> np.ndarray:
    """Which others are inside of intervals."""
    return ~self.is_fixed & np.isfinite([self.low, self.high])[..., 0].any(0)


class Diagnosis(NamedTuple):
  """What the chains of each row say, `[N]`.

  Attributes:
    log_prob_given: log of the density of the given coordinates, times the
      probability of the intervals of others, nats, by importance sampling of
      the first states.
    effective_size, r_hat: the least effective number of draws, of the bulk and
      of both tails, and the largest potential scale reduction of the columns.
  """

  log_prob_given: np.ndarray
  effective_size: np.ndarray
  r_hat: np.ndarray

  @property
  def has_converged(self) -> np.ndarray:
    """Whether the draws of a row can be used, bool `[N]`."""
    return (self.effective_size >= MIN_EFFECTIVE) & (self.r_hat <= MAX_R_HAT)


def draws_of(states: np.ndarray, count: int) -> np.ndarray:
  """Returns states of `run_chains`, chain by chain and as far apart as can be,
  `[N, count, D]`."""
  num_steps, num_rows, num_chains, size = states.shape
  places = np.int64((np.arange(count) + 0.5) / count * num_steps * num_chains)
  return np.moveaxis(states, 0, 2).reshape([num_rows, -1, size])[:, places]


class Proposal:
  """A mixture of Gaussians that draws some coordinates given the others.

  Coordinates that have intervals follow the given ones, then the others. By the
  Cholesky factor of the covariance in this order, each one is normal given
  those before it, and truncated if it has intervals. So the density of a draw
  is known exactly.

  Args:
    y: samples of all coordinates, `[S, D]`.
    seed: of the fit.
  """

  def __init__(self, y: np.ndarray, seed: int = 0):
    mean, std = y.mean(axis=0), y.std(axis=0)
    std = np.where(std > 0.0, std, 1.0)
    z = (y - mean) / std
    with threadpoolctl.threadpool_limits(1):  # See `mixtures.search`.
      fitted = mixtures.Candidate(
          min(_NUM_COMPONENTS, len(y)), 'full', _REGULARIZATION, ''
      ).fit(z, seed)
    errors.check(fitted, 'samples', 'some that are not finite', 'numbers')
    wide = _WIDTH * (z.T @ z / len(z) + _REGULARIZATION * np.eye(len(mean)))
    self._log_weights = np.log(np.r_[
        (1.0 - _WEIGHT) * fitted.weights_, _WEIGHT])
    self._means = mean + std * np.r_[fitted.means_, [0.0 * mean]]
    self._covariances = np.r_[fitted.covariances_, [wide]] * np.outer(std, std)

  def draw(self, y: np.ndarray, is_kept: np.ndarray, given: Given,
           rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draws coordinates that are not kept, given those that are.

    Args:
      y: states, `[N, C, D]`.
      is_kept: bool `[N, D]`.
      given: intervals of the others.
      rng: draws.

    Returns:
      New states, and the log of the density of a step back to `y` over that of
      the step; with NaN in `y`, minus the log-density of the step, `[N, C]`.
    """
    is_bounded = given.is_bounded & ~is_kept
    order = np.argsort(
        np.where(is_kept, 0, 2 - is_bounded), axis=1, kind='stable')
    rows = np.arange(len(order))[:, np.newaxis]
    distinct, place = np.unique(order, axis=0, return_inverse=True)
    factors = np.linalg.cholesky(np.moveaxis(self._covariances[
        :, distinct[:, :, np.newaxis], distinct[:, np.newaxis]], 0, 1))
    problem = _Ordered(
        np.moveaxis(self._means[:, order], 0, 1), factors[place.ravel()],
        *(part[rows, order] for part in (
            is_kept, is_bounded, given.low, given.high)))
    before = np.take_along_axis(y, order[:, np.newaxis], axis=2)
    noise = problem.noise(before)
    log_kept, backwards = problem.log_densities(noise)
    log_weights = special.log_softmax(self._log_weights + log_kept, axis=-1)
    component = np.argmax(log_weights + rng.gumbel(size=log_weights.shape), -1)
    after = problem.draw(before, noise, component, rng)
    _, forwards = problem.log_densities(problem.noise(after))
    new = np.take_along_axis(
        after, np.argsort(order, axis=1)[:, np.newaxis], axis=2)
    log_forwards = special.logsumexp(log_weights + forwards, axis=-1)
    log_backwards = special.logsumexp(log_weights + backwards, axis=-1)
    return new, np.where(np.isnan(y).any(axis=-1), 0.0,
                         log_backwards) - log_forwards


class _Ordered(NamedTuple):
  """Components in the order of each row, of which kept coordinates come first.

  Attributes:
    mean, factor: `[N, K, D]`, and Cholesky factors, `[N, K, D, D]`.
    is_kept, is_bounded, low, high: `[N, D]`, and those of `Given`.
  """

  mean: np.ndarray
  factor: np.ndarray
  is_kept: np.ndarray
  is_bounded: np.ndarray
  low: np.ndarray
  high: np.ndarray

  def noise(self, y):
    """Returns the standard normals of states, `[N, C, K, D]`."""
    noise = np.zeros([*y.shape[:2], *self.mean.shape[1:]])
    for j in range(y.shape[-1]):
      noise[..., j] = (y[:, :, np.newaxis, j] - self._center(
          noise, j)) / self.factor[:, np.newaxis, :, j, j]
    return noise

  def log_densities(self, noise):
    """Returns log-densities of the kept coordinates, times probabilities of the
    intervals of others given these, and of the others; both `[N, C, K]`."""
    kept = self.is_kept[:, np.newaxis, np.newaxis]
    scale = np.diagonal(self.factor, axis1=-2, axis2=-1)[:, np.newaxis]
    log_p = -0.5 * noise**2 - np.log(scale) - 0.5 * math.log(2.0 * math.pi)
    log_kept, log_others = (
        np.where(which, log_p, 0.0).sum(axis=-1) for which in (kept, ~kept))
    for j in np.flatnonzero(self.is_bounded.any(axis=0)):
      is_bounded = self.is_bounded[:, j, np.newaxis, np.newaxis]
      log_others -= np.where(is_bounded, self._log_mass(
          j, self._center(noise, j), scale[..., j]), 0.0)
      # Given the kept coordinates alone.
      variance = np.where(kept[:, 0], 0.0, self.factor[:, :, j]**2).sum(axis=-1)
      log_kept += np.where(is_bounded, self._log_mass(
          j, self._center(np.where(kept, noise, 0.0), j), np.sqrt(np.where(
              is_bounded, variance[:, np.newaxis], 1.0))), 0.0)
    return log_kept, log_others

  def draw(self, y, noise, component, rng):
    """Returns states whose coordinates that are not kept are drawn anew."""
    rows, kept = np.arange(len(y))[:, np.newaxis], self.is_kept[:, np.newaxis]
    mean, factor = self.mean[rows, component], self.factor[rows, component]
    noise = np.where(kept, np.take_along_axis(
        noise, component[..., np.newaxis, np.newaxis], axis=2)[:, :, 0],
                     rng.normal(size=y.shape))
    for j in np.flatnonzero(self.is_bounded.any(axis=0)):
      center = mean[..., j] + (factor[..., j, :j] * noise[..., :j]).sum(axis=-1)
      noise[..., j] = np.where(
          self.is_bounded[:, j, np.newaxis], self._truncated(
              j, center, factor[..., j, j], rng), noise[..., j])
    return np.where(kept, y, mean + np.einsum('ncij,ncj->nci', factor, noise))

  def _center(self, noise, j):
    """Mean of a coordinate given those before, `[N, C, K]`."""
    return self.mean[:, np.newaxis, :, j] + np.einsum(
        'nki,ncki->nck', self.factor[:, :, j, :j], noise[..., :j])

  def _intervals(self, j, center, scale):
    """Standardised ends of all intervals, and their log-probabilities."""
    low, high = ((end[:, np.newaxis, np.newaxis, j] - center[..., np.newaxis])
                 / scale[..., np.newaxis] for end in (self.low, self.high))
    # In the tail in which differences are exact.
    below = special.log_ndtr(np.where(low > 0.0, -high, low))
    above = special.log_ndtr(np.where(low > 0.0, -low, high))
    with np.errstate(invalid='ignore', divide='ignore'):
      return low, high, np.where(
          low < high, above + np.log1p(-np.exp(below - above)), -np.inf)

  def _log_mass(self, *coordinate):
    """Log-probabilities of being inside of one of the intervals."""
    return special.logsumexp(self._intervals(*coordinate)[-1], axis=-1)

  def _truncated(self, j, center, scale, rng):
    """Draws of a standardised coordinate inside of its intervals."""
    low, high, each = self._intervals(
        j, center[..., np.newaxis], scale[..., np.newaxis])
    place = np.argmax(each + rng.gumbel(size=each.shape), -1)[..., np.newaxis]
    ends = (np.take_along_axis(end, place, axis=-1)[..., 0, 0]
            for end in (low, high))
    return stats.truncnorm.ppf(rng.uniform(size=center.shape), *ends)


def run_chains(
    log_density_fn: Callable[[np.ndarray, np.ndarray], np.ndarray],
    proposal: Proposal, given: Given, num_chains: int = NUM_CHAINS,
    seed: Any = 0) -> tuple[np.ndarray, Diagnosis]:
  """Draws coordinates of rows given others.

  By the Metropolis-Hastings algorithm: half of the steps renew all coordinates
  that are not given, the others some of them given the rest, by the proposal.
  Rows that have not converged get further rounds of twice as many steps, up to
  four, of which the last one counts.

  Args:
    log_density_fn: maps `y` `[B, D]` and the numbers of their rows, `[B]`, to
      log-densities `[B]`.
    proposal: fitted to samples of the same density.
    given: what is known of each row.
    num_chains: of each row.
    seed: of all draws.

  Returns:
    States `[S, N, C, D]`, of `S` steps and `C` chains; and their diagnosis.

  References:
    Vehtari et al., 2021, Rank-Normalization, Folding, and Localization: An
    Improved R-hat for Assessing Convergence of MCMC.
  """
  rng = np.random.default_rng(seed)
  y, log_prob, log_prob_given = _first_states(
      log_density_fn, proposal, given, num_chains, rng)
  rows, kept = np.arange(len(y)), np.empty([NUM_STATES, *y.shape])
  found = Diagnosis(log_prob_given, *np.empty([2, len(y)]))
  for count in range(_MAX_ROUNDS):
    num_steps, states = _NUM_STEPS << count, []
    for step in range(num_steps):
      y, log_prob = _step(
          log_density_fn, proposal, Given(given.low[rows], given.high[rows]),
          rows, y, log_prob, rng)
      if step % max(num_steps // len(kept), 1) == 0:
        states.append(y)
    if not count:
      continue  # They forget the first states.
    kept[:, rows] = states
    found.effective_size[rows], found.r_hat[rows] = diagnose(
        kept[:, rows], ~given.is_fixed[rows])
    left = ~found.has_converged[rows]
    rows, y, log_prob = rows[left], y[left], log_prob[left]
    if not len(rows):
      break
  return kept, found


def evidence(log_density_fn: Callable, proposal: Proposal, given: Given,
             seed: int = 0) -> np.ndarray:
  """Returns `Diagnosis.log_prob_given` alone, `[N]`; see `run_chains`."""
  return _first_states(log_density_fn, proposal, given, NUM_CHAINS,
                       np.random.default_rng(seed))[2]


def _first_states(log_density_fn, proposal, given, num_chains, rng):
  """Returns states `[N, C, D]`, their log-densities, and log p(given)."""
  is_fixed = given.is_fixed
  y = np.repeat(np.where(is_fixed, given.low[..., 0], np.nan)[:, np.newaxis],
                num_chains * _NUM_CANDIDATES, axis=1)
  drawn, log_ratio = proposal.draw(y, is_fixed, given, rng)
  log_prob = _of_rows(log_density_fn, drawn, np.arange(len(y)))
  log_weight = log_prob + log_ratio
  log_prob_given = special.logsumexp(log_weight, axis=1) - math.log(y.shape[1])
  # Drawn by their weights, without replacement.
  chosen = np.argsort(-log_weight - rng.gumbel(size=log_weight.shape), axis=1
                      )[:, :num_chains]
  return (np.take_along_axis(drawn, chosen[..., np.newaxis], axis=1),
          np.take_along_axis(log_prob, chosen, axis=1), log_prob_given)


def _step(log_density_fn, proposal, given, rows, y, log_prob, rng):
  """Returns the next states and their log-densities."""
  is_kept = given.is_fixed
  if rng.random() < 0.5 and not is_kept.all():
    is_renewed = rng.random(y.shape[-1]) < 0.5
    is_renewed[rng.choice(np.flatnonzero(~is_kept.all(axis=0)))] = True
    is_kept = is_kept | ~is_renewed
  new, log_ratio = proposal.draw(y, is_kept, given, rng)
  new_log_prob = _of_rows(log_density_fn, new, rows)
  with np.errstate(invalid='ignore'):  # From no density to none.
    is_accepted = np.log(rng.random(log_prob.shape)) < (
        new_log_prob - log_prob + log_ratio)
  return (np.where(is_accepted[..., np.newaxis], new, y),
          np.where(is_accepted, new_log_prob, log_prob))


def _of_rows(log_density_fn, y, rows):
  """Returns log-densities `[N, C]` of states `[N, C, D]`."""
  return log_density_fn(
      y.reshape([-1, y.shape[-1]]), np.repeat(rows, y.shape[1])
  ).reshape(y.shape[:2])


def diagnose(y: np.ndarray, is_drawn: np.ndarray
             ) -> tuple[np.ndarray, np.ndarray]:
  """Returns effective sizes and potential scale reductions of rows, `[N]`.

  Of the normal quantiles of ranks; sizes also of whether states are below the
  quantiles of 5 and 95 %; the worst ones of the columns.

  Args:
    y: `[S, N, C, D]`.
    is_drawn: columns that count, bool `[N, D]`.
  """
  sizes, r_hats = np.full(y.shape[1], np.inf), np.ones(y.shape[1])
  half = len(y) // 2
  for i in np.flatnonzero(is_drawn.any(axis=0)):
    rows = np.flatnonzero(is_drawn[:, i])
    values = np.moveaxis(y[..., i][:, rows], 0, -1)  # [N, C, S]
    ranks = stats.rankdata(values.reshape([len(rows), -1]), axis=1).reshape(
        values.shape)
    ranks = (ranks - 0.375) / (values[0].size + 0.25)
    z = special.ndtri(ranks)
    sizes[rows] = np.min([sizes[rows], *map(_effective_sizes, (
        z, *(np.float64(ranks <= p) for p in _TAILS)))], axis=0)
    halves = np.concatenate([z[..., :half], z[..., half:2 * half]], axis=1)
    with np.errstate(invalid='ignore', divide='ignore'):
      r_hat = np.sqrt(1.0 - 1.0 / half + halves.mean(axis=-1).var(
          axis=1, ddof=1) / halves.var(axis=-1, ddof=1).mean(axis=1))
    r_hats[rows] = np.maximum(r_hats[rows], np.nan_to_num(r_hat, nan=np.inf))
  return sizes, r_hats


def _effective_sizes(t):
  """Effective numbers of draws of chains `[N, C, S]`, `[N]`.

  By autocorrelations, summed in pairs as long as these are positive.
  """
  size = t.shape[-1]
  spectrum = np.fft.rfft(t - t.mean(axis=-1, keepdims=True), 2 * size)
  covariance = np.fft.irfft(np.abs(spectrum)**2, axis=-1)[..., :size].mean(
      axis=1) / size
  variance = covariance[:, :1] + t.mean(axis=-1).var(axis=1, ddof=1)[:, None]
  with np.errstate(invalid='ignore', divide='ignore'):
    rho = 1.0 - (covariance[:, :1] - covariance) / variance
  pairs = rho[:, :size // 2 * 2].reshape([len(t), -1, 2]).sum(axis=-1)
  time = 2.0 * (pairs * np.cumprod(pairs > 0.0, axis=1)).sum(axis=1) - 1.0
  total = t.shape[1] * size
  return np.nan_to_num(total / np.maximum(time, 1.0 / np.log10(total)), nan=0.0)
