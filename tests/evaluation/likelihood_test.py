"""Likelihoods against a density in closed form, and whole Jacobians."""

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
from tf_resflow import models
from tf_resflow import numerics

_NUM_EXAMPLES = 11
_ALPHA, _BIAS, _LOG_SCALE = 0.05, 0.3, -0.4


@pytest.fixture(scope='module')
def split():
  rng = np.random.default_rng(0)
  images = rng.integers(0, 16, [_NUM_EXAMPLES, 4, 4, 1]).astype(np.uint8)
  labels = np.arange(_NUM_EXAMPLES, dtype=np.int32)
  return splits.make_split(images, 16, labels)


@pytest.fixture(scope='module')
def logistic_normal():
  """A flow whose blocks are the identity: affine in logits of pixels."""
  model = models.ResidualFlowConfig(
      image_shape=(4, 4, 1), num_levels=16, num_blocks=(1,), hidden_channels=2,
      num_dense_blocks=0, logit_alpha=_ALPHA).build()
  model(tf.zeros([2, 4, 4, 1]))
  for variable in model.trainable_variables:
    variable.assign(tf.zeros(variable.shape))
  first = next(part for part in model.bijection.elementary()
               if part.name == 'act_norm_first')
  first.bias.assign([_BIAS])
  first.log_scale.assign([_LOG_SCALE])
  return model


@pytest.fixture(scope='module')
def flow():
  """A flow with random blocks."""
  return flows.make_image_flow(16, num_dense_blocks=0)


def _images(split, seed, batch_size=_NUM_EXAMPLES):
  return np.concatenate([
      batch['x'] for batch in datasets.evaluation_batches(
          split, batch_size=batch_size, seed=seed)])


def _closed_form(x):
  """Bits/dim of independent pixels whose logits are normal, in float64."""
  s = _ALPHA + (1.0 - 2.0 * _ALPHA) * x.astype(np.float64)
  # exp(log_scale) (logit + bias) is a standard normal.
  log_prob = stats.norm.logpdf(
      np.log(s) - np.log1p(-s), loc=-_BIAS, scale=np.exp(-_LOG_SCALE))
  log_prob += np.log(1.0 - 2.0 * _ALPHA) - np.log(s) - np.log1p(-s)
  return np.mean(np.log(16) - log_prob, axis=(1, 2, 3)) / np.log(2.0)


@pytest.mark.parametrize('batch_size', [11, 4, 1])
def test_closed_form(split, logistic_normal, batch_size):
  bits = evaluation.nll(
      logistic_normal, split, batch_size=batch_size, seed=2)
  assert bits.shape == (8, _NUM_EXAMPLES) and bits.dtype == np.float64
  # Repeat r takes the noise of seed 1009 seed + r, whatever the batches.
  for repeat in (0, 1, 7):
    expected = _closed_form(_images(split, 2 * 1009 + repeat))
    np.testing.assert_allclose(bits[repeat], expected, rtol=1e-5)
  # Another density would be noticed.
  assert np.abs(expected - _closed_form(_images(split, 0) * 0.9)).min() > 1e-3


def test_repeats_are_independent_and_seeds_repeatable(split, flow):
  # A large seed: those of the repeats must not run into each other.
  bits = evaluation.nll(flow, split, batch_size=6, seed=2**31 - 1)
  again = evaluation.nll(flow, split, batch_size=6, seed=2**31 - 1)
  np.testing.assert_array_equal(bits, again)
  assert len({tuple(row) for row in bits}) == 8
  other = evaluation.nll(flow, split, batch_size=6, seed=1)
  assert np.all(other != bits)


def test_estimates_draw_anew_for_every_repeat_and_batch(split, flow):
  """Beyond the noise: the same images, so only the estimator differs."""
  exact = evaluation.nll(
      flow, split, estimator=numerics.Exact(), batch_size=6)
  estimated = evaluation.nll(
      flow, split, estimator=numerics.RussianRoulette(
          numerics.Geometric(0.3), num_exact_terms=1, probe='gaussian'),
      batch_size=6)
  errors = estimated - exact
  assert np.all(np.abs(errors) > 1e-7)
  correlations = np.corrcoef(errors)[np.triu_indices(8, 1)]
  assert np.max(np.abs(correlations)) < 0.999
  assert np.max(np.abs(np.corrcoef(errors[:, 0], errors[:, 6])[0, 1])) < 0.99


