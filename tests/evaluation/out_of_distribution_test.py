"""Scores against exact densities, and their comparison against closed forms."""

import json

from matplotlib import figure as figure_lib
import numpy as np
import pytest
from scipy import stats
import tensorflow as tf

from tests import flows
from tests import replicas
from tests import splits
from tests import testing
from tf_resflow import datasets
from tf_resflow import evaluation
from tf_resflow.evaluation import out_of_distribution as ood

_NUM_EXAMPLES = 11


@pytest.fixture(scope='module')
def flow():
  """A flow with a random block, in float64."""
  return flows.make_image_flow(16, 0, is_steep=True, dtype='float64')


def _examples(num_examples=_NUM_EXAMPLES):
  rng = np.random.default_rng(0)
  return splits.make_split(
      rng.integers(0, 16, [num_examples, 4, 4, 1]).astype(np.uint8), 16,
      np.arange(num_examples, dtype=np.int32) % 3)


def _images(examples):
  return np.concatenate([
      batch['x'] for batch in datasets.evaluation_batches(
          examples, batch_size=5, seed=0)]).astype(np.float64)


def test_a_flow_that_draws_nothing_is_evaluated_once():
  model = flows.make_flow_without_blocks((9, 8, 1))
  settings = evaluation.scoring_settings(model)
  assert (settings.num_repeats, settings.reason) == (
      1, 'no log-determinant of this flow is estimated')
  images = np.zeros([3, 9, 8, 1], np.uint8)
  examples = splits.make_split(images, 16)
  scores = ood.score_examples(model, examples, settings, batch_size=2)
  np.testing.assert_allclose(
      scores.log_prob, model.log_prob(_images(examples)), rtol=1e-6)
  np.testing.assert_array_equal(scores.stderr, np.zeros(3))


def test_exact_scores_are_exact_densities(flow):
  examples = _examples()
  scores = ood.score_examples(
      flow, examples, evaluation.scoring_settings(flow), batch_size=4)
  expected = flow.log_prob(_images(examples), estimator='exact')
  np.testing.assert_allclose(scores.log_prob, expected, rtol=1e-9)
  assert np.ptp(expected) > 0.1
  np.testing.assert_array_equal(scores.stderr, np.zeros(_NUM_EXAMPLES))
  np.testing.assert_array_equal(scores.label, np.arange(_NUM_EXAMPLES) % 3)
  assert scores.class_log_prob is None
  assert scores.arrays().keys() == {'log_prob', 'log_prob_stderr', 'label'}


@pytest.mark.slow
@pytest.mark.parametrize(
    'spec', ['adaptive:0.2', 'roulette:geometric:0.3,exact=1'])
def test_batches_and_devices_change_nothing(flow, spec):
  """Whoever else is in the batch, and wherever it is."""
  settings = evaluation.scoring_settings(flow, spec)
  scores = [
      ood.score_examples(flow, _examples(), settings, batch_size=size, seed=5)
      for size in (11, 3)]
  with replicas.two_replicas().scope():
    model = flow.config.build('float64')
    for target, source in zip(model.variables, flow.variables, strict=True):
      target.assign(source)
  scores.append(ood.score_examples(
      model, _examples(), settings, batch_size=4, seed=5,
      strategy=replicas.two_replicas()))
  for other in scores[1:]:
    np.testing.assert_allclose(other.repeats, scores[0].repeats, rtol=1e-9)
    np.testing.assert_array_equal(other.label, scores[0].label)
  # A draw more or less would be noticed, and so would another seed.
  assert np.all(scores[0].stderr > 1e-4)
  other = ood.score_examples(flow, _examples(), settings, seed=6)
  assert np.all(np.abs(other.log_prob - scores[0].log_prob) > 1e-7)


def test_stderr_is_that_of_the_error(flow):
  """Unbiased, and as far from the exact score as it says."""
  examples = _examples(60)
  exact = ood.score_examples(flow, examples)
  found = ood.score_examples(
      flow, examples, evaluation.scoring_settings(flow, 'adaptive:0.3', 24))
  assert found.repeats.shape == (24, 60)
  standardized = (found.log_prob - exact.log_prob) / found.stderr
  # Student's t of 23 degrees of freedom; examples share their numbers of terms.
  assert np.max(np.abs(standardized)) < 6.0
  assert 0.6 < np.mean(standardized**2) < 2.0
  # That of one draw would be larger by sqrt(24).
  assert np.mean((standardized / np.sqrt(24))**2) < 0.1


