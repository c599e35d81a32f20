"""VectorFlow: the order of its parts; densities of columns of all types."""

import dataclasses

import numpy as np
import pytest
from scipy import integrate
from scipy import stats
import tensorflow as tf

from tests import flows
from tests import schemas
from tests import testing
from tf_resflow import models
from tf_resflow.columns import column_types


def parts(**fields):
  flow = models.VectorFlowConfig(event_size=3, **fields).build()
  return flow, [type(b).__name__ for b in flow.bijection.leaves()]


@pytest.mark.parametrize('act_norm, expected', [
    (True, ['ActNorm', *['ResidualBlock', 'ActNorm'] * 2]),
    (False, ['ResidualBlock'] * 2)])
def test_order_of_parts(act_norm, expected):
  flow, names = parts(num_blocks=2, hidden_units=(5, 4), act_norm=act_norm)
  assert names == expected
  first, second = flow.certified_bijections
  assert [type(p).__name__ for p in first.g.parts] == [
      'SpectralDense', 'LipSwish', 'SpectralDense', 'LipSwish',
      'SpectralDense']
  assert [type(p).__name__ for p in second.g.parts][0] == 'LipSwish'
  assert [p.units for p in first.constrained_layers()] == [5, 4, 3]


@pytest.mark.parametrize('norms', [('2',), ('3',), ('learned',)])
def test_blocks_begin_as_the_identity_where_a_base_is_fitted(norms):
  flow = models.VectorFlowConfig(
      event_size=3, num_blocks=1, hidden_units=(5,), act_norm=False,
      base='mixture', norms=norms).build()
  x = tf.random.stateless_normal([4, 3], [0, 1])
  with tf.GradientTape() as tape:
    z, log_det = flow.forward_and_log_det(x, seed=0)
    loss = tf.reduce_sum(z**3) + tf.reduce_sum(log_det)
  np.testing.assert_array_equal(z, x)
  np.testing.assert_allclose(log_det, 0.0, atol=1e-6)
  for gradient in tape.gradient(loss, flow.trainable_variables):
    assert gradient is None or np.all(np.isfinite(gradient))


def test_couplings_take_turns():
  flow = models.VectorFlowConfig(
      event_size=4, num_blocks=3, hidden_units=(5,), block='coupling',
      invertible_linear='free').build()
  names = [type(b).__name__ for b in flow.bijection.leaves()]
  assert names == ['ActNorm', *[
      'InvertibleLinear', 'AffineCoupling', 'ActNorm'] * 3]
  assert [b.swap for b in flow.bijection.leaves()
          if hasattr(b, 'swap')] == [False, True, False]


_RANGES = {
    'real': (-30.0, 30.0), 'log': (-30.0, 30.0), 'logit:100': (-30.0, 30.0),
    'heavy:1:2': (-30.0, 30.0), 'integer': (0, 400),
    'signed_integer': (-60, 60), 'integer:25': (0, 400),
    'signed_integer:0.01': (-60, 60), 'heavy_integer:2:3:0.1': (-4000, 4000)}


@pytest.mark.parametrize('types', [
    *((name,) for name in _RANGES), ('log', 'signed_integer'),
    ('heavy:1:2', 'logit:100')])