@pytest.mark.parametrize('estimator', [None, 'roulette:safe,exact=20'])
def test_estimators_are_accurate(split, flow, estimator):
  exact = evaluation.nll(flow, split, estimator=numerics.Exact())
  bits = evaluation.nll(
      flow, split, estimator=estimator and numerics.Estimator.get(estimator))
  summary = evaluation.statistics.summarize_repeats(bits - exact)
  assert abs(summary.mean) < 5.0 * summary.estimator_stderr + 1e-6
  assert summary.estimator_stderr < 0.01


class _Recording:
  """A flow whose bits/dim are those of another, and that notes its seeds."""

  def __init__(self, flow):
    self._flow, self.seeds = flow, []
    self.num_levels, self.in_unit = flow.num_levels, flow.in_unit
    self.event_shape, self.is_random = flow.event_shape, False

  def frozen(self):
    return self

  def log_prob(self, images, seed, estimator):
    tf.py_function(
        lambda s: self.seeds.append(tuple(s.numpy())), [seed.values], [])
    return self._flow.log_prob(images, seed=seed, estimator=estimator)


def test_probes_are_averaged(split, flow):
  """Three probes are the means of three evaluations with the same noise."""
  estimator = numerics.Estimator.get('roulette:geometric:0.5,exact=1')
  recording = _Recording(flow)
  bits = evaluation.nll(
      recording, split, batch_size=6, estimator=estimator, num_probes=3)
  assert len(set(recording.seeds)) == len(recording.seeds) == 8 * 2 * 3  # R N P
  exact = evaluation.nll(
      flow, split, batch_size=6, estimator=numerics.Exact())
  one = evaluation.nll(flow, split, batch_size=6, estimator=estimator)
  for repeat in (0, 7):
    images = _images(split, repeat)
    seeds = recording.seeds[6 * repeat:6 * (repeat + 1)]
    expected = np.concatenate([
        np.mean([flow.bits_per_dim(x, seed=s, estimator=estimator)
                 for s in batch_seeds], axis=0)
        for x, batch_seeds in ((images[:6], seeds[:3]), (images[6:], seeds[3:]))
    ])
    np.testing.assert_allclose(bits[repeat], expected, rtol=1e-6)
  # The noise is that of one probe, so errors are those of the estimator.
  ratio = np.mean((bits - exact)**2) / np.mean((one - exact)**2)
  assert 0.1 < ratio < 0.7  # A third, but for chance.


def test_numbers_of_probes_that_do_not_suit(split, flow):
  for count, message in ((0, '0: expected a number'), (2, '2: expected 1 w')):
    with pytest.raises(ValueError, match=f'num_probes={message}'):
      evaluation.nll(
          flow, split, num_probes=count, estimator=numerics.Exact())


def test_two_devices_agree_with_one(split, flow):
  """Every example once, in order, with its own draws.

  Batches of 4, 4 and 3 examples: one device is idle at the end. The estimator
  is one whose number of terms depends on the composition of a batch.
  """
  with replicas.two_replicas().scope():
    model = flow.config.build()
    for target, source in zip(model.variables, flow.variables, strict=True):
      target.assign(source)
  options = dict(batch_size=4, seed=5, num_probes=2)
  one = evaluation.nll(flow, split, **options)
  two = evaluation.nll(
      model, split, strategy=replicas.two_replicas(), **options)
  assert one.shape == two.shape == (8, _NUM_EXAMPLES)
  np.testing.assert_allclose(two, one, rtol=1e-6)
  # Other draws, or another order, would be noticed.
  assert np.abs(one - np.roll(one, 4, axis=1)).min() > 1e-4
  assert np.abs(one - np.roll(one, 1, axis=0)).min() > 1e-7


def test_num_examples(split, flow):
  bits = evaluation.nll(flow, split, batch_size=4, num_examples=7)
  whole = evaluation.nll(flow, split, batch_size=4)
  assert bits.shape == (8, 7)
  np.testing.assert_array_equal(bits[:, :4], whole[:, :4])
  with pytest.raises(ValueError, match='num_examples=12: expected'):
    evaluation.nll(flow, split, num_examples=12)


