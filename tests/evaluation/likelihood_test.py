"""Likelihoods against a density in closed form, and whole Jacobians."""

import functools

import numpy as np
import pytest
from scipy import special
from scipy import stats
import tensorflow as tf

from tests import flows
from tests import replicas
from tests import splits
from tests import testing
from tf_resflow import datasets
from tf_resflow import evaluation
from tf_resflow import models
from tf_resflow import numerics
from tf_resflow.evaluation import likelihood
from tf_resflow.numerics import random

_NUM_EXAMPLES = 11
_ALPHA, _BIAS, _LOG_SCALE = 0.05, 0.3, -0.4


@pytest.fixture(scope='module')
def split():
  return splits.random_split(_NUM_EXAMPLES, 16)


@pytest.fixture(scope='module')
def flow():
  """A flow with random blocks."""
  return flows.make_image_flow(16, num_dense_blocks=0)


_ROUGH = numerics.Estimator.get('roulette:geometric:0.5,exact=1')


@pytest.fixture(scope='module')
def estimates(flow, split):
  """Returns `estimates(estimator, ...)`, in batches of 4, 4 and 3 examples."""
  return functools.cache(lambda estimator=None, **options: evaluation.nll(
      flow, split, estimator=estimator, batch_size=4, **options))


def _images(split, seed):
  (batch,) = datasets.evaluation_batches(
      split, batch_size=_NUM_EXAMPLES, seed=seed)
  return batch['x'].numpy()


def _closed_form(x):
  """Bits/dim of independent pixels whose logits are normal, in float64."""
  s = _ALPHA + (1.0 - 2.0 * _ALPHA) * x.astype(np.float64)
  # exp(log_scale) (logit + bias) is a standard normal.
  log_prob = stats.norm.logpdf(
      np.log(s) - np.log1p(-s), loc=-_BIAS, scale=np.exp(-_LOG_SCALE))
  log_prob += np.log(1.0 - 2.0 * _ALPHA) - np.log(s) - np.log1p(-s)
  return np.mean(np.log(16) - log_prob, axis=(1, 2, 3)) / np.log(2.0)


def test_closed_form(split):
  """The flow is affine in logits of pixels."""
  model = flows.make_flow_without_blocks()
  logit, act_norm, _ = model.bijection.leaves()
  assert logit.alpha == _ALPHA
  act_norm.bias.assign([_BIAS])
  act_norm.log_scale.assign([_LOG_SCALE])
  bits = evaluation.nll(model, split, batch_size=4, seed=2)
  assert bits.shape == (8, _NUM_EXAMPLES) and bits.dtype == np.float64
  # Repeat r takes the noise of seed 1009 seed + r, whatever the batches.
  for repeat in (0, 1, 7):
    expected = _closed_form(_images(split, 2 * 1009 + repeat))
    np.testing.assert_allclose(bits[repeat], expected, rtol=1e-5)
  # Another density would be noticed.
  assert np.abs(expected - _closed_form(_images(split, 0) * 0.9)).min() > 1e-3


def test_repeats_are_independent_and_seeds_repeatable(estimates):
  # A large seed: those of the repeats must not run into each other.
  bits = estimates(seed=2**31 - 1)
  np.testing.assert_array_equal(
      bits, estimates.__wrapped__(seed=2**31 - 1))
  assert len({tuple(row) for row in bits}) == 8
  assert np.all(estimates(seed=1) != bits)


def test_estimates_draw_anew_for_every_repeat_and_batch(estimates):
  """Beyond the noise: the same images, so only the estimator differs."""
  errors = estimates(_ROUGH) - estimates('exact')
  assert np.all(np.abs(errors) > 1e-7)
  correlations = np.corrcoef(errors)[np.triu_indices(8, 1)]
  assert np.max(np.abs(correlations)) < 0.999
  assert np.max(np.abs(np.corrcoef(errors[:, 0], errors[:, 4])[0, 1])) < 0.99


def test_probes_are_averaged(split, flow, estimates):
  """Three probes are the means of three evaluations with the same noise."""
  exact, one = estimates('exact'), estimates(_ROUGH)
  bits = estimates(_ROUGH, num_probes=3)
  for repeat in (2, 7):
    images = _images(split, repeat)
    draws = [random.fold_in(0, 3 * repeat + probe) for probe in range(3)]
    expected = np.concatenate([
        np.mean([flow.bits_per_dim(
            images[4 * i:4 * i + 4], seed=random.fold_in(draw, i),
            estimator=_ROUGH) for draw in draws], axis=0)
        for i in range(3)])
    np.testing.assert_allclose(bits[repeat], expected, rtol=1e-6)
  # The noise is that of one probe, so errors are those of the estimator.
  ratio = np.mean((bits - exact)**2) / np.mean((one - exact)**2)
  assert 0.1 < ratio < 0.7  # A third, but for chance.


