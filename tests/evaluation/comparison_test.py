"""Words about planted numbers."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tests import schemas
from tests import splits
from tf_resflow import configuration
from tf_resflow import datasets
from tf_resflow import models
from tf_resflow.columns import mixtures as column_mixtures
from tf_resflow.evaluation import comparison
from tf_resflow.evaluation import mixtures
from tf_resflow.specs import registries


def _values(num_rows, mean=0.0, std=1.0, seed=0):
  """Numbers of exactly this mean and standard deviation."""
  x = np.random.default_rng(seed).normal(size=num_rows)
  return mean + std * (x - x.mean()) / x.std(ddof=1)


def _compare(num_rows, gaussian, mixture, num_components=3, not_tried=(),
             covariance_type='full', reg_covar=1e-3, **others):
  """Compares a flow of 20 nats, worse by means and standard deviations."""
  test = _values(num_rows, 20.0, 2.0)
  found = {
      name: mixtures.Baseline(None, test - _values(num_rows, *by, seed=1), {
          'num_components': count, 'covariance_type': covariance,
          'reg_covar': added, 'columns': columns, 'not_tried': not_tried})
      for name, by, count, covariance, added, columns in (
          ('gaussian', gaussian, 1, 'full', 0.0, 'plain columns'),
          ('gaussian_mixture', mixture, num_components, covariance_type,
           reg_covar, 'logarithms'))}
  return comparison.compare(test, found, **others)


def test_summary():
  found = _compare(36, (-1.12, 1.8), (0.04, 1.2))
  assert found.summary == (
      'test 20.00 +- 0.33 nats a row (36 rows); a Gaussian of plain columns '
      '21.12, a mixture of 3 Gaussians of logarithms 19.96: the flow is 1.12 '
      '+- 0.30 better than the Gaussian and 0.04 +- 0.20 worse than the '
      'mixture.')
  difference = found.differences['gaussian']
  assert (difference.mean, difference.stderr) == pytest.approx((-1.12, 0.3))
  # The best mixture may be about the Gaussian; what was not tried is said.
  found = _compare(36, (-1.12, 1.8), (-1.116, 1.8), 1, [5, 10])
  assert found.summary == (
      'test 20.00 +- 0.33 nats a row (36 rows); a Gaussian of plain columns '
      '21.12: the flow is 1.12 +- 0.30 better than the Gaussian. Mixtures of '
      '5, 10 were not all tried, as they may take a tenth of the time of '
      'training: with more --num_steps they are.')
  assert list(found.differences) == ['gaussian'] and not found.warnings
  assert ' a row (an upper bound) (36 rows); ' in _compare(
      36, (-1.12, 1.8), (0.04, 1.2), is_bound=True).summary


@pytest.mark.parametrize('settings, text', [
    ((3, (), 'diag'), 'a mixture of 3 diagonal Gaussians'),
    ((1, (), 'diag'), 'a diagonal Gaussian'), ((1,), 'a regularised Gaussian')])
def test_names_of_mixtures(settings, text):
  assert f', {text} of logarithms 20.50: ' in _compare(
      36, (-1.0, 1.0), (-0.5, 1.0), *settings).summary


def test_rows_without_a_density_are_left_out():
  test = _values(40, 20.0)
  values = test + _values(40, 1.0, seed=1)
  details = {'num_components': 1, 'covariance_type': 'full', 'reg_covar': 0.0,
             'columns': 'logarithms'}
  kept = mixtures.Baseline(None, values[2:], details)
  values[0], test[1] = np.inf, np.inf
  found = comparison.compare(test, dict.fromkeys(
      ['gaussian', 'gaussian_mixture'], mixtures.Baseline(
          None, values, details)))
  expected = comparison.compare(test[2:], {
      'gaussian': kept, 'gaussian_mixture': kept})
  assert found.differences == expected.differences
  assert found.summary == expected.summary.replace(
      '(38 rows)', '(38 rows; 2 without a density in one of these are left out'
      ')')


@pytest.mark.parametrize('num_rows, gaussian, mixture, expected', [
    (100, (-1.0, 2.0), (-0.3, 2.0), []),  # Five, 1.5 standard errors better.
    (100, (0.41, 2.0), (0.39, 2.0), ['worse than the Gaussian: try']),
    (100, (-0.5, 2.0), (0.19, 2.0), ['100 test rows are too few to say whether '
                                     'the flow or the mixture is better']),
    (29, (-9.0, 1.0), (0.1, 0.1), [
        '29 test rows are too few to say whether the flow or the Gaussian',
        '0.10 +- 0.02 worse than the mixture: try',
        '29 test rows are too few to say whether the flow or the mixture']),
    (30, (-9.0, 1.0), (-0.1, 0.1), [])])
def test_warnings_about_baselines(num_rows, gaussian, mixture, expected):
  found = _compare(num_rows, gaussian, mixture).warnings
  assert len(found) == len(expected), found
  for text, part in zip(found, expected, strict=True):
    assert part in text


def test_advice_names_a_next_step():
  for is_mixture, expected in (
      (False, 'try --base=mixture, which begins as one; then another --lear'),
      (True, 'try other --column_types, such as NAME:log; then another --lea')):
    assert expected in _compare(
        100, (-9.0, 1.0), (0.5, 0.1), is_mixture=is_mixture).warnings[0]


@pytest.mark.parametrize('train, mixture, is_best, is_overfitted', [
    (_values(400, 18.9, 2.0), -1.0, False, True),
    (_values(400, 19.1, 2.0), -1.0, False, False),  # Less than half of 2.0.
    (_values(10, 18.9, 2.0), -1.0, False, False),  # Within two standard errors.
    # With the best weights, only where something is better.
    (_values(400, 18.9, 2.0), -1.0, True, False),
    (_values(400, 18.9, 2.0), 0.15, True, True)])
def test_overfitting(train, mixture, is_best, is_overfitted):
  found = _compare(100, (-1.0, 1.0), (mixture, 1.0), train_nll=train,
                   is_best=is_best).warnings
  assert len(found) == is_overfitted
  if is_overfitted:
    assert found[0].startswith(
        'The flow is overfitted: 1.10 +- 0.22 nats a row better on training ')


@pytest.fixture(name='few_candidates')
def _few_candidates(monkeypatch):
  monkeypatch.setattr(column_mixtures, 'NUM_COMPONENTS', (1, 2))


@pytest.mark.usefixtures('few_candidates')
def test_mixtures_of_the_same_rows():
  """Probabilities of whole numbers, where a Gaussian is the truth."""
  rng = np.random.default_rng(0)
  y = rng.normal([1.0, 3.0], [0.5, 0.4], [3000, 2])
  x = np.stack([y[:, 0], np.floor(np.exp(y[:, 1]))], axis=1).astype('f4')
  parts = {name: splits.make_split(part, None) for name, part in zip(
      ('train', 'validation', 'test'), np.split(x, [2000, 2400]), strict=True)}
  flow = models.VectorFlowConfig(
      event_size=2, num_blocks=1, hidden_units=(4,),
      schema=schemas.make_schema(
          types=('real', 'integer'), mean=(1.0, 3.0), std=(0.5, 0.4))).build()
  flow.initialize(x[:2000], seed=0)
  real, whole = parts['test'].arrays['x'].numpy().T
  truth = -stats.norm(1.0, 0.5).logpdf(real) - np.log(
      stats.norm(3.0, 0.4).cdf(np.log(whole + 1.0)) -
      stats.norm(3.0, 0.4).cdf(np.log(whole)))
  found = comparison.compare_on_splits(flow, truth, parts)
  difference = found.differences['gaussian']
  assert abs(difference.mean) < 0.01 + 3.0 * difference.stderr < 0.05
  # Nats at an atom say nothing.
  x[::3, 0] = 0.5
  atoms = {name: splits.make_split(part, None) for name, part in zip(
      parts, np.split(x, [2000, 2400]), strict=True)}
  assert found.summary.endswith('the Gaussian.')
  assert comparison.compare_on_splits(flow, truth, atoms).summary.endswith(
      ' Nats are unbounded there and compare nothing: x0 is 0.5 in 33 % of '
      '2,400 rows.')
  # Rows without a density are left out.
  truth[:3] = np.inf
  assert '(597 rows; 3 without ' in comparison.compare_on_splits(
      flow, truth, parts).summary


@pytest.mark.usefixtures('few_candidates')
def test_conditional_mixtures_know_the_condition(monkeypatch):
  """A mean that is linear in a number and a category is the truth."""
  rng = np.random.default_rng(0)
  dose, city = rng.normal(50.0, 9.0, 1500), rng.integers(0, 3, 1500)
  shift = 0.3 * dose + np.array([-2.0, 0.0, 4.0])[city]
  frame = pd.DataFrame({
      'a': shift + rng.normal(0.0, 0.5, 1500), 'dose': dose,
      'city': np.array(['Oslo', 'Rome', 'Bonn'])[city],
      'b': rng.normal(0.0, 2.0, 1500) - shift})
  monkeypatch.setitem(registries.DATASETS._entries, 'doses', datasets.table(
      frame, condition_on=['dose', 'city']))
  config = configuration.make_config(
      model='vector', dataset='doses', condition_on=('dose', 'city'),
      num_blocks=1, hidden_units=(4,))
  parts = {name: config.open_split(name)
           for name in ('train', 'validation', 'test')}
  model = config.model.build()
  arrays = parts['test'].arrays
  model.initialize(arrays['x'], arrays['condition'], seed=0)
  c = arrays['condition'].numpy().astype(np.float64)
  names = [label for column in config.model.schema.conditions
           for label in column.labels]
  mean = 0.3 * c[:, names.index('dose')] - 2.0 * c[
      :, names.index('city=Oslo')] + 4.0 * c[:, names.index('city=Bonn')]
  a, b = arrays['x'].numpy().T
  truth = -stats.norm(mean, 0.5).logpdf(a) - stats.norm(-mean, 2.0).logpdf(b)
  found = comparison.compare_on_splits(model, truth, parts)
  difference = found.differences['gaussian']
  assert abs(difference.mean) < 0.02 + 3.0 * difference.stderr < 0.1
  assert found.summary.endswith('Their means are linear in the condition.')
