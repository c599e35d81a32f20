"""One step: XLA, accumulation, annealing; two replicas compute what one does.

Replicas are compared in float64, so that the rounding of another order of
summation stays small, and with SGD, because Adam hides a wrong factor.
"""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import flows
from tests.training import runs
from tf_resflow import configuration
from tf_resflow import models
from tf_resflow import training
from tf_resflow.models import objectives
from tf_resflow.models import train_step
from tf_resflow.training import learner as learner_lib
from tf_resflow.training import trainer

_CONFIG = models.ResidualFlowConfig(
    image_shape=(4, 4, 1), num_levels=17, num_blocks=(1,), hidden_channels=4,
    num_dense_blocks=1, dense_hidden_units=4)
# With one dense block, which is traced sooner.
_DENSE = dataclasses.replace(
    _CONFIG, fully_connected=True, num_dense_hidden_layers=1,
    num_dense_blocks=0)


def _batch(dtype, batch_size=8):
  rng = np.random.default_rng(0)
  return models.Batch(
      tf.constant(rng.random([batch_size, *_CONFIG.image_shape]), dtype))


def _make_step(dtype, config=_DENSE, **kwargs):
  """Returns an initialised model and its step."""
  model = config.build(dtype)
  model.initialize(_batch(dtype).x, seed=0)
  optimizer = keras.optimizers.SGD(0.1)
  optimizer.build(model.trainable_variables)
  ema = training.ExponentialMovingAverage(model)
  return model, models.TrainStep(
      model, optimizer, objectives.BitsPerDim(), ema, **kwargs)


@pytest.mark.slow
def test_whole_step_compiles_under_xla():
  results = []
  for jit_compile in (False, True):
    model, step = _make_step('float32', _CONFIG, seed=5)
    run = tf.function(step, autograph=False, jit_compile=jit_compile)
    metrics = [run(_batch('float32'), tf.constant(i, tf.int32))
               for i in range(3)]
    results.append((
        [float(m['bits_per_dim']) for m in metrics],
        [float(m['gradient_norm']) for m in metrics],
        [v.numpy() for v in model.trainable_variables]))
  plain, compiled = results
  np.testing.assert_allclose(compiled[0], plain[0], rtol=1e-5)
  np.testing.assert_allclose(compiled[1], plain[1], rtol=1e-4)
  for a, b in zip(compiled[2], plain[2], strict=True):
    assert np.max(np.abs(a - b)) <= 1e-5 * max(np.max(np.abs(b)), 0.1)


@pytest.mark.slow
def test_trainer_compiles(tmp_path, data_dir):
  config = runs.config(data_dir, num_steps=2)
  bits = []
  for jit_compile in (False, True):
    run = trainer.Trainer(
        config.replace(jit_compile=jit_compile),
        str(tmp_path / str(jit_compile)))
    run.restore_or_initialize()
    bits.append([float(r['bits_per_dim']) for r in run.steps()])
  assert len(bits[0]) == len(bits[1]) == 2
  # XLA draws other numbers: equal within the estimator's standard deviation.
  np.testing.assert_allclose(bits[0], bits[1], atol=0.02)
  assert np.all(np.not_equal(*bits))


@pytest.mark.parametrize('clip_norm', [None, 1e-3, 1e3])
def test_metrics_and_clipping(clip_norm):
  model, step = _make_step('float64', clip_norm=clip_norm)
  batch, t = _batch('float64'), tf.constant(0, tf.int64)
  values, gradients = step.gradients(batch, t)
  before = [v.numpy() for v in model.trainable_variables]
  metrics = step(batch, t)
  norm = np.sqrt(sum(np.sum(np.square(g)) for g in gradients))
  np.testing.assert_allclose(metrics['gradient_norm'], norm, rtol=1e-10)
  np.testing.assert_allclose(
      metrics['bits_per_dim'], values['bits_per_dim'], rtol=1e-12)
  assert list(metrics) == [
      'bits_per_dim', 'gradient_norm', 'power_iteration_steps']
  assert 0 <= int(metrics['power_iteration_steps']) < 200
  scale = 1.0 if clip_norm is None else min(1.0, clip_norm / norm)
  for old, gradient, variable in zip(
      before, gradients, model.trainable_variables, strict=True):
    # The learning rate is a float32 number.
    np.testing.assert_allclose(
        variable.numpy(), old - np.float32(0.1) * scale * gradient.numpy(),
        rtol=1e-7, atol=1e-12)


