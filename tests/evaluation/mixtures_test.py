"""Mixtures of vectors against closed forms, integrals and scikit-learn."""

import re

import numpy as np
import pytest
from scipy import integrate
from scipy import stats
import threadpoolctl

from tests import documents
from tf_resflow.columns import coordinates
from tf_resflow.columns import mapping
from tf_resflow.evaluation import mixtures
from tf_resflow.experiments import tables

_WHOLE = {'plain columns': ('signed_integer', 'signed_integer')}


def _blobs(num_rows, seed):
  rng = np.random.default_rng(seed)
  return rng.normal(size=[num_rows, 2]) + 8.0 * rng.integers(2, size=[
      num_rows, 1])


def test_the_gaussian_is_that_of_the_highest_likelihood():
  """Also of columns that nearly repeat each other, and in their units."""
  rng = np.random.default_rng(0)
  x = rng.normal([5.0, -20.0], [2.0, 3.0], [900, 2])
  x = np.c_[x, x[:, :1] + 1e-4 * rng.normal(size=[900, 1])]
  train, test = x[:600], x[600:]
  found = mixtures.fit_mixtures(train, test, num_components=[1])
  law = stats.multivariate_normal(train.mean(axis=0), np.cov(
      train.T, bias=True))
  np.testing.assert_allclose(
      found['gaussian'].values, -law.logpdf(test), atol=1e-6)
  report = found['gaussian'].report()
  assert report['reg_covar'] == 0.0
  assert report['nats'] == pytest.approx(
      law.entropy(), abs=0.3)
  assert report['num_examples'] == 300


def test_coordinates_and_components_are_chosen():
  """Two blobs of logarithms; log-densities are those of the data."""
  train, test = (_blobs(n, seed) for n, seed in ((600, 0), (300, 1)))
  rows = np.exp(0.1 * train), np.exp(0.1 * test)
  found = mixtures.fit_mixtures(*rows, coordinates.maps_of((), rows[0]))
  mixture = found['gaussian_mixture']
  assert (mixture.details['columns'], mixture.details['num_components']) == (
      'logarithms', 2)
  true = np.logaddexp(*(
      stats.norm(mean).logpdf(test).sum(axis=1) for mean in (0, 8))) - np.log(2)
  log_det = np.sum(0.1 * test + np.log(0.1), axis=1)
  np.testing.assert_allclose(
      mixture.values.mean(), np.mean(log_det - true), atol=0.05)
  assert found['gaussian'].values.mean() > mixture.values.mean() + 0.5
  assert 'not_tried' not in mixture.details


def test_whole_numbers_have_the_probability_of_their_cells():
  """Against the integral over the cell of the fitted density."""
  train, test = np.floor(_blobs(300, 0)), np.floor(_blobs(20, 1))
  found = mixtures.fit_mixtures(train, test, _WHOLE, num_components=[2])
  x = train + np.random.default_rng(0).random(train.shape)
  mean, std = x.mean(axis=0), x.std(axis=0)
  fitted = found['gaussian_mixture'].mixture
  assert fitted.covariance_type == 'diag'
  laws = [stats.multivariate_normal(mean + std * m, c * std**2) for m, c in zip(
      fitted.means_, fitted.covariances_, strict=True)]
  for i in range(3):
    expected, _ = integrate.dblquad(
        lambda y, x: sum(w * law.pdf([x, y]) for w, law in zip(
            fitted.weights_, laws, strict=True)),
        test[i, 0], test[i, 0] + 1, test[i, 1], test[i, 1] + 1, epsrel=1e-6)
    np.testing.assert_allclose(
        found['gaussian_mixture'].values[i], -np.log(expected), atol=0.01)


def test_grids_and_real_numbers_have_comparable_nats():
  """Per unit of the file, whatever the step; of the same rounded numbers."""
  x = np.round(
      np.random.default_rng(0).normal(5.0, 0.3, [4000, 1]), 2)
  values = [mixtures.fit_mixtures(
      x[:3000], x[3000:], {'mapped columns': types}, num_components=[1]
  )['gaussian'].values for types in (['signed_integer:0.01'], ['real'])]
  np.testing.assert_allclose(*values, atol=0.02)
  np.testing.assert_allclose(
      values[0].mean(), stats.norm(5.0, 0.3).entropy(), atol=0.05)