@pytest.fixture(scope='module')
def hybrid():
  return flows.make_hybrid_flow(16, num_dense_blocks=0)


def test_hybrids(hybrid):
  examples = _examples()
  scores = ood.score_examples(
      hybrid, examples, evaluation.scoring_settings(hybrid, 'adaptive:0.1'),
      batch_size=4)
  x = tf.constant(_images(examples), tf.float32)
  np.testing.assert_allclose(
      scores.class_log_prob, tf.nn.log_softmax(hybrid.classify(x)), atol=1e-5)
  report = ood.compare_scores(hybrid, scores, scores)
  assert report['accuracy'] == np.mean(
      np.argmax(hybrid.classify(x), axis=1) == scores.label)
  np.testing.assert_allclose(
      [report['auroc'], report['class_auroc']], 0.5, rtol=1e-12)
  np.testing.assert_array_equal(
      scores.arrays()['class_log_prob'], scores.class_log_prob)


def _scores(log_prob, deviation=0.0, seed=0, confidence=None):
  """Scores of two draws each, whose mean deviates as given."""
  repeats = np.asarray(log_prob)[np.newaxis]
  if deviation:
    noise = np.random.default_rng(seed).normal(
        size=[2, repeats.size]) * deviation * np.sqrt(2)
    repeats = repeats + noise
  if confidence is not None:
    confidence = np.log(np.stack([confidence, 1.0 - confidence], axis=1))
  return ood.Scores(repeats, confidence, np.full([repeats.size], -1, np.int32))


def test_noise_brings_the_auroc_down_as_the_share_says(flow):
  rng = np.random.default_rng(0)
  inside, outside = 1.5 + rng.normal(size=20_000), 2.0 * rng.normal(size=20_000)
  exact = ood.compare_scores(flow, _scores(inside), _scores(outside))
  noisy = ood.compare_scores(
      flow, _scores(inside, 0.8, 1), _scores(outside, 1.1, 2))
  assert exact['auroc'] == pytest.approx(
      stats.norm.cdf(1.5 / np.sqrt(5)), abs=5.5 * exact['auroc_stderr'])
  assert exact['noise_share'] == exact['auroc_estimator_stderr'] == 0.0
  noise = 0.8**2 + 1.1**2
  assert noisy['noise_share'] == pytest.approx(
      np.sqrt(noise / (noise + 5)), rel=0.03)
  factor = np.sqrt(1 - noisy['noise_share']**2)
  assert factor < 0.9
  assert stats.norm.ppf(noisy['auroc']) == pytest.approx(
      factor * stats.norm.ppf(exact['auroc']), rel=0.02)
  assert noisy['auroc_estimator_stderr'] > 0.0
  assert noisy['in_stderr_rms'] == pytest.approx(0.8, rel=0.03)
  assert noisy['out_stderr_rms'] == pytest.approx(1.1, rel=0.03)
  assert noisy['out_stderr_max'] > 3.0
  assert noisy['in_log_prob_mean'] == pytest.approx(1.5, abs=0.05)
  assert json.loads(json.dumps(noisy)) == noisy


def test_below_one_half_where_the_others_look_likelier(flow):
  inside, outside = np.array([-40.0, -30.0, -20.0]), np.array([-25.0, -5.0])
  report = ood.compare_scores(flow, _scores(inside), _scores(outside))
  assert report['auroc'] == pytest.approx(1 / 6)
  assert (report['in_num_examples'], report['out_num_examples']) == (3, 2)
  # -(log p - D log 16) / (D log 2), D = 16.
  assert report['in_bits_per_dim'] == pytest.approx(4.0 + 30.0 / 16 / np.log(2))
  assert report['in_log_prob_std'] == pytest.approx(10.0)
  assert 'class_auroc' not in report and 'accuracy' not in report


