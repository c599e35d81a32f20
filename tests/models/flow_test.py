"""Flows: normalisation, bits per dimension, samples, bounds, classifiers."""

import inspect
import math
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import cases
from tests import flows
from tests import networks
from tests import splits
from tests.evaluation import conditional_flows
from tests.layers import operators
from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow import layers
from tf_resflow import models
from tf_resflow import numerics
from tf_resflow import serving
from tf_resflow import specs


def make_identity_flow(mean=(0.5,), std=(0.25,)):
  """An image flow that only standardises."""
  flow = models.ResidualFlowConfig(
      image_shape=(2, 2, len(mean)), num_blocks=(1,),
      hidden_channels=2, num_dense_blocks=0, act_norm=False,
      preprocessing='standardize', mean=mean, std=std).build()
  for layer in flow.constrained_layers:
    layer.kernel.assign(tf.zeros_like(layer.kernel.value))
    layer.bias.assign(tf.zeros_like(layer.bias.value))
  return flow


def test_bits_per_dim_of_standardized_colours():
  """Averaged over the noise U of levels X, in closed form, per channel:

    E -log2(p((X + U) / n) / n) = log2(n sqrt(2 pi) std) +
        (((X + 1/2) / n - mean)^2 + 1 / (12 n^2)) / (2 std^2 ln 2).
  """
  mean, std = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
  levels = np.random.default_rng(0).integers(0, 256, [5, 2, 2, 3])
  # The two points that integrate a square over [0, 1] exactly.
  points = 0.5 - 0.5 / math.sqrt(3.0), 0.5 + 0.5 / math.sqrt(3.0)
  flow = make_identity_flow(mean=mean, std=std)
  bits = np.mean([
      flow.bits_per_dim(datasets.dequantize(
          tf.constant(levels, tf.uint8), tf.fill(levels.shape, point), 256))
      for point in points], axis=0)
  square = ((levels + 0.5) / 256 - mean)**2 + 1.0 / (12 * 256**2)
  expected = math.log2(256 * math.sqrt(2 * math.pi)) + np.log2(
      std) + square / (2 * np.square(std) * math.log(2.0))
  np.testing.assert_allclose(bits, expected.mean(axis=(1, 2, 3)), rtol=1e-5)


def _flow_of_six(num_levels):
  return models.Flow(layers.Flatten(), (6,), num_levels=num_levels)


def test_a_uniform_density_costs_all_its_bits():
  flow = _flow_of_six(32)
  assert flow.unit == 'bits_per_dim'
  np.testing.assert_allclose(flow.to_loss(np.zeros([3])), 5.0)
  # Twice the density on the cube, one bit less for all six numbers.
  np.testing.assert_allclose(flow.to_loss(math.log(2.0)), 5.0 - 1.0 / 6.0)
  numbers = _flow_of_six(None)
  assert numbers.unit == 'nats' and numbers.to_loss(2.5) == -2.5
  assert [_flow_of_six(n).unit_note for n in (32, 256, 17, None)] == [
      '(5 bits)', '', '(17 levels)', '']


def test_flows_without_an_augmentation_have_nothing_of_it():
  """Their checkpoints hold what those of other versions do."""
  model = cases.MODELS['flow'].make()
  assert not model.augmentation.is_random
  assert model.latent_size == model.event_size == 16
  assert not any('augmentation' in name for name in model._trackable_children())
  x = cases.MODELS['flow'].inputs()
  y, log_weight = model.augment(x, seed=1)
  np.testing.assert_array_equal(y, x)
  np.testing.assert_array_equal(log_weight, np.zeros(4))


def test_samples():
  """They depend on the seed and their number alone, however many are drawn."""
  case = cases.MODELS['vector_flow_coupling']
  model = case.make()
  model.log_prob(case.inputs())
  samples = model.sample(5, seed=3)
  assert samples.shape == (5, *case.event_shape)
  assert not np.array_equal(samples, model.sample(5, seed=2))
  assert not np.array_equal(model.sample(3), model.sample(3))
  np.testing.assert_allclose(model.sample(2, seed=3), samples[:2], atol=1e-5)
  latents = model.draw_latents(5, seed=3)
  np.testing.assert_allclose(model.encode(samples), latents, atol=1e-4)
  np.testing.assert_array_equal(
      tf.concat([model.draw_latents(n, seed=3, start=start) for start, n in (
          (0, 2), (2, 1), (3, 2))], axis=0), latents)
  np.testing.assert_array_equal(
      tf.function(model.draw_latents)(tf.constant(5), seed=3), latents)
  assert len({row.tobytes() for row in latents.numpy()}) == 5
  with pytest.raises(errors.InvalidValueError, match='GiB of memory or more'):
    model.sample(10**15)
  cold = model.sample(5, seed=3, temperature=0.5)
  np.testing.assert_allclose(model.encode(cold), 0.5 * latents, atol=1e-4)
  # Zero temperature is the mode of the base distribution.
  mode = model.sample(2, temperature=0.0)
  np.testing.assert_allclose(mode[0], mode[1], rtol=1e-6)