def test_held_out_rows_are_in_the_units_of_the_data():
  y = np.random.default_rng(0).normal(3.0, 0.4, [2000, 1])
  train, test = np.split(np.floor(np.exp(y)), [1500])
  found = mixtures.fit_mixtures(
      train, test, {'logarithms': ('integer',)})['gaussian']
  # 5.5 standard errors.
  assert found.details['validation_nats'] == pytest.approx(
      np.mean(found.values), abs=0.3)


def test_rows_without_a_density_are_left_out_of_all():
  x = np.exp(np.random.default_rng(0).normal(size=[400, 1]))
  test = np.concatenate([x[300:], [[-1.0]]])
  found = mixtures.fit_mixtures(
      x[:300], test, coordinates.maps_of((), x), num_components=[1])
  for baseline in found.values():
    assert baseline.details['columns'] == 'logarithms'
    np.testing.assert_array_equal(
        np.isfinite(baseline.values), test[:, 0] > 0)
    assert baseline.report()['num_examples'] == 100


def test_sets_that_most_test_rows_have_no_density_in_are_left_out():
  """Of two test rows one would be compared."""
  x = np.exp(np.random.default_rng(0).normal(size=[100, 1]))
  found = mixtures.fit_mixtures(
      x, [[1.0], [-0.1]], coordinates.maps_of((), x), num_components=[1])
  assert found['gaussian'].details['columns'] == 'plain columns'
  assert found['gaussian'].report()['num_examples'] == 2


@pytest.mark.slow
def test_the_script_of_the_page_finds_the_same(capsys):
  """On the same folds; also of grids."""
  wine = tables.open_table('wine').with_validation(0)
  rows = [np.float32(wine.load_fn(part)[0]).astype(np.float64)
          for part in ('train', 'test')]
  types = mapping.of_specs(wine.schema.types, rows[0])
  steps = np.array([t.is_integer * t.step for t in types])
  with threadpoolctl.threadpool_limits(1):
    scope = documents.run(documents.ROOT / 'docs/tables.md')
    of_wine = min(scope['nats'](*rows, steps, log) for log in (False, True))
  printed = re.findall(r'-?\d+\.\d+', capsys.readouterr().out)
  for train, test, specs, expected in (
      (scope['train'], scope['test'], ['real'] * 10, [*map(float, printed)]),
      (*rows, wine.schema.types, of_wine)):
    maps = coordinates.maps_of(specs, train)
    maps.pop('mapped columns', None)
    mixture = mixtures.fit_mixtures(train, test, maps)['gaussian_mixture']
    assert (mixture.details['validation_nats'], mixture.report()['nats']) == (
        pytest.approx(expected, abs=0.02))


def test_conditional_means_know_other_rows():
  """Many conditions of few rows: held-out rows are not too likely."""
  rng = np.random.default_rng(0)
  c, slopes = rng.normal(size=[1000, 40]), rng.normal(size=[40, 3])
  noise = rng.normal(size=[1000, 3])
  x = c @ slopes + noise
  nats = -stats.norm.logpdf(noise).sum(axis=1)[:150]
  found = mixtures.fit_mixtures(
      x[:150], x[150:], conditions=[c[:150], c[150:]], num_components=[1, 2])
  for baseline in found.values():
    validation = baseline.details['validation_nats']
    assert validation > nats.mean() - 3.0 * stats.sem(nats)
    assert validation == pytest.approx(baseline.values.mean(), abs=0.3)


def test_bad_vectors_are_named():
  x = np.random.default_rng(0).normal(size=[20, 2])
  for rows, message in (
      ((x[:, 0], x), r'train=an array \[20\]: expected finite numbers'),
      ((x, x[:, :1]), r'test=an array \[20, 1\]: .* \[N, 2\]'),
      ((x, x * np.inf), 'test=.*finite numbers'),
      ((x * [1, 0], x), 'train=a constant column 1: expected columns')):
    with pytest.raises(ValueError, match=message):
      mixtures.fit_mixtures(*rows)