def test_draws_come_one_after_another():
  """All batches of a draw, all probes of a repeat, then the next repeat."""
  def method(model, x, seed, estimator):
    del model, estimator
    return x[:, 0], random.uniform(tf.shape(x)[:1], seed, tf.float32)

  settings = evaluation.EvaluationSettings(num_repeats=2, num_probes=3, seed=5)
  x = np.arange(4.0)[:, np.newaxis]
  draws = list(likelihood.LogProbs(None, settings, method).draws(
      lambda repeat: [x[:2] + 10 * repeat, x[2:] + 10 * repeat], 4))
  assert len(draws) == 6
  for i, (values, noise) in enumerate(draws):
    np.testing.assert_array_equal(values, x[:, 0] + 10 * (i // 3))
    np.testing.assert_array_equal(noise, np.concatenate([
        random.uniform([2], random.fold_in(random.fold_in(5, i), batch))
        for batch in range(2)]))


def test_numbers_of_draws_that_do_not_suit(split, flow):
  exact = {'estimator': numerics.Exact()}
  for options, message in (
      (exact | {'num_probes': 0}, 'num_probes=0: expected a number'),
      (exact | {'num_probes': 2}, 'num_probes=2 has no effect with'),
      ({'num_repeats': 7}, 'num_repeats=7: expected a number >= 8')):
    with pytest.raises(ValueError, match=message):
      evaluation.nll(flow, split, **options)


@pytest.mark.slow
def test_two_devices_agree_with_one(split, flow, estimates):
  """Every example once, in order, with its own draws.

  Batches of 4, 4 and 3 examples: one device is idle at the end. The estimator
  is one whose number of terms depends on the composition of a batch.
  """
  with replicas.two_replicas().scope():
    model = flow.config.build()
    model.set_weights(flow.get_weights())
  one = estimates(seed=5, num_probes=2)
  two = evaluation.nll(
      model, split, strategy=replicas.two_replicas(), batch_size=4, seed=5,
      num_probes=2)
  assert one.shape == two.shape == (8, _NUM_EXAMPLES)
  np.testing.assert_allclose(two, one, rtol=1e-6)
  # Other draws, or another order, would be noticed.
  assert np.abs(one - np.roll(one, 4, axis=1)).min() > 1e-4
  assert np.abs(one - np.roll(one, 1, axis=0)).min() > 1e-7


def test_estimators_of_training_take_the_same_noise_and_draws(split, estimates):
  own = numerics.FixedTruncation(1)
  # Of the same weights as without an estimator of its own.
  flow = flows.make_image_flow(16, num_dense_blocks=0, estimator=own.spec())
  options = dict(batch_size=4, seed=3)
  bits = evaluation.nll(flow, split, estimator='training', **options)
  np.testing.assert_array_equal(
      bits, evaluation.nll(flow, split, estimator=own.spec(), **options))
  assert np.all(bits != estimates(seed=3))
  np.testing.assert_allclose(bits, estimates('exact', seed=3), atol=0.1)


@pytest.fixture(scope='module')
def flow64():
  """A flow with random blocks, in float64."""
  return flows.make_image_flow(
      16, num_dense_blocks=0, is_steep=True, dtype='float64')


def _uniform(num_images=5):
  return np.random.default_rng(1).uniform(size=[num_images, 4, 4, 1])


@pytest.fixture(scope='module')
def exact64(flow64):
  return evaluation.evaluate_inputs(
      flow64, _uniform(), batch_size=2, estimator='exact')


@pytest.fixture(scope='module')
def estimates64(flow64):
  """A hundred repeats."""
  return evaluation.evaluate_inputs(
      flow64, _uniform(), num_repeats=100, seed=3, estimator='adaptive:0.02')


def test_exact_results_are_those_of_the_whole_jacobian(flow64, exact64):
  x, results = _uniform(), exact64
  # In a graph: eager passes take batches of any size in chunks, which
  # `batch_jacobian` cannot vectorise.
  jacobian = testing.full_jacobian(
      tf.function(flow64, autograph=False), tf.constant(x))
  log_det = np.linalg.slogdet(jacobian)[1]
  np.testing.assert_allclose(results['log_det'], log_det, rtol=1e-9)
  z = np.asarray(flow64(x))
  np.testing.assert_allclose(results['z'], z, rtol=1e-12)
  log_prob = log_det - 0.5 * np.sum(z**2, 1) - 8 * np.log(2 * np.pi)
  np.testing.assert_allclose(results['log_prob'], log_prob, rtol=1e-9)
  np.testing.assert_allclose(
      results['bits_per_dim'], (np.log(16) - log_prob / 16) / np.log(2),
      rtol=1e-9)
  assert results['log_det_repeats'].shape == (1, 5)
  assert not results['log_prob_stderr'].any()
  assert 'class_log_prob' not in results
  report = evaluation.report.report_inputs(
      flow64, x, results, batch_size=2).report()
  assert report['estimator_stderr'] == 0.0
  assert report['num_examples'] == report['num_reconstructions'] == 5
  assert report['reconstruction_error_max'] < 1e-6
  assert report['lipschitz_bound_max'] < 1.0


def test_estimates_average_to_the_exact_value(exact64, estimates64):
  repeats = estimates64['log_det_repeats']
  assert repeats.shape == (100, 5)
  np.testing.assert_allclose(
      estimates64['log_det'], repeats.mean(0), rtol=1e-12)
  stderr = stats.sem(repeats, axis=0)
  np.testing.assert_allclose(estimates64['log_prob_stderr'], stderr, rtol=1e-12)
  assert np.all(stderr > 1e-3)
  assert np.all(
      np.abs(estimates64['log_det'] - exact64['log_det']) < 5.8 * stderr)


def test_given_images_without_blocks():
  """Nothing is drawn; estimates that are no mean of them; one image alone."""
  model = flows.make_flow_without_blocks(dtype='float64')
  x = _uniform()
  results = evaluation.evaluate_inputs(model, x, batch_size=2)
  assert results['log_det_repeats'].shape == (1, 5)
  repeats = np.random.default_rng(0).normal(size=[9, 5])
  report = evaluation.report.report_inputs(
      model, x, {**results, 'log_det_repeats': repeats}).report()
  np.testing.assert_allclose(
      report['estimator_stderr'],
      stats.sem(repeats.mean(1)) / 16 / np.log(2), rtol=1e-9)
  np.testing.assert_allclose(
      report['bits_per_dim_stderr'], stats.sem(results['bits_per_dim']))
  report = evaluation.report.report_inputs(
      model, x[:1], evaluation.evaluate_inputs(model, x[:1])).report()
  assert report['bits_per_dim_stderr'] is None


def test_classes_of_given_images():
  hybrid = flows.make_hybrid_flow(16, num_dense_blocks=0)
  x = _uniform().astype(np.float32)
  results = evaluation.evaluate_inputs(hybrid, x, batch_size=2)
  np.testing.assert_allclose(
      results['class_log_prob'], tf.nn.log_softmax(hybrid.classify(x)),
      atol=1e-5)


def test_exact_up_to_64_dimensions_and_16_draws_beyond():
  flow = flows.make_image_flow(16, num_dense_blocks=0)

  def found(model, *arguments):
    used = evaluation.scoring_settings(model, *arguments)
    return used.estimator, used.num_repeats, used.reason

  assert found(flow) == (
      numerics.Exact(), 1, 'exact: at most 64 dimensions')
  wide = models.ResidualFlowConfig(  # Of 72 dimensions.
      image_shape=(9, 8, 1), num_levels=16, num_blocks=(1,), hidden_channels=2,
      num_dense_blocks=0).build()
  estimator, *others = found(wide)
  assert others == [16, 'averaged draws: more than 64 dimensions']
  assert estimator.is_random and not estimator.batch_dependent
  assert found(wide, None, 40)[1] == 40
  assert found(wide, 'exact')[:2] == (numerics.Exact(), 1)
  assert found(flow, 'roulette:poisson:2')[1:] == (16, 'the given estimator')
  assert 'bias' in found(flow, 'fixed:3')[2]
  with pytest.raises(ValueError, match='num_repeats=15: expected a number >='):
    evaluation.scoring_settings(wide, num_repeats=15)
  with pytest.raises(ValueError, match='num_repeats=16 has no effect'):
    evaluation.scoring_settings(flow, num_repeats=16)


def test_accuracy_and_cross_entropy():
  log_probs = special.log_softmax(
      np.random.default_rng(1).normal(size=[7, 3]), axis=1)
  labels = log_probs.argmax(axis=1)
  labels[3] = (labels[3] + 1) % 3  # The only one that is taken for another.
  for size, share in ((7, 6 / 7), (3, 1.0)):
    accuracy, cross_entropy = likelihood.accuracy_and_cross_entropy(
        log_probs[:size], labels[:size]).values()
    assert accuracy.mean == share and accuracy.num_examples == size
    np.testing.assert_allclose(
        accuracy.stderr, np.sqrt(share * (1 - share) / (size - 1)))
    values = -log_probs[np.arange(7), labels][:size]
    np.testing.assert_allclose(
        cross_entropy[:2], [values.mean(), stats.sem(values)], rtol=1e-12)
