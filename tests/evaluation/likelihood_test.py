"""Bits/dim of a data set against a density in closed form."""

import numpy as np
import pytest
from scipy import stats
import tensorflow as tf

from tests import flows
from tests import replicas
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
  return datasets.ImageSplit(
      tf.data.Dataset.from_tensor_slices({'image': images, 'label': labels}),
      _NUM_EXAMPLES, (4, 4, 1), 16)


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
  model = models.ResidualFlowConfig(
      image_shape=(4, 4, 1), num_levels=16, num_blocks=(1,), hidden_channels=4,
      num_dense_blocks=0).build()
  model(tf.random.stateless_uniform([8, 4, 4, 1], [0, 1]))
  return model


def _images(split, seed, batch_size=_NUM_EXAMPLES):
  return np.concatenate([
      batch['image'] for batch in datasets.evaluation_batches(
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
  bits = evaluation.bits_per_dim(
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
  bits = evaluation.bits_per_dim(flow, split, batch_size=6, seed=2**31 - 1)
  again = evaluation.bits_per_dim(flow, split, batch_size=6, seed=2**31 - 1)
  np.testing.assert_array_equal(bits, again)
  assert len({tuple(row) for row in bits}) == 8
  other = evaluation.bits_per_dim(flow, split, batch_size=6, seed=1)
  assert np.all(other != bits)


def test_estimates_draw_anew_for_every_repeat_and_batch(split, flow):
  """Beyond the noise: the same images, so only the estimator differs."""
  exact = evaluation.bits_per_dim(
      flow, split, estimator=numerics.Exact(), batch_size=6)
  estimated = evaluation.bits_per_dim(
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
  exact = evaluation.bits_per_dim(flow, split, estimator=numerics.Exact())
  bits = evaluation.bits_per_dim(
      flow, split, estimator=estimator and numerics.Estimator.get(estimator))
  summary = evaluation.statistics.summarize_repeats(bits - exact)
  assert abs(summary.mean) < 5.0 * summary.estimator_stderr + 1e-6
  assert summary.estimator_stderr < 0.01


class _Recording:
  """A flow whose bits/dim are those of another, and that notes its seeds."""

  def __init__(self, flow):
    self._flow = flow
    self.seeds = []

  def bits_per_dim(self, images, seed, estimator):
    tf.py_function(
        lambda s: self.seeds.append(tuple(s.numpy())), [seed.values], [])
    return self._flow.bits_per_dim(images, seed=seed, estimator=estimator)


def test_probes_are_averaged(split, flow):
  """Three probes are the means of three evaluations with the same noise."""
  estimator = numerics.Estimator.get('roulette:geometric:0.5,exact=1')
  recording = _Recording(flow)
  bits = evaluation.bits_per_dim(
      recording, split, batch_size=6, estimator=estimator, num_probes=3)
  # Eight repeats of two batches.
  assert len(set(recording.seeds)) == len(recording.seeds) == 8 * 2 * 3
  exact = evaluation.bits_per_dim(
      flow, split, batch_size=6, estimator=numerics.Exact())
  one = evaluation.bits_per_dim(
      flow, split, batch_size=6, estimator=estimator)
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
  with pytest.raises(ValueError, match='num_probes=0: expected a number from'):
    evaluation.bits_per_dim(flow, split, num_probes=0)
  with pytest.raises(ValueError, match='num_probes=2: expected 1 with an est'):
    evaluation.bits_per_dim(
        flow, split, num_probes=2, estimator=numerics.Exact())


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
  one = evaluation.bits_per_dim(flow, split, **options)
  two = evaluation.bits_per_dim(
      model, split, strategy=replicas.two_replicas(), **options)
  assert one.shape == two.shape == (8, _NUM_EXAMPLES)
  np.testing.assert_allclose(two, one, rtol=1e-6)
  # Other draws, or another order, would be noticed.
  assert np.abs(one - np.roll(one, 4, axis=1)).min() > 1e-4
  assert np.abs(one - np.roll(one, 1, axis=0)).min() > 1e-7


def test_num_examples(split, flow):
  bits = evaluation.bits_per_dim(flow, split, batch_size=4, num_examples=7)
  whole = evaluation.bits_per_dim(flow, split, batch_size=4)
  assert bits.shape == (8, 7)
  np.testing.assert_array_equal(bits[:, :4], whole[:, :4])
  with pytest.raises(ValueError, match='num_examples=12: expected'):
    evaluation.bits_per_dim(flow, split, num_examples=12)


def test_too_few_repeats(split, flow):
  with pytest.raises(ValueError, match='num_repeats=7: expected a number from'):
    evaluation.bits_per_dim(flow, split, num_repeats=7)


@pytest.mark.parametrize('coeff', [0.5, 0.9, 0.98])
def test_roulette_of_the_paper_has_a_variance(coeff):
  model = models.ResidualFlowConfig(
      image_shape=(4, 4, 1), num_blocks=(1,), hidden_channels=2,
      num_dense_blocks=1, dense_hidden_units=2, lipschitz_coeff=coeff).build()
  for block in model.certified_bijections:
    estimator = numerics.Estimator.get('roulette:safe,exact=7').for_bound(
        block.lipschitz_bound)
    assert estimator.num_exact_terms == 7
    # Power iteration may miss each of the three norms by a relative 1e-3.
    assert estimator.law.has_finite_variance((1.001 * coeff)**3)
    # Nearly the cheapest law that has one.
    assert not numerics.Geometric(
        estimator.law.probability / 0.89).has_finite_variance(
            block.lipschitz_bound)


def test_a_flow_without_blocks(split):
  """The density in closed form: nothing but the noise is drawn."""
  model = flows.make_flow_without_blocks()
  bits = evaluation.bits_per_dim(model, split, batch_size=4, num_probes=2)
  for repeat in (0, 7):
    expected = model.bits_per_dim(_images(split, repeat))
    np.testing.assert_allclose(bits[repeat], expected, rtol=1e-5)
