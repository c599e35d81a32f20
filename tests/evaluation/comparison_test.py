"""Words about planted numbers."""

import numpy as np
import pytest

from tf_resflow.evaluation import baselines
from tf_resflow.evaluation import comparison


def _values(num_rows, mean=0.0, std=1.0, seed=0):
  """Numbers of exactly this mean and standard deviation."""
  x = np.random.default_rng(seed).normal(size=num_rows)
  return mean + std * (x - x.mean()) / x.std(ddof=1)


def _compare(num_rows, gaussian, mixture, num_components=3, not_tried=(),
             **others):
  """Compares a flow of 20 nats, worse by means and standard deviations."""
  test = _values(num_rows, 20.0, 2.0)
  found = {
      name: baselines.Baseline(None, test - _values(num_rows, *by, seed=1), {
          'num_components': count, 'not_tried': not_tried})
      for name, by, count in (
          ('gaussian', gaussian, 1),
          ('gaussian_mixture', mixture, num_components))}
  return comparison.compare(test, found, **others)


def test_summary():
  found = _compare(36, (-1.12, 1.8), (0.04, 1.2))
  assert found.summary == (
      'test 20.00 +- 0.33 nats a row (36 rows); a Gaussian 21.12, a mixture of '
      '3 Gaussians 19.96: the flow is 1.12 +- 0.30 better than the Gaussian '
      'and 0.04 +- 0.20 worse than the mixture.')
  # A mixture of one is the Gaussian, and what was not tried is said.
  found = _compare(36, (-1.12, 1.8), (-1.12, 1.8), 1, [5, 10])
  assert found.summary == (
      'test 20.00 +- 0.33 nats a row (36 rows); a Gaussian 21.12: the flow is '
      '1.12 +- 0.30 better than the Gaussian. Mixtures of 5, 10 were not all '
      'tried, for lack of time.')
  assert not found.warnings


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


@pytest.mark.parametrize('train, validation, is_overfitted', [
    (_values(400, 18.9, 2.0), None, True),
    (_values(400, 19.1, 2.0), None, False),  # Less than half of 2.0.
    (_values(400, 18.9, 2.0), _values(90, 20.0, 2.0), True),
    (_values(400, 18.9, 2.0), _values(90, 19.5, 2.0), False),
    (_values(10, 18.9, 2.0), None, False)])  # Within two standard errors.
def test_overfitting(train, validation, is_overfitted):
  found = _compare(100, (-1.0, 1.0), (-1.0, 1.0), train_nll=train,
                   validation_nll=validation).warnings
  assert len(found) == is_overfitted
  if is_overfitted:
    assert found[0].startswith(
        'The flow is overfitted: 1.10 +- 0.22 nats a row better on training ')