def test_solves_of_forward_passes_are_counted():
  """Of a whole batch and of its parts, where the model has some."""
  counts = []
  for num_parts in (1, 2):
    model, step = _make_step(
        'float64', dataclasses.replace(_DENSE, block='monotone'),
        accumulation_steps=num_parts)
    counts.append(step(_batch('float64'), tf.constant(0))['solver_steps'])
    (solve,) = model.transform(_batch('float64').x).solves
  np.testing.assert_allclose(counts, counts[:1] * 2, rtol=1e-12)
  assert 3.0 <= counts[0] < 20.0
  # The weights have changed since.
  assert abs(counts[0] - np.mean(solve.solution.num_steps)) < 2.0


# Annealing of the log-determinant.


@dataclasses.dataclass(frozen=True)
class _Weight(objectives.Objective):
  """Logs the weight that it gets, which its gradient has as well."""

  metric_names = ('weight',)

  def __call__(self, model, batch, seed, log_det_weight=None):
    weight = tf.ones([], batch.x.dtype) if log_det_weight is None else (
        log_det_weight)
    return weight * tf.reduce_sum(
        model.trainable_variables[0].value), {'weight': weight}


@pytest.mark.parametrize('num_replicas, accumulation_steps, dtype', [
    (1, 1, 'float32'), (2, 3, 'float64')])
def test_weights_rise_by_updates(num_replicas, accumulation_steps, dtype):
  """Whatever the number of parts of a batch, and of replicas."""
  strategy = runs.strategy_of(num_replicas)
  with strategy.scope():
    flow = flows.make_flow_without_blocks(dtype=dtype)

  def weights_of(**kwargs):
    run = runs.on_replicas(strategy, models.TrainStep(
        flow, None, _Weight(), accumulation_steps=accumulation_steps, **kwargs
    ).reduced_gradients)
    weights = []
    for t in range(6):
      metrics, gradients = run(tf.zeros([12, 4, 4, 1], dtype), t)
      weights.append(float(metrics['weight'][0]))
      np.testing.assert_allclose(gradients[0][0], weights[-1], rtol=1e-6)
    return weights

  np.testing.assert_allclose(
      weights_of(annealing_steps=4), [0, 0.25, 0.5, 0.75, 1, 1], rtol=1e-6)
  assert weights_of() == [1.0] * 6


def test_a_run_is_annealed_and_logs_the_density():
  batch, found = models.Batch(tf.random.stateless_normal([8, 2], [0, 1])), []
  for annealing_steps in (0, 2):
    learner = learner_lib.Learner(configuration.make_config(
        dataset='2d/moons', num_blocks=1, hidden_units=(4,),
        annealing_steps=annealing_steps))
    found.append([learner.train_step.gradients(batch, tf.constant(t))
                  for t in (1, 2)])
  for t, (plain, annealed) in enumerate(zip(*found, strict=True), 1):
    assert annealed[0] == plain[0]
    equal = [np.array_equal(a, b)
             for a, b in zip(annealed[1], plain[1], strict=True)]
    assert all(equal) == (t == 2)


# Two replicas on the same global batch.

_BATCH = 6
_NUM_STEPS = 10
# Between the smallest and the largest norm of a gradient in the run below.
_CLIP_NORM = 0.7


def _global_batch(step):
  rng = np.random.default_rng(step)
  # The contrast differs from batch to batch, and with it the gradient's norm.
  images = 0.5 + (0.1 + 0.8 * rng.random()) * (
      rng.random([_BATCH, *_CONFIG.image_shape]) - 0.5)
  return tf.constant(images, tf.float64)


class _Run:
  """A model and its step, on one replica or two."""

  def __init__(self, num_replicas, config=_DENSE):
    self.strategy = runs.strategy_of(num_replicas)
    with self.strategy.scope():
      self.model = config.build('float64')
      optimizer = keras.optimizers.SGD(0.05)
      optimizer.build(self.model.trainable_variables)
      self.ema = training.ExponentialMovingAverage(self.model, 0.9)
    self._step_fn = runs.on_replicas(self.strategy, models.TrainStep(
        self.model, optimizer, objectives.BitsPerDim(), self.ema,
        clip_norm=_CLIP_NORM, seed=3))
    runs.on_replicas(
        self.strategy,
        lambda batch, step: self.model.initialize(batch.x, seed=0) or step)(
            _global_batch(0), 0)
    # Set by the statistics of the global batch.
    self.initial = self.local_variables()
    # There the gradients of some offsets and scales vanish; not elsewhere.
    for variable in self.model.trainable_variables:
      variable.assign(1.1 * variable + 0.02)
    self.ema.reset()

  def train(self, num_steps=_NUM_STEPS):
    """Returns the norms of the gradients and the values of bits/dim."""
    results = [self._step_fn(_global_batch(i), i) for i in range(num_steps)]
    return ([float(r['gradient_norm'][0]) for r in results],
            [float(r['bits_per_dim'][0]) for r in results])

  def local_variables(self):
    """Returns weights and averages, a tuple over the replicas each."""
    return self._local_values(self.model.trainable_variables)

  def local_state(self):
    """Also singular vectors, which are unique up to their signs at best."""
    return self._local_values(self.model.variables)

  def _local_values(self, variables):
    return [
        [v.numpy() for v in self.strategy.experimental_local_results(variable)]
        for variable in [*(v.value for v in variables), *self.ema.averages]]