def test_samples_follow_the_density():
  """Mean and spread of the flow that only standardises."""
  samples = make_identity_flow().sample(4000, seed=0)
  np.testing.assert_allclose(np.mean(samples), 0.5, atol=0.01)
  np.testing.assert_allclose(np.std(samples), 0.25, atol=0.005)


def test_sampling_with_another_solver():
  model = models.VectorFlowConfig(
      event_size=3, num_blocks=1, hidden_units=(4,)).build()
  loose = model.sample(3, seed=1, solver=numerics.Banach(atol=1e-3))
  np.testing.assert_allclose(loose, model.sample(3, seed=1), atol=0.1)
  np.testing.assert_array_equal(
      model.sample(3, seed=1, solver='banach,atol=0.001'), loose)
  with pytest.raises(tf.errors.InvalidArgumentError, match='block_'):
    model.sample(3, seed=1, solver=numerics.Banach(max_steps=1))


def test_a_flow_says_whether_its_own_log_determinants_are_biased():
  for spec, is_biased in (
      ('fixed:3', True), ('exact', False), ('adaptive:0.1', False)):
    flow = models.ResidualFlowConfig(
        image_shape=(4, 4, 1), num_blocks=(1, 1), hidden_channels=2,
        num_dense_blocks=0, factor_out=True, estimator=spec).build()
    assert flow.is_biased == is_biased, spec
    assert [e.spec() for e in flow.bijection.estimators()] == [spec] * 2
  flow = flows.make_flow_without_blocks()
  assert flow.bijection.estimators() == [] and not flow.is_biased


def test_saving_norms_changes_no_result(two_cores):
  """On one core, on two, within a graph."""
  case = cases.MODELS['vector_flow']
  model, one_core, in_a_graph = case.make(), case.make(), case.make()
  x = case.inputs()
  before = model.log_prob(x, seed=0)
  model.save_norms()
  np.testing.assert_allclose(model.log_prob(x, seed=0), before, rtol=1e-3)
  assert len(model.constrained_layers) > 2

  for layer in one_core.constrained_layers:
    layer.save_norms()
  save = tf.function(in_a_graph.save_norms, autograph=False)
  start = [v.numpy() for v in in_a_graph.variables]
  save.get_concrete_function()
  for variable, value in zip(in_a_graph.variables, start, strict=True):
    np.testing.assert_array_equal(variable.numpy(), value)
  save()
  kernels = [
      [v.numpy() for layer in other.constrained_layers for v in layer.variables]
      for other in (model, one_core, in_a_graph)]
  for a, b, c in zip(*kernels, strict=True):
    np.testing.assert_array_equal(a, b)
    np.testing.assert_allclose(a, c, rtol=1e-4, atol=1e-5)
  for layer in model.constrained_layers + in_a_graph.constrained_layers:
    assert layer.save_norms() == 0


def test_tensorflow_knows_variables_by_their_own_names():
  model = cases.MODELS['flow'].make()
  names = {v.value.name for v in model.variables}
  assert names >= {'kernel:0', 'bias:0', 'v:0', 'log_scale:0'}
  assert not any('/' in name for name in names)
  assert len({v.path for v in model.variables}) == len(model.variables) > 10


def test_initialize_sets_everything_that_depends_on_data():
  case = cases.MODELS['flow_hybrid']
  model = case.make()
  assert not model.is_initialized
  model.initialize(case.inputs())
  assert model.is_initialized


def test_refuses_what_the_flow_has_not():
  model = cases.MODELS['vector_flow'].make()
  assert not model.has_classifier
  x = tf.zeros([2, 3])
  for said, method, values in (
      ('has no classifier', model.classify, {'x': x}),
      ('has no classifier', model.logits, {'features': []}),
      ('is unconditional', model.transform, {'x': x, 'condition': x}),
      ('is unconditional', model.log_prob, {'x': x, 'condition': x}),
      ('is unconditional', model.inverse, {'z': x, 'condition': x}),
      ('num_samples=-1: expected', model.sample, {'num_samples': -1}),
      ('bits_per_dim requires images', model.bits_per_dim, {'x': x})):
    assert said in splits.refusal(method, **values), (said, method)