def test_own_estimators_take_the_same_noise_and_draws(split):
  own = numerics.FixedTruncation(1)
  flow = flows.make_image_flow(16, num_dense_blocks=0, estimator=own.spec())
  options = dict(batch_size=6, seed=3)
  bits = evaluation.nll(flow, split, own_estimator=True, **options)
  np.testing.assert_array_equal(
      bits, evaluation.nll(flow, split, estimator=own, **options))
  assert np.all(bits != evaluation.nll(flow, split, **options))


def test_too_few_repeats(split, flow):
  for evaluate, data in ((evaluation.nll, split),
                         (evaluation.evaluate_inputs, _uniform())):
    with pytest.raises(ValueError, match='num_repeats=7: expected a number fr'):
      evaluate(flow, data, num_repeats=7)


def test_a_flow_without_blocks(split):
  """The density in closed form: nothing but the noise is drawn."""
  model = flows.make_flow_without_blocks()
  bits = evaluation.nll(model, split, batch_size=4, num_probes=2)
  for repeat in (0, 7):
    expected = model.bits_per_dim(_images(split, repeat))
    np.testing.assert_allclose(bits[repeat], expected, rtol=1e-5)


@pytest.fixture(scope='module')
def flow64():
  """A flow with random blocks, in float64."""
  return flows.make_image_flow(16, is_steep=True, dtype='float64')


def _uniform(num_images=5):
  return np.random.default_rng(1).uniform(size=[num_images, 4, 4, 1])


def test_exact_results_are_those_of_the_whole_jacobian(flow64):
  x = _uniform()
  results = evaluation.evaluate_inputs(
      flow64, x, batch_size=2, estimator=numerics.Exact())
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
  report, _ = evaluation.report_inputs(flow64, x, results, batch_size=2)
  assert report['estimator_stderr'] == 0.0
  assert report['num_examples'] == report['num_reconstructions'] == 5
  assert report['reconstruction_error_max'] < 1e-6
  assert report['lipschitz_bound_max'] < 1.0


def test_estimates_average_to_the_exact_value(flow64):
  x = _uniform()
  exact = evaluation.evaluate_inputs(flow64, x, estimator=numerics.Exact())
  results = evaluation.evaluate_inputs(flow64, x, num_repeats=100, seed=3)
  repeats = results['log_det_repeats']
  assert repeats.shape == (100, 5)
  np.testing.assert_allclose(results['log_det'], repeats.mean(0), rtol=1e-12)
  stderr = repeats.std(0, ddof=1) / 10
  assert np.all(stderr > 1e-3)
  assert np.all(np.abs(results['log_det'] - exact['log_det']) < 4 * stderr)
  report, _ = evaluation.report_inputs(flow64, x, results, certify=False)
  np.testing.assert_allclose(
      report['estimator_stderr'],
      repeats.mean(1).std(ddof=1) / 10 / 16 / np.log(2), rtol=1e-9)
  again = evaluation.evaluate_inputs(flow64, x, num_repeats=100, seed=3)
  np.testing.assert_array_equal(again['log_det_repeats'], repeats)


def test_probes_of_given_images_are_averaged(flow64):
  x = _uniform()
  exact = evaluation.evaluate_inputs(flow64, x, estimator=numerics.Exact())
  one, four = [
      evaluation.evaluate_inputs(
          flow64, x, batch_size=2, num_repeats=30, num_probes=n)
      for n in (1, 4)]
  np.testing.assert_array_equal(one['z'], four['z'])
  errors = [r['log_det_repeats'] - exact['log_det'] for r in (one, four)]
  ratio = np.mean(errors[1]**2) / np.mean(errors[0]**2)
  assert 0.12 < ratio < 0.5  # A quarter, but for chance.
  stderr = errors[1].std(0, ddof=1) / np.sqrt(30)
  assert np.all(np.abs(errors[1].mean(0)) < 4.5 * stderr)


def test_one_image(flow64):
  x = _uniform(1)
  results = evaluation.evaluate_inputs(flow64, x, estimator=numerics.Exact())
  report, _ = evaluation.report_inputs(flow64, x, results, certify=False)
  assert report['bits_per_dim_stderr'] is report['lipschitz_bound_max'] is None