def _largest_difference(one, two):
  """Largest relative difference of the first replicas' tensors."""
  return max(
      np.max(np.abs(a[0] - b[0])) / (np.max(np.abs(a[0])) or 1.0)
      for a, b in zip(one, two, strict=True))


def test_replicas_agree():
  one, two = _Run(1), _Run(2)
  # ActNorm is initialised from the statistics of the global batch.
  assert _largest_difference(one.initial, two.initial) < 1e-12
  (norms, bits), (found_norms, found_bits) = one.train(), two.train()
  np.testing.assert_allclose(
      [found_norms[0], found_bits[0]], [norms[0], bits[0]], rtol=1e-12)
  np.testing.assert_allclose(found_norms, norms, rtol=1e-8)
  np.testing.assert_allclose(found_bits, bits, rtol=1e-8)
  # Some steps were clipped, and some were not.
  assert 2 <= np.sum(np.array(norms) > _CLIP_NORM) <= _NUM_STEPS - 2, norms
  final = one.local_variables()
  assert _largest_difference(final, two.local_variables()) < 1e-8
  for values in two.local_state():
    np.testing.assert_array_equal(*values)
  # The training did something.
  assert _largest_difference(one.initial, final) > 0.1


def _model_of_learned_orders():
  model = models.VectorFlowConfig(
      event_size=3, num_blocks=2, hidden_units=(4,), norms=('learned',),
      norm_bound='estimate', act_norm=False).build('float64')
  rng = np.random.default_rng(0)
  for layer in model.constrained_layers:
    layer.kernel.assign(rng.normal(size=layer.kernel.shape))
    layer.tolerance, layer.max_power_iterations = 1e-8, 2000
  for variable in model.trainable_variables:
    if variable.name == 'raw':
      variable.assign(rng.normal())
  return model


def _gradients_of_orders(model):
  """Returns the gradients of a step, those of all else zeros."""
  variables = model.trainable_variables
  return train_step.replace_order_gradients(
      [tf.zeros(v.shape, tf.float64) for v in variables], variables,
      model.constrained_layers)


def test_gradients_of_orders_are_those_of_the_mean_norm():
  model = _model_of_learned_orders()
  variables = model.trainable_variables
  assert [v.name for v in variables].count('raw') == 4
  for variable, gradient in zip(
      variables, _gradients_of_orders(model), strict=True):
    if variable.name != 'raw':
      np.testing.assert_array_equal(gradient, 0.0)
      continue
    value = float(variable.value)

    def mean(raw, variable=variable):
      variable.assign(raw)
      return np.mean([float(c.norm()) for c in model.constrained_layers])

    difference = (mean(value + 1e-5) - mean(value - 1e-5)) / 2e-5
    variable.assign(value)
    assert float(gradient) == pytest.approx(0.01 * difference, rel=1e-4)
    assert gradient != 0.0


@pytest.mark.parametrize('order_gradient', ['likelihood', 'norm'])
def test_a_step_takes_gradients_of_norms_if_it_is_told_to(order_gradient):
  """SGD shows gradients: those of norms are not clipped, the others are."""
  model = _model_of_learned_orders()
  before = [v.numpy() for v in model.trainable_variables]
  norms = _gradients_of_orders(model)
  optimizer = keras.optimizers.SGD(1.0)
  optimizer.build(model.trainable_variables)
  step = models.TrainStep(
      model, optimizer, objectives.Nats(), clip_norm=1e-6,
      order_gradient=order_gradient)
  x = tf.constant(np.random.default_rng(1).normal(size=[8, 3]))
  metrics = step(objectives.Batch(x), tf.constant(0))
  assert metrics['gradient_norm'] > 1e-3
  for variable, old, norm in zip(
      model.trainable_variables, before, norms, strict=True):
    moved = old - variable.numpy()
    if variable.name == 'raw' and order_gradient == 'norm':
      np.testing.assert_allclose(moved, norm, rtol=1e-9)
      assert abs(norm) > 1e-5
    else:
      assert np.linalg.norm(moved) <= 1.1e-6