@pytest.mark.parametrize('name', ['flow', 'vector_flow'])
def test_lipschitz_bounds(name):
  model = cases.MODELS[name].make()
  bounds = model.lipschitz_bounds()
  assert [b.name for b in bounds] == [
      b.name for b in model.certified_bijections]
  for bound, block in zip(bounds, model.certified_bijections, strict=True):
    assert isinstance(bound, models.LipschitzReport)
    assert 0.0 < bound.power_iteration <= bound.certificate * (1.0 + 1e-3)
    assert bound.certificate < 1.0
    assert len(bound.methods) == len(block.constrained_layers())
    # The product of the true norms lies below the certificate.
    product = math.prod(
        operators.true_norm(part) if part.num_constrained
        else part.lipschitz_bound for part in block.g.parts)
    assert product <= bound.certificate * (1.0 + 1e-6)
  uncertified = model.lipschitz_bounds(certify=False)
  assert all(b.certificate is None and not b.methods for b in uncertified)
  for a, b in zip(bounds, uncertified, strict=True):
    assert a.power_iteration == pytest.approx(b.power_iteration, rel=1e-5)


def test_an_asserted_bound_is_reported_as_such():
  block = layers.ResidualBlock(keras.layers.Dense(2), lipschitz_bound=0.5)
  flow = models.Flow(block, [2])
  assert flow.lipschitz_bounds() == [
      models.LipschitzReport(block.name, 0.5, 0.5, 0.5, ('asserted',), 2.0,
                        'assertion')]


def test_a_flow_of_any_bijection():
  """Density of a flow without anything to train, in closed form."""
  flow = models.Flow(layers.Standardize([1.0, 2.0], [0.5, 4.0]), [2])
  x = np.random.default_rng(0).normal(size=[5, 2]).astype('float32')
  z = (x - [1.0, 2.0]) / [0.5, 4.0]
  expected = -0.5 * (z**2).sum(1) - np.log(2 * np.pi) - np.log(2.0)
  np.testing.assert_allclose(flow.log_prob(x), expected, rtol=1e-5)
  assert not flow.lipschitz_bounds() and not flow.constrained_layers
  assert flow.is_initialized and flow.solve_inverse(x).solves == ()
  assert not flow.is_random_with(numerics.RussianRoulette())


@pytest.mark.parametrize('case', [
    cases.MODELS['vector_flow'], cases.AUGMENTED_MODELS['flow_noise']],
                         ids=['vectors', 'noise'])
def test_what_is_drawn_beside_estimates(case):
  """Where something is, seeds make a difference, and nowhere else."""
  model, x = case.make(), case.inputs()
  model.initialize(x)
  one, two = (model.log_prob(x, seed=seed, estimator=numerics.Exact())
              for seed in (1, 2))
  assert model.is_random_with(numerics.Exact()) != np.allclose(
      one, two, rtol=1e-6)
  assert model.is_random_with(numerics.RussianRoulette())


def test_the_estimator_of_a_flow_holds_where_a_call_names_none():
  """In every way to a density, in copies, and in files."""
  flow = models.VectorFlowConfig(
      event_size=3, num_blocks=2, hidden_units=(8,)).build()
  for layer in flow.constrained_layers:
    layer.kernel.assign(4.0 * layer.kernel)
  x = tf.random.stateless_normal([5, 3], [0, 1])
  flow.initialize(x)
  flow.save_norms()
  exact = flow.log_prob(x, estimator='exact')
  own = flow.log_prob(x, seed=0)
  assert flow.estimator is None and np.abs(own - exact).max() > 1e-5
  assert np.abs(own - flow.log_prob(x, seed=1)).max() > 1e-5
  flow.estimator = flow.evaluation_estimator()
  assert flow.estimator == numerics.Exact()
  restored = models.VectorFlow.from_config(flow.get_config())
  restored.set_weights(flow.get_weights())
  for other in (flow, flow.frozen(), restored):
    assert other.estimator == flow.estimator
    np.testing.assert_allclose(other.log_prob(x), exact, rtol=1e-5)
    np.testing.assert_allclose(
        other.distribution().log_prob(x), exact, rtol=1e-5)
  np.testing.assert_array_equal(
      flow.log_prob(x, seed=0, estimator='training'), own)
  density = flow.distribution()
  np.testing.assert_allclose(density.log_prob(
      x, bijector_kwargs={'seed': 0, 'estimator': 'training'}), own, rtol=1e-5)
  assert density.event_shape == [3]
  assert len(density.trainable_variables) == len(flow.trainable_variables)