@pytest.mark.parametrize('size, expected, batch_size', [
    (1, numerics.Exact(), 10_000), (64, numerics.Exact(), 1250),
    (65, None, 1230), (1000, None, 128)])
def test_defaults_of_vectors(size, expected, batch_size):
  model = models.VectorFlow(models.VectorFlowConfig(
      event_size=size, num_blocks=1, hidden_units=(2,)))
  assert evaluation.default_estimator(model) == (
      expected or evaluation.default_estimator())
  rule = evaluation.scoring_rule(model)
  assert rule.estimator == (
      expected or evaluation.default_estimator().per_example())
  assert evaluation.fitting_batch_size(model, rule.estimator) == batch_size


def test_size_of_batches(flow64):
  assert evaluation.fitting_batch_size(
      flow64, evaluation.default_estimator(), largest=100) == 100
  largest = int(1e9 // (16 * 16 * 8))
  for limit, expected in ((100, 100), (10**9, largest)):
    assert evaluation.fitting_batch_size(
        flow64, numerics.Exact(), limit) == expected

  class Large:
    is_random, compute_dtype = True, 'float32'
    event_shape, latent_size = (256, 256, 3), 3 * 256 * 256

  with pytest.raises(ValueError, match='196608 dimensions takes 155 GB per ex'):
    evaluation.fitting_batch_size(Large(), numerics.Exact())


def test_given_images_without_blocks():
  """Nothing is drawn, so all repeats agree, with the whole Jacobian."""
  model = flows.make_flow_without_blocks(dtype='float64')
  x = _uniform()
  results = evaluation.evaluate_inputs(model, x, batch_size=2)
  log_det = np.linalg.slogdet(testing.full_jacobian(model, tf.constant(x)))[1]
  np.testing.assert_allclose(
      results['log_det_repeats'], np.tile(log_det, [8, 1]), rtol=1e-9)
  report, bounds = evaluation.report_inputs(model, x, results, batch_size=2)
  assert report['estimator_stderr'] == 0.0
  assert report['reconstruction_error_max'] < 1e-12
  assert bounds == []


def test_deviation_of_given_images(flow64):
  results = evaluation.evaluate_inputs(flow64, _uniform(), num_repeats=20)
  np.testing.assert_allclose(
      results['log_prob_deviation'],
      stats.sem(results['log_det_repeats'], axis=0), rtol=1e-12)
  exact = evaluation.evaluate_inputs(
      flow64, _uniform(), estimator=numerics.Exact())
  assert not exact['log_prob_deviation'].any()
  assert 'class_log_prob' not in exact


def test_classes_of_given_images():
  model = flows.make_hybrid_flow(16)
  x = _uniform().astype(np.float32)
  results = evaluation.evaluate_inputs(model, x, batch_size=2)
  np.testing.assert_allclose(
      results['class_log_prob'], tf.nn.log_softmax(model.classify(x)),
      atol=1e-5)


def test_results_per_example_of_a_split(split):
  """The log-density whose bits/dim they are, of the first examples."""
  model = flows.make_hybrid_flow(16)
  bits = evaluation.nll(model, split, seed=2, num_examples=7)
  results = evaluation.results_of_split(
      model, split, bits, batch_size=4, seed=2)
  np.testing.assert_allclose(
      model.bits_per_dim_of(results['log_prob']), bits.mean(axis=0), rtol=1e-12)
  np.testing.assert_allclose(
      results['log_prob_deviation'],
      16 * np.log(2) * stats.sem(bits, axis=0), rtol=1e-9)
  np.testing.assert_array_equal(results['label'], np.arange(7))
  np.testing.assert_array_equal(results['bits_per_dim'], bits)
  np.testing.assert_allclose(
      results['class_log_prob'],
      tf.nn.log_softmax(model.classify(_images(split, 2)[:7])), atol=1e-5)


def test_results_of_a_split_without_labels_or_classifier(flow):
  split = splits.make_split(
      np.zeros([3, 4, 4, 1], np.uint8), 16, np.full([3], -1, np.int32))
  results = evaluation.results_of_split(flow, split, np.ones([8, 3]))
  assert results.keys() == {'bits_per_dim', 'log_prob', 'log_prob_deviation'}