def test_densities_integrate_and_probabilities_sum_to_one(types):
  """Whole numbers are summed, others integrated over `y = f(x)`."""
  size = len(types)
  flow = models.VectorFlowConfig(
      event_size=size, num_blocks=2, hidden_units=(8,),
      schema=schemas.make_schema(
          types=types, mean=(0.5,) * size, std=(1.2,) * size,
          whitening=(1.0, 0.3, 1.1)[:size * (size + 1) // 2])).build('float64')
  latents = 0.5 + 1.2 * np.random.default_rng(0).normal(size=[64, size])
  axes, log_weights, data = [], [], []
  for i, name in enumerate(types):
    column_type = column_types.ColumnType.get(name)
    data.append(column_type.inverse(latents[:, i], np))
    if column_type.is_integer:
      data[-1] = column_type.values(np.floor(data[-1]))
      x = column_type.values(np.arange(*_RANGES[name], dtype=float))
      log_weight = np.full(len(x), np.log(column_type.step))
    else:
      y = np.linspace(*_RANGES[name], 150)
      x = column_type.inverse(y, np)
      log_weight = np.log(y[1] - y[0]) - column_type.log_slope(y, np)
    axes.append(x)
    log_weights.append(log_weight)
  grid = np.stack(np.meshgrid(*axes), axis=-1).reshape([-1, size])
  flow.initialize(tf.constant(np.stack(data, axis=-1)), seed=0)
  flow.augmentation.num_points *= 4  # More exact near the bounds of log.
  log_prob = np.concatenate([
      flow.log_prob(part, estimator='exact').numpy()
      for part in np.array_split(grid, 4)])
  total = np.exp(log_prob + sum(np.meshgrid(*log_weights)).ravel()).sum()
  assert total == pytest.approx(1.0, abs=1e-3)
  samples = flow.sample(50, seed=0).numpy()
  for name, column in zip(types, samples.T, strict=True):
    column_type = column_types.ColumnType.get(name)
    if column_type.is_integer:
      k = column_type.units(column, np)
      np.testing.assert_array_equal(column, column_type.values(k))
      column = k + 0.5
    assert np.all(column_type.supports(column))


def _one_column(name, **fields):
  """Returns an initialised flow of one column in float64, and its data."""
  flow = models.VectorFlowConfig(
      event_size=1, num_blocks=2, hidden_units=(8,),
      schema=schemas.make_schema(types=[name], mean=(0.5,), std=(1.2,)),
      **fields).build('float64')
  column_type = column_types.ColumnType.get(name)
  rng = np.random.default_rng(0)
  x = column_type.inverse(
      0.5 + 1.2 * rng.choice([-1.5, 0.7], [300, 1]) + rng.normal(
          size=[300, 1], scale=0.5), np)
  x = column_type.values(np.floor(x)) if column_type.is_integer else x
  given = rng.normal(size=[300, 1]) if fields.get('condition_size') else None
  flow.initialize(x, given, seed=0)
  flows.disturb(flow, 0.1)
  flow.fit_base(x, given)
  return flow, x


@pytest.mark.parametrize('name, fields', [
    ('real', {'invertible_linear': 'free'}), ('log', {'condition_size': 1}),
    ('logit:100', {'block': 'inverse'}), ('integer', {'base': 'mixture'}),
    ('heavy:1:2', {'base': 'mixture', 'invertible_linear': 'free'}),
    ('signed_integer:0.01', {'invertible_linear': 'free'}),
    ('integer:25', {'condition_size': 1})])
def test_cdf_is_the_integral_of_the_density(name, fields):
  """Whole numbers are summed; a decreasing map turns the latents around.

  Quantiles are the inverse.
  """
  flow, _ = _one_column(name, **fields)
  if 'invertible_linear' in fields:
    first = next(b for b in flow.bijection.leaves() if 'Linear' in str(type(b)))
    first.variables[0].assign(-first.variables[0])
  column_type = column_types.ColumnType.get(name)
  condition = np.array([[0.7]]) if 'condition_size' in fields else None
  if column_type.is_integer:
    x = column_type.values(np.arange(*_RANGES[name], dtype=float))
    flow.augmentation.num_points *= 16
    total = np.cumsum(column_type.step * np.exp(flow.log_prob(
        x[:, np.newaxis], condition, estimator='exact')))
  else:
    y = np.linspace(*_RANGES[name], 4001)
    x = column_type.inverse(y, np)
    total = integrate.cumulative_simpson(np.exp(flow.log_prob(
        x[:, np.newaxis], condition, estimator='exact'
    ) - column_type.log_slope(y, np)), x=y, initial=0.0)
  p = flow.cdf(x, condition)
  np.testing.assert_allclose(p, total, atol=2e-3 if (
      column_type.is_integer) else 1e-6)
  inner = (p > 1e-3) & (p < 0.999)
  assert inner.sum() > 5
  np.testing.assert_allclose(
      flow.quantile(p[inner] - 1e-7, condition), x[inner], rtol=1e-4,
      atol=1e-4)
  outside = flow.cdf([-np.inf, np.inf, np.nan], condition)
  np.testing.assert_array_equal(outside, [0.0, 1.0, np.nan])


def test_ranks_of_samples_are_uniform():
  """By the cdf, which takes conditions one by one, or one for all."""
  flow, _ = _one_column('log', condition_size=1)
  condition = np.random.default_rng(1).normal(size=[2000, 1])
  y = flow.sample(2000, condition, seed=0)
  p = flow.cdf(y, condition)
  assert stats.kstest(p, 'uniform').pvalue > 0.01
  assert np.abs(p - flow.cdf(y, [0.0])).max() > 0.05
  found = flow.quantile(p[:20], condition[:20])
  np.testing.assert_allclose(np.diagonal(found), y[:20, 0], rtol=1e-8)
  # Of all p for all rows; none of a row with a gap.
  np.testing.assert_allclose(
      found[3], flow.quantile(p[:20], condition[3]), rtol=1e-8)
  gap = np.where(np.arange(3)[:, np.newaxis] == 1, np.nan, condition[:3])
  medians = flow.quantile(0.5, gap)
  np.testing.assert_array_equal(np.isnan(medians), [False, True, False])
  assert flow.quantile([[0.1], [0.9]], gap).shape == (3, 2, 1)
  np.testing.assert_array_equal(
      flow.cdf(1.0, condition[:3]), flow.cdf([1.0] * 3, condition[:3]))


def test_frames_have_a_cdf_and_other_flows_have_none():
  flow, x = _one_column('integer')
  assert flow.cdf(x[:4] + 0.25).tolist() == flow.cdf(x[:4]).tolist()
  assert flow.cdf([-1.0, -0.5]).tolist() == [0.0, 0.0]
  several = models.VectorFlowConfig(event_size=2, num_blocks=1).build()
  testing.check_refusals(lambda call: call(), [
      (lambda: several.cdf(np.zeros([3, 2])), 'cdf requires a flow of one col'),
      (lambda: several.quantile(0.5), 'quantile requires a flow of one column'),
      (lambda: flow.quantile([0.5, 1.0]), 'p=[0.5 1. ]: expected numbers str')])


def test_noise_near_bounds():
  """It leaves the support nowhere, and rows without a density alone."""
  types = ('logit', 'logit:100', 'log', 'integer')
  flow = models.VectorFlowConfig(
      event_size=4, num_blocks=1, hidden_units=(4,),
      schema=schemas.make_schema(
          types=types, mean=(0.0,) * 4, std=(3.0,) * 4)).build()
  near = np.float32([[1 - 1e-6, 1e-4, 1e-37, 0], [1 - 6e-8, 99.99999, 1, 9]])
  x = tf.constant(np.repeat(near, 5000, axis=0))
  flow.initialize(x, seed=0)
  y = flow.perturb(x, 0.5, seed=1)
  assert np.all(flow.bijection.leaves()[0].supports(y + [0.0, 0.0, 0.0, 0.5]))
  assert 0.5 < np.std(np.log1p(-np.float64(y[:5000, 0]))) < 3.0
  outside = np.float32([[1, 50, 1, 3], [0.5, 50, 0, 3]])
  np.testing.assert_array_equal(flow.perturb(outside, 0.5, seed=1), outside)


def test_densities_of_samples_near_bounds():
  """Samples that would be rounded to 0 or 1 are inside and have a density."""
  flow = models.VectorFlowConfig(
      event_size=2, num_blocks=1, hidden_units=(4,),
      schema=schemas.make_schema(
          types=('logit', 'logit:100'), mean=(12.0, -60.0), std=(6.0, 30.0))
  ).build()
  flow.initialize(flow.bijection.leaves()[0].inverse(
      tf.random.stateless_normal([64, 2], [0, 0]) * [6.0, 30.0] + [12., -60.]))
  x, log_prob = flow.distribution().experimental_sample_and_log_prob(
      500, seed=[0, 1])
  assert np.all((np.asarray(x) > 0) & (np.asarray(x) < [1.0, 100.0]))
  assert np.all(np.isfinite(log_prob + flow.log_prob(x, estimator='exact')))


def test_perturbed_data():
  """Noise of a size in standardised columns; whole numbers stay whole."""
  flow = models.VectorFlowConfig(
      event_size=3, num_blocks=1, hidden_units=(4,),
      schema=schemas.make_schema(
          types=('real', 'log', 'integer'), mean=(5.0, 0.0, 2.0),
          std=(2.0, 0.5, 1.0))).build('float64')
  x = np.tile([[7.0, 1.5, 9.0]], [20_000, 1])
  y = flow.perturb(tf.constant(x), 0.3, seed=1).numpy()
  for noise in (y[:, 0] / 2.0, np.log(y[:, 1]) / 0.5):
    noise = noise - noise.mean()
    np.testing.assert_allclose(noise.std(), 0.3, rtol=0.03)
  np.testing.assert_array_equal(y[:, 2], np.floor(y[:, 2]))
  # log(9 + u) has a deviation of 0.03 itself.
  np.testing.assert_allclose(np.log(y[:, 2] + 0.5).std(), 0.3, rtol=0.05)
  np.testing.assert_array_equal(y, flow.perturb(tf.constant(x), 0.3, seed=1))


def test_rows_in_float64():
  """Values, latents, inverses and noise are those of a flow in float64."""
  rng = np.random.default_rng(0)
  a = 1e6 + rng.normal(size=64)
  x = np.stack([a, a + 0.1 * rng.normal(size=64), np.exp(a - 1e6)], axis=1)
  schema = schemas.make_schema(
      types=('real', 'heavy:1e6:1', 'log'), mean=(1e6, 0.0, 0.0),
      std=(1.0, 1.0, 1.0), whitening=(1.0, -9.0, 9.0, 0.0, 0.0, 1.0))
  config = models.VectorFlowConfig(
      event_size=3, num_blocks=1, hidden_units=(4,),
      schema=dataclasses.replace(schema, dtype='float64'))
  flow, exact = config.build(), config.build('float64')
  flow.initialize(x, seed=0)
  exact.set_weights(flow.get_weights())
  z, log_prob = flow(x), flow.log_prob(x, estimator='exact')
  assert z.dtype == log_prob.dtype == tf.float32
  np.testing.assert_allclose(
      log_prob, exact.log_prob(x, estimator='exact'), atol=1e-4)
  np.testing.assert_allclose(z, exact(x), atol=1e-4)
  np.testing.assert_allclose(flow.inverse(z), x, atol=1e-4)
  np.testing.assert_allclose(
      flow.perturb(tf.constant(x), 1e-3, seed=0),
      exact.perturb(tf.constant(x), 1e-3, seed=0), rtol=1e-12)
  rounded = models.VectorFlowConfig(
      event_size=3, num_blocks=1, hidden_units=(4,), schema=schema).build()
  rounded.set_weights(flow.get_weights())
  assert np.abs(rounded.log_prob(x, estimator='exact') - log_prob).max() > 1e-2