def test_confidence_is_a_score_of_its_own(hybrid):
  report = ood.compare_scores(
      hybrid,
      _scores([0.0, 1.0, 2.0], confidence=np.array([0.999, 0.1, 0.8])),
      _scores([5.0, 6.0], confidence=np.array([0.6, 0.95])))
  assert report['auroc'] == 0.0
  # Classes are symmetric: 0.1 is a confidence of 0.9.
  assert report['class_auroc'] == pytest.approx(4 / 6)
  assert report['class_auroc_stderr'] > 0.0
  assert 'accuracy' not in report


def _pairs(inside, outside):
  """AUROC and its DeLong error from all pairs."""
  psi = np.heaviside(np.subtract.outer(inside, outside), 0.5)
  error = np.hypot(*(
      np.std(psi.mean(axis=axis), ddof=1) / np.sqrt(psi.shape[1 - axis])
      for axis in (0, 1)))
  return psi.mean(), error


def test_all_pairs_with_ties():
  for num_levels in (3, 10, 10**6):
    rng = np.random.default_rng(num_levels)
    inside = rng.integers(1, num_levels + 1, 23)
    outside = rng.integers(0, num_levels, 31)
    found = ood.measure_auroc(inside, outside)
    assert found.num_examples == 23 + 31
    np.testing.assert_allclose(found[:2], _pairs(inside, outside), rtol=1e-12)
    # The other way round, and of ranks alone.
    back = ood.measure_auroc(outside, inside)
    np.testing.assert_allclose(
        back[:2], [1.0 - found.mean, found.stderr], rtol=1e-12)
    np.testing.assert_allclose(ood.measure_auroc(*(
        np.exp(x / num_levels) for x in (inside, outside))), found, rtol=1e-12)


def test_estimator_error_is_that_of_other_draws():
  rng = np.random.default_rng(1)
  scores = 1.0 + rng.normal(size=60), rng.normal(size=50)

  def draw():
    # A part of the noise is shared by all, as a number of terms is.
    return [s + 0.7 * rng.normal(size=[16, len(s)]) + rng.normal(size=[16, 1])
            for s in scores]

  values = [ood.measure_auroc(*(r.mean(axis=0) for r in draw())).mean
            for _ in range(300)]
  errors = [ood.estimator_stderr(*draw()) for _ in range(40)]
  assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(
      np.std(values), rel=0.15)


def test_what_are_no_scores():
  testing.check_refusals(lambda pair: ood.measure_auroc(*pair), [
      (([1.0], [1.0, 2.0]), 'inside=an array (1,): expected [N], 2 or'),
      (([1.0, 2.0], [np.nan, np.inf, 0.0]), 'outside=2 NaN or infinite of 3')])


def test_histograms(tmp_path, monkeypatch):
  """A panel per score, with both samples, and the bar of a standard error."""
  figures = []
  monkeypatch.setattr(
      figure_lib.Figure, 'savefig', lambda figure, *_, **__: figures.append(
          figure))
  rng = np.random.default_rng(0)
  for stderr in (0.0, 40.0):
    for scores in ('',), ('', 'class_'):
      report = {f'{part}_stderr_rms': stderr for part in ('in', 'out')} | {
          f'{score}auroc{suffix}': 0.5 for score in scores
          for suffix in ('', '_stderr')}
      ood.save_histograms(tmp_path / 'a.png', ('mine', 'theirs'), report, [
          _scores(rng.normal(mean, 30.0, 200), confidence=rng.uniform(size=200))
          for mean in (-900.0, -600.0)])
      first, *others = figures.pop().axes
      assert len(others) == len(scores) - 1
      mine, theirs = (xy[xy[:, 1] > 0.0, 0] for xy in (
          patch.get_xy() for patch in first.patches))
      assert mine.max() < -750.0 < theirs.min()
      labels = [text.get_text() for text in first.get_legend().get_texts()]
      assert labels[:2] == ['mine (200)', 'theirs (200)']
      bars = [bar.get_segments()[0] for bar in first.collections]
      assert [np.ptp(bar[:, 0]) for bar in bars] == [80.0] * bool(stderr)
