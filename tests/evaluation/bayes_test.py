"""Bayes' rule against the softmax of log-densities, label by label."""

import json

import numpy as np
import pytest
from scipy import special

from tests.evaluation import conditional_flows
from tf_resflow import datasets
from tf_resflow import evaluation
from tf_resflow import numerics
from tf_resflow.evaluation import bayes

_NUM_EXAMPLES = 7
_PRIOR = np.log([0.2, 0.7, 0.1])
_ROULETTE = numerics.RussianRoulette(
    numerics.Geometric(0.5), num_exact_terms=1, probe='gaussian')


@pytest.fixture(scope='module', name='model')
def _model():
  return conditional_flows.make_labelled_flow('float64')


@pytest.fixture(scope='module', name='split')
def _split():
  return conditional_flows.make_labelled_split(_NUM_EXAMPLES)


@pytest.fixture(scope='module', name='scores')
def _scores(model, split):
  return bayes.classify(model, split, _PRIOR, batch_size=3, seed=5)


def _log_densities(model, split, seed):
  """`log p(x|y)` of every label in turn, exactly, `[N, K]`."""
  (batch,) = datasets.evaluation_batches(
      split, batch_size=_NUM_EXAMPLES, seed=seed)
  return np.stack([
      model.log_prob(
          batch['x'], np.full(_NUM_EXAMPLES, label), estimator='exact')
      for label in range(conditional_flows.NUM_LABELS)], axis=1)


def test_posterior_is_the_softmax_of_joint_densities(model, split, scores):
  log_density = _log_densities(model, split, seed=5)
  expected = np.log(special.softmax(log_density + _PRIOR, axis=1))
  np.testing.assert_allclose(
      scores.arrays['class_log_prob'], expected, atol=1e-7)
  np.testing.assert_allclose(
      scores.arrays['class_log_density'], log_density, atol=1e-7)
  # Without the prior, or with labels in another order, it is another one.
  for wrong in (log_density, log_density[:, ::-1] + _PRIOR,
                log_density + _PRIOR[::-1]):
    assert np.abs(special.log_softmax(wrong, axis=1) - expected).max() > 0.1


def test_report_and_arrays(scores):
  report = scores.report()
  labels = np.arange(_NUM_EXAMPLES) % 3
  log_prob = scores.arrays['class_log_prob']
  assert report['accuracy'] == pytest.approx(
      np.mean(np.argmax(log_prob, axis=1) == labels))
  assert report['cross_entropy'] == pytest.approx(
      -log_prob[np.arange(_NUM_EXAMPLES), labels].mean())
  assert report.keys() - {
      'accuracy', 'accuracy_stderr', 'cross_entropy', 'cross_entropy_stderr'
  } == {'accuracy_is', 'accuracy_num_examples', 'class_score_estimator',
        'class_score_num_repeats', 'class_score_stderr_rms',
        'class_score_difference_stderr_rms'}
  assert (report['accuracy_num_examples'], report['class_score_estimator'],
          report['class_score_num_repeats']) == (_NUM_EXAMPLES, 'exact', 1)
  # One draw of what is exact deviates from nothing.
  assert report['class_score_stderr_rms'] == 0.0
  assert report['class_score_difference_stderr_rms'] == 0.0
  json.dumps(report, allow_nan=False)
  assert {name: array.shape for name, array in scores.arrays.items()} == {
      name: (_NUM_EXAMPLES, 3) for name in (
          'class_log_prob', 'class_log_density', 'class_log_density_stderr')}


def _roulette(num_repeats):
  return evaluation.EvaluationSettings(
      estimator=_ROULETTE.per_example(), num_repeats=num_repeats)


def test_labels_share_their_draws(split):
  """A flow that ignores its condition leaves the prior, whatever is drawn."""
  ignorant = conditional_flows.make_labelled_flow('float64', is_grown=False)
  scores = bayes.classify(
      ignorant, split, _PRIOR, settings=_roulette(4), batch_size=4)
  np.testing.assert_allclose(
      scores.arrays['class_log_prob'], np.tile(_PRIOR, [_NUM_EXAMPLES, 1]),
      atol=1e-9)
  report = scores.report()
  assert report['class_score_difference_stderr_rms'] < 1e-9
  # Draws of their own would have left this.
  assert report['class_score_stderr_rms'] > 1e-4
  assert np.all(scores.arrays['class_log_density_stderr'] > 1e-5)
  assert report['accuracy'] == pytest.approx(
      np.mean(np.arange(_NUM_EXAMPLES) % 3 == 1))


@pytest.mark.slow
def test_estimates_are_those_of_the_exact_densities(model, split):
  """And do not depend on the batches; others are drawn for other seeds."""
  options = dict(settings=_roulette(128), seed=5)
  scores = bayes.classify(model, split, _PRIOR, batch_size=3, **options)
  found, deviation = (scores.arrays[f'class_log_density{suffix}']
                      for suffix in ('', '_stderr'))
  errors_ = found - _log_densities(model, split, seed=5)
  assert np.all(deviation > 1e-6)
  # Student's t of 128 repeats has 5e-8 beyond 5.8, for each of 21 numbers.
  assert np.all(np.abs(errors_) < 5.8 * deviation)
  assert 0.2 < np.sqrt(np.mean((errors_ / deviation)**2)) < 3.0
  few = bayes.classify(
      model, split, _PRIOR, batch_size=4, num_examples=4, **options)
  for name, values in few.arrays.items():
    np.testing.assert_allclose(values, scores.arrays[name][:4], rtol=1e-6)
  other = bayes.classify(
      model, split, _PRIOR, num_examples=2, **{**options, 'seed': 6})
  assert np.abs(other.arrays['class_log_density'] - found[:2]).min() > 1e-6


def test_a_label_without_examples_is_impossible(model, split):
  """Where one occurs after all, its cross entropy is no number."""
  prior = bayes.log_frequencies(
      conditional_flows.make_labelled_split(8, labels=[2] * 5 + [0] * 3))
  np.testing.assert_allclose(np.exp(prior), [3 / 8, 0.0, 5 / 8], rtol=1e-12)
  scores = bayes.classify(model, split, prior)
  probabilities = np.exp(scores.arrays['class_log_prob'])
  assert np.all(probabilities[:, 1] == 0.0)
  np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-12)
  report = scores.report()
  assert np.isfinite(report['accuracy'])
  assert report['cross_entropy'] == np.inf