def test_estimators_of_evaluations():
  """Exact up to 64 dimensions, and where nothing is drawn."""
  adaptive = numerics.AdaptiveRoulette(0.02)
  for size, estimator in ((64, numerics.Exact()), (65, adaptive)):
    flow = models.VectorFlowConfig(
        event_size=size, num_blocks=1, hidden_units=(2,)).build()
    assert flow.evaluation_estimator() == estimator
  assert models.Flow(
      layers.ActNorm(), (65,)).evaluation_estimator() == numerics.Exact()
  digits = models.Flow(
      layers.ResidualBlock(networks.dense_g('float32')), (3,), num_levels=17)
  assert digits.evaluation_estimator() == numerics.Exact()
  assert digits.evaluation_estimator(dequantizes=True) == adaptive


def test_arguments_stand_in_one_order():
  """One input and its condition by place, everything else by its name.

  But for methods of Keras.
  """
  served = serving.IntegerFlow, serving.VectorSignatures
  for cls in (models.Flow, layers.Bijection, layers.Augmentation, *served):
    for name, method in inspect.getmembers(cls, inspect.isfunction):
      if name.startswith('_') or not method.__module__.startswith(
          'tf_resflow.') or name in ('compile', 'fit', 'evaluate'):
        continue
      _, *names = [
          p.name for p in inspect.signature(method).parameters.values()
          if p.kind is p.POSITIONAL_OR_KEYWORD]
      assert names[1:] in ([], ['condition'], ['settings']), (cls, name)


def test_autograph_does_not_follow_specs(monkeypatch):
  """It would follow them into imports, and say that it cannot."""
  flow = models.VectorFlowConfig(event_size=2, num_blocks=1).build()
  get, statuses = specs.Registry.get, []

  def note(*arguments):
    statuses.append(tf.__internal__.autograph.control_status_ctx().status.name)
    return get(*arguments)

  monkeypatch.setattr(specs.Registry, 'get', note)
  tf.function(lambda x: flow.log_prob(x, estimator='exact'))(tf.ones([3, 2]))
  assert statuses and set(statuses) == {'DISABLED'}


def _frames_to_the_first_convolution(flow, x, *condition):
  """The package's own frames from `log_prob` on, when a graph is made."""
  frames = []

  def profile(frame, event, unused_argument):
    if event == 'call' and frame.f_code.co_name == 'conv2d' and not frames:
      while frame:
        module = frame.f_globals.get('__name__', '')
        if module.startswith('tf_resflow.'):
          frames.append(f'{module}.{frame.f_code.co_name}')
        frame = frame.f_back

  traced = tf.function(flow.log_prob, autograph=False)
  sys.setprofile(profile)
  try:
    traced.get_concrete_function(x, *condition)
  finally:
    sys.setprofile(None)
  return frames[::-1]


def test_few_frames_lie_between_log_prob_and_a_convolution():
  """Whoever reads a traceback, or steps through a pass, meets these."""
  x = tf.zeros([2, 4, 4, 1])
  for limit, flow, *condition in (
      (16, flows.make_image_flow(16, num_dense_blocks=0)),
      (18, conditional_flows.make_labelled_flow(), tf.constant([0, 1]))):
    frames = _frames_to_the_first_convolution(flow, x, *condition)
    assert frames[0].endswith('.log_prob') and frames[-1].endswith('.conv2d')
    assert len(frames) <= limit, '\n'.join(frames)


def test_a_weight_of_log_determinants_changes_the_gradient_alone():
  flow = models.Flow(
      layers.SequentialBijection(
          [layers.ActNorm(), layers.Flatten()]), (2, 2, 1))
  x = tf.random.stateless_normal([5, 2, 2, 1], [0, 1])
  flow.initialize(x)

  def value_and_gradients(weight):
    with tf.GradientTape() as tape:
      log_prob = flow.log_prob(x, log_det_weight=weight)
    return log_prob, tape.gradient(log_prob, flow.trainable_variables)

  whole, of_whole = value_and_gradients(None)
  _, of_base = value_and_gradients(0.0)
  weighted, of_weighted = value_and_gradients(tf.constant(0.25))
  np.testing.assert_array_equal(weighted, whole)
  for all_, base, found in zip(of_whole, of_base, of_weighted, strict=True):
    np.testing.assert_allclose(found, 0.25 * all_ + 0.75 * base, rtol=1e-5)
